"""Values laid over a model's operators: what `view --overlay` writes, from real documents of bench and diagnose."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edgewright.cli import commands as cli
from edgewright.cli import view
from edgewright.devices.measure import BenchConfig, bench, inspect
from edgewright.devices.verdict.document import save
from edgewright.errors import BadInput
from edgewright.export import export_tflite
from edgewright.pipeline.diagnose import diagnose
from edgewright.quantize import prepare_qat

ACCEPTED = """
import json, sys
from model_explorer import config, node_data_builder
from model_explorer.builtin_tflite_flatbuffer_adapter import BuiltinTfliteFlatbufferAdapter
file, *overlays = sys.argv[1:]
chosen = config()
chosen.add_model_from_path(file)
for overlay in overlays:
    chosen.add_node_data_from_path(overlay)
(graph,) = BuiltinTfliteFlatbufferAdapter().convert(file, {})["graphCollections"][0].graphs
tensors = {attribute["value"] for node in graph["nodes"] for output in node["outputsMetadata"]
           for attribute in output["attrs"] if attribute["key"] == "tensor_name"}
for overlay in overlays:
    data = node_data_builder.GraphNodeData(**json.load(open(overlay)))
    assert data.results and set(data.results) <= tensors, set(data.results) - tensors
print("accepted")
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A file, the folder of its profile and its diagnosis."""
    import keras
    from keras import layers

    folder = tmp_path_factory.mktemp("view")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3), name="images")
    x = layers.Conv2D(16, 3, activation="relu", name="stem")(inputs)
    x = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x))
    samples = np.random.default_rng(0).normal(size=(32, 16, 16, 3)).astype("float32")
    qat, _ = prepare_qat(keras.Model(inputs, x, name="small"), calibration=samples)
    file = export_tflite(qat).save(folder / "small.tflite")
    config = BenchConfig(min_rounds=5, max_rounds=5, block_ms=1, attempts=1, profile=True, kernels="builtin")
    save(bench([file], baseline=file.name, inputs=samples, config=config), folder / "run")
    diagnosis = folder / "diagnosis.json"
    diagnosis.write_text(json.dumps(diagnose(qat, samples).to_json(), default=str))
    return file, folder / "run", diagnosis


def test_noise_and_time_are_written_by_the_tensors_of_the_file(documents, capsys, monkeypatch):
    file, run, diagnosis = documents
    monkeypatch.setattr(view, "_installed", lambda module: False)
    assert cli.main(["view", str(file), "--overlay", str(run), "--overlay", str(diagnosis)]) == 0
    out = capsys.readouterr().out
    assert "pip install ai-edge-model-explorer" in out and "--node_data_paths=" in out
    names = {layer["name"] for layer in inspect(file).one("model")["layers"]}
    for kind, operator in (("time", "stem/relu"), ("noise", "stem/relu")):
        path = Path(f"{file}.{kind}.json")
        assert str(path) in out
        data = json.loads(path.read_text())
        assert set(data) == {"name", "results", "thresholds", "gradient"}
        assert operator in data["results"] and set(data["results"]) <= names
        assert all(isinstance(result["value"], float) for result in data["results"].values())
        assert [stop["stop"] for stop in data["gradient"]] == [0, 1]


def test_model_explorer_takes_them(documents):
    """Where a Model Explorer is on the path: its own reader, its own graph."""
    program = shutil.which("model-explorer")
    if program is None:
        pytest.skip("no Model Explorer: pip install ai-edge-model-explorer, in an environment on the path")
    file, run, diagnosis = documents
    written = view.overlay(file, [run, diagnosis])
    python = Path(program).with_name("python")
    done = subprocess.run([python, "-c", ACCEPTED, file, *written], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "accepted", done.stderr[-2000:]


def test_what_tells_nothing_of_the_file_is_refused(documents, tmp_path):
    file, run, _ = documents
    other = Path(shutil.copy(file, tmp_path / "other.tflite"))
    with pytest.raises(BadInput, match=r"no profile of other\.tflite, but of small\.tflite; run `edgewright bench"):
        view.overlay(other, [run])
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(BadInput, match=r"neither a results\.json nor"):
        view.overlay(file, [tmp_path / "empty.json"])
    with pytest.raises(BadInput, match=r"give a results\.json"):
        view.overlay(file, [tmp_path / "absent.json"])
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(BadInput, match=r"opens \.tflite files"):
        view.overlay(tmp_path / "m.onnx", [run])


def test_the_viewer_is_model_explorer_where_there_is_something_to_lay_over(documents):
    file, _, diagnosis = documents
    words = view.command(file, 9000, [diagnosis])
    assert words[1:3] == ["-m", "model_explorer"]
    assert words[3:] == [str(file.resolve()), f"--node_data_paths={diagnosis.resolve()}", "--port=9000"]
