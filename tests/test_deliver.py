"""One model, many targets: checked before training, delivered after, by the command line's own functions."""

import json
import shutil

import keras
import numpy as np
import pytest
from edgewright.devices.measure import ModelFile
from edgewright.devices.preflight import compile as compiling
from edgewright.devices.targets import target
from edgewright.errors import BadInput
from edgewright.pipeline.check import check, quantization_for
from edgewright.pipeline.deliver import deliver
from edgewright.quantize.operators import TABLE

SAMPLES = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype(np.float32)
needs_vela = pytest.mark.skipif(
    compiling.compiler(target.load("ethos-u55-128").compile) is None, reason="vela is not here (extra ethos-u)"
)


def small(activation="relu", name="small") -> keras.Model:
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, activation=activation, name="stem")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name=name)


@pytest.fixture(scope="module")
def gelu(tmp_path_factory):
    path = tmp_path_factory.mktemp("gelu") / "gelu.keras"
    small("gelu").save(path)
    return path


def test_what_a_microcontroller_lacks_is_named_with_layer_and_swap(gelu):
    found = check(str(gelu), "cortex-m")
    (row,) = [row for row in found.rows if row.supported == "no"]
    assert (row.operator, row.layer, row.reason) == ("GELU", "stem", "no kernel")
    assert "relu6" in row.swap
    assert not found.fits


@needs_vela
@pytest.mark.parametrize("model", ["resnet8", "ds_cnn"])
def test_vela_leaves_no_operator_to_the_processor(model):
    found = check(model, "ethos-u55-128")
    assert found.fits, found.problems
    assert found.estimate["cpu_operators"] == 0 and found.estimate["accelerator_operators"] > 5
    assert found.estimate["kind"] == "estimated"
    assert found.estimate["latency_us"] > 0 and found.estimate["cycles"] > 0
    assert 0 < found.arena_bytes < 1 << 20
    assert "estimated, not measured" in str(found)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("delivered")
    names = ["cortex-m", "ethos-u55-128", "edgetpu", "onnx-cpu"]
    return folder, {one.target: one for one in deliver(small(), names, folder, SAMPLES)}


def test_a_microcontroller_gets_a_c_array_with_its_arena(delivered):
    found = delivered[1]["cortex-m"]
    assert found.ok and {path.suffix for path in found.files} == {".tflite", ".h", ".cc"}
    header = next(path for path in found.files if path.suffix == ".h").read_text()
    assert f"_arena_bytes = {found.check.arena_bytes};" in header
    assert "AddConv2D" in header and "AddFullyConnected" in header and "AddQuantize" not in header


@needs_vela
def test_an_ethos_gets_the_compiled_file_and_its_estimate(delivered):
    found = delivered[1]["ethos-u55-128"]
    (path,) = found.files
    assert found.ok and path.read_bytes()[4:8] == b"TFL3" and b"ethos-u" in path.read_bytes()
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert manifest["estimate"]["kind"] == "estimated" and manifest["estimate"]["cpu_operators"] == 0
    assert ModelFile.read(path).manifest["source"]["sha256"]


@pytest.mark.skipif(shutil.which("edgetpu_compiler") is not None, reason="edgetpu_compiler is here")
def test_a_missing_compiler_is_a_failure_that_says_so(delivered):
    found = delivered[1]["edgetpu"]
    assert not found.ok and "edgetpu_compiler is not on this machine" in found.reason
    assert [path.name.endswith("-uncompiled.tflite") for path in found.files] == [True]


def test_onnx_for_onnx_runtime(delivered):
    found = delivered[1]["onnx-cpu"]
    assert found.ok and found.files[0].suffix == ".onnx"


def test_int8_without_data_is_refused_before_any_work(tmp_path):
    with pytest.raises(BadInput, match="--data is missing: cortex-m"):
        deliver(small(), ["cortex-m"], tmp_path, None)
    with pytest.raises(BadInput, match="cortex-n"):
        deliver(small(), ["cortex-n"], tmp_path, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", target.names())
def test_how_to_quantize_for_a_target_names_known_operations(name):
    wanted = quantization_for(name, observer="mse")
    assert wanted.observer == "mse"
    assert set(wanted.by_type) <= {rule.op_type for rule in TABLE} and not any(wanted.by_type.values())


def test_a_target_decides_what_stays_in_float(tmp_path):
    inputs = keras.Input((8,), name="x")
    network = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(4)(inputs)), name="classes")
    samples = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    found = deliver(network, ["cpu-x86", "raspberry-pi"], tmp_path, samples)
    files = {one.target: ModelFile.read(next(path for path in one.files if path.suffix == ".tflite")) for one in found}
    assert {name: file.manifest["float_ops"] for name, file in files.items()} == {"cpu-x86": 1, "raspberry-pi": 0}
