"""Saved exports: a file and its manifest, each whole or absent, even when the writer is killed."""

import gzip
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError

import keras
import numpy as np
import pytest
from edgewright.export import Artifact, export_tflite
from edgewright.export.artifact import make_manifest, sparsity, weights_hash
from edgewright.files import gzip_bytes
from int8_run import cnn, samples


@pytest.fixture(scope="module")
def artifact():
    facts = {"preprocessing": "as it is"}
    return export_tflite(cnn(), precision="w8a8-ptq", calibration=samples(cnn()), manifest=facts)


def test_save_writes_the_file_and_its_manifest(artifact, tmp_path):
    path = artifact.save(tmp_path / "net.tflite")
    assert path == tmp_path / "net.tflite"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["net.tflite", "net.tflite.json"]
    assert path.read_bytes() == artifact.data
    assert json.loads((tmp_path / "net.tflite.json").read_text()) == artifact.manifest


def test_packed_size_of_a_file_is_that_of_its_bytes_and_of_gzip(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, 3_000_000, np.uint8).tobytes()  # more than is read at once
    (tmp_path / "data").write_bytes(data)
    assert gzip_bytes(tmp_path / "data") == gzip_bytes(data) == len(gzip.compress(data, 6, mtime=0))


def test_manifest_says_what_the_file_is(artifact):
    manifest = artifact.manifest
    assert manifest["schema"] == 1
    assert manifest["bytes"] == len(artifact.data)
    assert manifest["gzip_bytes"] == len(gzip.compress(artifact.data, 6, mtime=0)) < len(artifact.data)
    assert manifest["sha256"] == hashlib.sha256(artifact.data).hexdigest()
    assert manifest["weights_sha256"] == weights_hash(cnn())
    assert (manifest["name"], manifest["format"], manifest["precision"]) == ("cnn-w8a8-ptq", "tflite", "w8a8-ptq")
    assert (manifest["quantized_ops"], manifest["float_ops"]) == (6, 0)
    assert manifest["preprocessing"] == "as it is"
    assert [(one["name"], one["shape"], one["dtype"]) for one in manifest["inputs"]] == [
        ("image", [1, 8, 8, 3], "float32")
    ]
    assert all(manifest["tools"][name] for name in ("keras", "tensorflow", "onnx"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [("net.tflite", "net.tflite"), ("net", "net.tflite"), ("v1.2", "v1.2.tflite"), ("", "cnn-w8a8-ptq.tflite")],
)
def test_path_gets_the_suffix_of_the_format(artifact, tmp_path, given, expected):
    assert artifact.save(tmp_path / given) == tmp_path / expected
    assert (tmp_path / expected).is_file() and (tmp_path / f"{expected}.json").is_file()


def test_artifact_is_frozen(artifact):
    with pytest.raises(FrozenInstanceError):
        artifact.data = b""


def test_sparsity_counts_exact_zeros_of_kernels_by_hand():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.array([[0, 1], [0, 2], [0, -1], [1e-30, 1]], np.float32), np.zeros(2)])
    assert sparsity(model) == 3 / 8


def test_weights_hash_follows_every_weight():
    model = cnn()
    before = weights_hash(model)
    variance = model.get_layer("stem_norm").moving_variance
    variance.assign(np.asarray(variance) * 1.5)
    assert weights_hash(model) != before


def test_known_entries_replace_the_derived_ones():
    assert make_manifest(b"abc", cnn(), stateful=True)["stateful"] is True
    assert make_manifest(b"abc", cnn())["bytes"] == 3
    assert make_manifest(b"abc", cnn(), model="mine", data="ours")["model"] == "mine"


SAVING = """
import itertools, sys, types
from importlib.util import find_spec, module_from_spec, spec_from_file_location
sys.modules["keras"] = types.SimpleNamespace(Model=object)  # saving needs none of it, and starts a second faster
folder = next(iter(find_spec("edgewright").submodule_search_locations))
package = types.ModuleType("edgewright.export")
package.__path__ = [folder + "/export"]
sys.modules["edgewright.export"] = package
from edgewright.export.artifact import Artifact
for index in itertools.count():
    data = bytes([index % 256]) * 2_000_000
    Artifact(data, {"name": "net", "format": "tflite", "filling": "x" * 300_000, "index": index}).save(sys.argv[1])
    if index == 0:
        print("first", flush=True)
"""


def test_killed_save_leaves_no_half_file(tmp_path):
    """Ten writers die by SIGKILL at random moments: under the final names there is a whole file or none."""
    moments = random.Random(0)
    target = tmp_path / "net.tflite"
    for attempt in range(10):
        with subprocess.Popen([sys.executable, "-c", SAVING, target], stdout=subprocess.PIPE) as writer:
            if attempt % 2:  # else the first save may be hit as well
                writer.stdout.readline()
            time.sleep(moments.uniform(0.0, 0.4))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        if target.exists():
            data = target.read_bytes()
            assert len(data) == 2_000_000 and len(set(data)) == 1
        if (manifest := tmp_path / "net.tflite.json").exists():
            assert len(json.loads(manifest.read_text())["filling"]) == 300_000
    assert target.exists()
    assert Artifact(b"new", {"name": "net", "format": "tflite"}).save(target).read_bytes() == b"new"
