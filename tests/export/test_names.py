"""What the ends of a file are called, and what integers they may hold."""

import keras
import numpy as np
import pytest
from edgewright.devices.measure import answers
from edgewright.errors import BadInput
from edgewright.export import export_onnx, export_tflite
from edgewright.quantize import prepare_qat
from int8_run import cnn, samples
from keras import layers

EXPORTS = {"tflite": export_tflite, "onnx": export_onnx}


def two(outputs=lambda first, second, given: {"price": first, "kind": second}):
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    x = layers.Concatenate(name="both")([left, right])
    first, second = layers.Dense(1, name="first")(x), layers.Dense(3, name="second")(x)
    return keras.Model({"left": left, "right": right}, outputs(first, second, left), name="two")


def given(count=64):
    random = np.random.default_rng(0)
    return {name: random.normal(size=(count, size)).astype("float32") for name, size in (("left", 4), ("right", 3))}


def names_in(artifact):
    """Return the names of inputs and outputs that the file itself has."""
    if artifact.suffix == ".onnx":
        import onnx

        graph = onnx.load_from_string(artifact.data).graph
        return [end.name for end in graph.input], [end.name for end in graph.output]
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAsModel(artifact.data, 0).Subgraphs(0)

    def name(index):
        return graph.Tensors(index).Name().decode()

    inputs = [name(graph.Inputs(i)) for i in range(graph.InputsLength())]
    return inputs, [name(graph.Outputs(i)) for i in range(graph.OutputsLength())]


@pytest.mark.parametrize("format", EXPORTS)
@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (lambda first, second, given: {"price": first, "kind": second}, ["kind", "price"]),  # sorted, as Keras has them
        (lambda first, second, given: [first, second], ["first", "second"]),
        (lambda first, second, given: [second, given], ["second", "left_2"]),
    ],
)
def test_ends_have_the_names_that_keras_gives_them(format, quantized, outputs, expected):
    model = two(outputs)
    model = prepare_qat(model, calibration=given())[0] if quantized else model
    if "left_2" in expected and not quantized and format == "tflite":
        expected = ["second", "left"]  # TensorFlow's converter makes one tensor of an input that is returned
    artifact = EXPORTS[format](model)
    assert names_in(artifact) == (["left", "right"], expected)
    assert [entry["name"] for entry in artifact.manifest["inputs"]] == ["left", "right"]
    assert [entry["shape"][0] for entry in artifact.manifest["outputs"]] == [1, 1]


@pytest.mark.parametrize("format", EXPORTS)
def test_a_sequential_built_by_fit_becomes_a_file_for_one_sample(format):
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    model = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3, name="scores")])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((64, 3)), verbose=0)
    for precision in ("float32", "w8a8-ptq"):
        manifest = EXPORTS[format](model, precision=precision, calibration=x).manifest
        assert [entry["shape"] for entry in manifest["inputs"]] == [[1, 6]]
        assert [(entry["name"], entry["shape"]) for entry in manifest["outputs"]] == [("scores", [1, 3])]


def test_unsigned_bytes_at_the_borders_hold_the_same_values(tmp_path):
    model = cnn()
    x = samples(model)
    files = {io: export_tflite(model, precision="w8a8-ptq", calibration=x, integer_io=io) for io in ("uint8", "int8")}
    made = {}
    for io, artifact in files.items():
        assert artifact.manifest["integer_io"] == io and artifact.manifest["float_ops"] == 0
        for end in ("inputs", "outputs"):
            (entry,), (other,) = artifact.manifest[end], files["int8"].manifest[end]
            assert entry["dtype"] == io and entry["scale"] == other["scale"]
            assert entry["zero_point"] - other["zero_point"] == (128 if io == "uint8" else 0)
        made[io] = answers(artifact.save(tmp_path / f"{io}.tflite"), x, device="local")
    np.testing.assert_array_equal(made["uint8"], made["int8"])


def test_what_is_no_argument_is_refused():
    with pytest.raises(BadInput, match="integer_io='float16' is unknown; allowed: False, True, 'int8', 'uint8'"):
        export_tflite(cnn(), integer_io="float16")
    with pytest.raises(BadInput, match="'inference_input_type' is no argument; integers at the borders are integer_io"):
        export_tflite(cnn(), inference_input_type="uint8")
    with pytest.raises(BadInput, match="export_onnx: 'opset' is no argument"):
        export_onnx(cnn(), opset=13)
