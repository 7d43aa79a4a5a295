"""A model file with what its manifest says of it. Nothing here opens one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files as whole
from ..errors import BadInput

FORMATS = {".tflite": "tflite", ".onnx": "onnx"}


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file and what is known of it. name: unique in a run; manifest: empty for a file of unknown make."""

    name: str
    path: Path
    format: str
    precision: str | None = None
    sparsity: float | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Describe the file at `path` by the manifest beside it (path + ".json"), or by its suffix alone.

        Raises: BadInput if the file is absent, of unknown suffix, or not the one its manifest describes.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise BadInput(f"path={str(path)!r} has the suffix {path.suffix!r}; allowed: {', '.join(FORMATS)}")
        if not path.is_file():
            raise BadInput(f"path={str(path)!r} is not a file")
        beside = path.with_name(path.name + ".json")
        try:
            manifest = json.loads(beside.read_text()) if beside.is_file() else {}
        except ValueError as error:
            raise BadInput(f"{beside} is not JSON ({error}); export the model again, or remove the manifest") from error
        if manifest and manifest.get("sha256") != whole.sha256(path):
            raise BadInput(f"{path} is not the file that {beside.name} describes (sha256 differs); export it again")
        return cls(
            name=path.name,
            path=path,
            format=FORMATS[path.suffix],
            precision=manifest.get("precision"),
            sparsity=manifest.get("sparsity"),
            manifest=manifest,
        )

    @property
    def states(self) -> dict[str, str]:
        """The outputs that become inputs in the next step: output -> input; empty for a file without states."""
        told = self.manifest.get("states") or {}
        return dict(told) if isinstance(told, Mapping) else {entry["output"]: entry["input"] for entry in told}

    @property
    def gzip_bytes(self) -> int:
        """The size of the file once it is packed, as its manifest says, or else as found here."""
        return self.manifest.get("gzip_bytes") or whole.gzip_bytes(self.path)

    def outside(self, end: str, tensors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the `inputs` or `outputs` that the runtime tells of, without those that are states.

        Each has its `place` in the file. A file with states goes by the names of its manifest.
        """
        known = [str(entry["name"]) for entry in self.manifest.get(end) or []]
        names = known if len(known) == len(tensors) else [plain(tensor["name"]) for tensor in tensors]
        hidden = set(self.states.values() if end == "inputs" else self.states)
        placed = enumerate(zip(tensors, names, strict=True))
        return [{**tensor, "place": place} for place, (tensor, name) in placed if name not in hidden]

    @property
    def network(self) -> str:
        """Which network of its model the file is; "" where nothing says."""
        return str(self.manifest.get("network") or "")


def plain(name: str) -> str:
    """Return the name of an input or output without what converters add."""
    return re.sub(r"^serving_default_|:\d+$", "", name)
