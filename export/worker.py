"""The converter process: reads one JSON job a line on standard input, answers one JSON line on standard output."""

from pathlib import Path

from ..workers import Order, serve


def convert(job: Order) -> Order:
    """Convert a file, or say why that failed."""
    try:
        Path(job["out"]).write_bytes(CONVERTERS[job["kind"]](job))
        return {"ok": True}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}


# Precisions that AI Edge Quantizer makes of a float file, by its recipe.
RECIPES = {
    "w4": "dynamic_wi4_afp32",
    "w8-weight-only": "weight_only_wi8_afp32",
    "w4-weight-only": "weight_only_wi4_afp32",
}


def to_tflite(job: dict) -> bytes:
    """Convert with TFLiteConverter; precision "float32", "float16", "w8" (dynamic range) or one of `RECIPES`."""
    import tensorflow as tf

    graph_def = _read(job)

    def restore():
        tf.import_graph_def(graph_def, name="")

    wrapped = tf.compat.v1.wrap_function(restore, [])
    function = wrapped.prune(
        [wrapped.graph.get_tensor_by_name(name) for name in job["inputs"]],
        [wrapped.graph.get_tensor_by_name(name) for name in job["outputs"]],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if job["precision"] in RECIPES:
        return quantize(converter.convert(), RECIPES[job["precision"]])
    if job["precision"] != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job["precision"] == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def quantize(float_file: bytes, recipe: str) -> bytes:
    """Quantize the weights of a float .tflite file by a recipe of AI Edge Quantizer."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    tool = quantizer.Quantizer(bytearray(float_file), getattr(recipes, recipe)())
    return bytes(tool.quantize(enable_progress_report=False).quantized_model)


def to_onnx(job: dict) -> bytes:
    """Convert with tf2onnx, which lets operators through that ONNX does not have."""
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_graph_def(
        _read(job), input_names=list(job["inputs"]), output_names=list(job["outputs"]), opset=18
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _read(job: dict):
    from tensorflow.core.framework.graph_pb2 import GraphDef

    graph_def = GraphDef()
    graph_def.ParseFromString(Path(job["graph"]).read_bytes())
    return graph_def


CONVERTERS = {"tflite": to_tflite, "onnx": to_onnx}

if __name__ == "__main__":
    serve(convert)
