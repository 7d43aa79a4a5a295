"""An .onnx file compiled for Qualcomm's Hexagon tensor processor and run in its simulator, by ONNX Runtime's plugin."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from .faults import Unavailable
from .onnx_runtime import OnnxRuntime

PROVIDER = "QNNExecutionProvider"


class Qnn(OnnxRuntime):
    """An .onnx file whose operators the plugin takes as far as it can; the others run on this processor."""

    def _options(self):
        options = super()._options()
        plugin = importlib.import_module("onnxruntime_qnn")
        if not any(device.ep_name == PROVIDER for device in self._module.get_ep_devices()):
            self._module.register_execution_provider_library(PROVIDER, plugin.get_library_path())
        devices = [device for device in self._module.get_ep_devices() if device.ep_name == PROVIDER]
        if not devices:
            raise Unavailable("onnxruntime-qnn finds no processor to simulate")
        # Quantized borders belong to the accelerator, too: left to the processor, they would count as not taken.
        settings = {"backend_path": plugin.get_qnn_htp_path(), "offload_graph_io_quantization": "0"}
        options.add_provider_for_devices(devices, settings)
        return options

    def _open(self, options: Any):
        return self._module.InferenceSession(self._path, options)

    def _placed(self, onnx: Any, layers: Sequence):
        """Say what the compiled file leaves to the processor: all nodes but those that hold compiled parts."""
        options, path = self._options(), self._path + ".context"
        entries = {"ep.context_enable": "1", "ep.context_file_path": path, "ep.context_embed_mode": "0"}
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        self._open(options)
        if not os.path.exists(path):  # nothing was taken
            return {"partitions": 0, "placement": [{"op": layer["op"], "where": "CPU"} for layer in layers]}
        nodes = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
        rows = [{"op": op, "where": "HTP" if op == "EPContext" else "CPU"} for op in nodes]
        return {"partitions": nodes.count("EPContext"), "placement": rows}
