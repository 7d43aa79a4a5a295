"""What strict readers of ONNX ask of a file: images with channels first, names and versions of who wrote it."""

import edgewright
import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from edgewright.devices.config import BenchConfig
from edgewright.devices.measure import ModelFile, answers, bench
from edgewright.devices.runner import open_runner
from edgewright.errors import BadInput
from edgewright.export import export_onnx
from edgewright.quantize import QatConfig, prepare_qat
from keras import layers


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).normal(size=(32, 8, 10, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 10, 3), name="image")
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(6, 3, padding="same", activation="relu")(inputs))
    x = layers.concatenate([layers.GlobalAveragePooling2D()(x), layers.Flatten()(inputs)])
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="images")


@pytest.fixture(scope="module")
def files(model, samples):
    """Layout -> precision -> file."""
    quantized = {precision: prepare_qat(model, QatConfig(default=precision), calibration=samples)[0]
                 for precision in ("w8a8", "w8a16")}  # fmt: skip
    return {
        layout: {name: export_onnx(each, layout=layout) for name, each in {"float32": model, **quantized}.items()}
        for layout in ("nhwc", "nchw")
    }


@pytest.mark.parametrize("precision", ["float32", "w8a8", "w8a16"])
def test_images_go_in_with_channels_first_and_answers_are_the_same(files, samples, precision, tmp_path):
    first, last = files["nchw"][precision], files["nhwc"][precision]
    assert [first.manifest["inputs"][0][key] for key in ("shape", "layout")] == [[1, 3, 8, 10], "nchw"]
    assert [last.manifest["inputs"][0][key] for key in ("shape", "layout")] == [[1, 8, 10, 3], "nhwc"]
    session = onnxruntime.InferenceSession(first.data)
    assert session.get_inputs()[0].shape == [1, 3, 8, 10]
    (found,) = zip(*[session.run(None, {"image": x[None].transpose(0, 3, 1, 2)}) for x in samples], strict=True)
    expected = answers(last.save(tmp_path / "last.onnx"), samples)
    np.testing.assert_allclose(np.concatenate(found), expected, atol=0 if precision != "float32" else 1e-5)
    np.testing.assert_allclose(answers(first.save(tmp_path / "first.onnx"), samples), expected, atol=1e-5)


def test_the_harness_feeds_either_layout(files, samples, tmp_path):
    paths = [files[layout]["w8a8"].save(tmp_path / f"{layout}.onnx") for layout in files]
    quick = BenchConfig(max_seconds=1, min_rounds=5, max_rounds=10, attempts=1, precision=None)
    judged = {"inputs": samples, "targets": np.arange(32) % 4, "metric": "accuracy"}
    run = bench(paths, baseline=paths[0].name, config=quick, **judged)
    np.testing.assert_array_equal(*[run.raw.scores[path.name] for path in paths])
    expected = answers(paths[0], samples)
    with open_runner({"images": ModelFile.read(paths[1])}, "local") as runner:
        given = runner("images", {"image": samples})
    np.testing.assert_array_equal(next(iter(given.values())), expected)


def test_convolutions_read_such_images_as_they_are(files):
    nodes = onnx.load_from_string(files["nchw"]["w8a8"].data).graph.node
    before = {name for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear") for name in node.output}
    conv = next(node for node in nodes if node.op_type == "Conv")
    assert conv.input[0] in before  # no transposition between
    assert sum(node.op_type == "Transpose" for node in nodes) == 1  # where the image is flattened


def test_what_has_no_images_and_what_is_no_layout_is_refused(model):
    with pytest.raises(BadInput, match="layout='chw' is unknown; allowed: nhwc, nchw"):
        export_onnx(model, layout="chw")
    inputs = keras.Input((6, 4), name="x")
    with pytest.raises(BadInput, match=r"layout='nchw' is for inputs of images.*takes \(1, 6, 4\): leave it out"):
        export_onnx(keras.Model(inputs, layers.Dense(3)(inputs), name="sequences"), layout="nchw")


@pytest.mark.parametrize(("precision", "opset"), [("w8a8", 18), ("w8a16", 21)])
def test_files_say_who_wrote_them_and_leave_no_node_without_a_name(files, precision, opset):
    model = onnx.load_from_string(files["nhwc"][precision].data)
    assert (model.producer_name, model.producer_version) == ("edgewright", edgewright.__version__)
    names = [node.name for node in model.graph.node]
    assert all(names) and len(set(names)) == len(names)
    assert model.opset_import[0].version == opset  # 21 is the first that quantizes to int16


def test_each_weight_has_a_zero_point_of_its_own(files):
    """Told to be precise without VNNI, ONNX Runtime makes weights unsigned, their zero points with them, each once."""
    model = onnx.load_from_string(files["nhwc"]["w8a8"].data)
    stored = {entry.name for entry in model.graph.initializer}
    zero_points = [node.input[2] for node in model.graph.node
                   if node.op_type == "DequantizeLinear" and node.input[0] in stored]  # fmt: skip
    assert len(zero_points) >= 6 and len(set(zero_points)) == len(zero_points)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    onnxruntime.InferenceSession(files["nhwc"]["w8a8"].data, options)
