"""Tiny real model files whose answers are known by hand, and two that crash and hang a runtime."""

from pathlib import Path

import numpy as np

WEIGHTS = (np.random.default_rng(0).normal(size=(8, 4)) / 4).astype(np.float32)
BIAS = np.array([0.5, -0.25, 0.0, 0.125], np.float32)
SAMPLES = np.random.default_rng(1).uniform(-1, 1, (64, 8)).astype(np.float32)


def dense(x: np.ndarray) -> np.ndarray:
    """Return what every model called dense computes: relu(x W + b)."""
    return np.maximum(x @ WEIGHTS + BIAS, 0)


def write_tflite(folder: Path) -> dict[str, Path]:
    """Write dense as float, w8a8 with float and with int8 inputs; a dense of any batch; and one that never ends."""
    import tensorflow as tf

    def function(body, shape):
        return tf.function(body, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])

    def convert(body, shape=(1, 8), *, calibrated=False, int8=False):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function(body, shape).get_concrete_function()])
        if calibrated:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([sample[None]] for sample in SAMPLES)
        if int8:
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()

    def tf_dense(x):
        return tf.nn.relu(tf.matmul(x, tf.constant(WEIGHTS)) + tf.constant(BIAS))

    def endless(x):
        return tf.while_loop(lambda v: tf.reduce_sum(v) > -1e30, lambda v: (tf.abs(v),), [x])

    contents = {
        "float": convert(tf_dense),
        "int8": convert(tf_dense, calibrated=True),
        "int8_io": convert(tf_dense, calibrated=True, int8=True),
        "batch": convert(tf_dense, (None, 8)),
        "endless": convert(endless),
    }
    paths = {name: folder / f"{name}.tflite" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    return paths


def write_stateful(path: Path) -> Path:
    """Write h = tanh(x + h) with h kept in a variable tensor from one inference to the next."""
    from ai_edge_litert import schema_py_generated as schema

    shapes = [(1, 1, 1), (1, 1), (1, 1), (1,), (1, 1), (1, 1, 1)]  # x, input weight, recurrent weight, bias, h, y
    values = [None, 1.0, 1.0, 0.0, None, None]
    model, graph = _model(schema, "UNIDIRECTIONAL_SEQUENCE_RNN")
    for shape, value in zip(shapes, values, strict=True):
        graph.tensors.append(_tensor(schema, model, shape, value))
    graph.tensors[4].isVariable = True
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    operator = graph.operators[0]
    operator.inputs, operator.outputs = [0, 1, 2, 3, 4], [5]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.SequenceRNNOptions, options
    graph.inputs, graph.outputs = [0], [5]
    return _write(model, path)


def write_crashing(path: Path) -> Path:
    """Write a loop whose body is the graph that holds the loop: preparing it recurses until the stack is full."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = _model(schema, "WHILE")
    graph.tensors = [_tensor(schema, model, (1, 8), None), _tensor(schema, model, (1, 8), None)]
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 0
    operator = graph.operators[0]
    operator.inputs, operator.outputs = [0], [1]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.WhileOptions, options
    graph.inputs, graph.outputs = [0], [1]
    condition = schema.SubGraphT()
    condition.tensors = [_tensor(schema, model, (1, 8), None), _tensor(schema, model, (1,), 1.0)]
    condition.tensors[1].type = schema.TensorType.BOOL
    condition.inputs, condition.outputs, condition.operators = [0], [1], []
    model.subgraphs.append(condition)
    return _write(model, path)


def _model(schema, operator):
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators = [], [schema.OperatorT()]
    graph.operators[0].opcodeIndex = 0
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    return model, graph


def _tensor(schema, model, shape, value):
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.name = list(shape), schema.TensorType.FLOAT32, f"t{len(model.buffers)}"
    tensor.buffer = 0
    if value is not None:
        buffer = schema.BufferT()
        buffer.data = list(np.full(shape, value, np.float32).tobytes())
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    return tensor


def _write(model, path):
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def write_onnx(folder: Path) -> dict[str, Path]:
    """Write dense as float, and as QDQ with the scales 1/127 of x, 1/100 of W and 1/50 of y."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def quantized(name, of, scale, dtype=np.int8):
        constants = [
            numpy_helper.from_array(np.float32(scale), f"{name}_scale"),
            numpy_helper.from_array(dtype(0), f"{name}_zero"),
        ]
        ends = [f"{name}_scale", f"{name}_zero"]
        return constants, [
            helper.make_node("QuantizeLinear", [of, *ends], [f"{name}_q"], name=f"{name}_quantize"),
            helper.make_node("DequantizeLinear", [f"{name}_q", *ends], [f"{name}_dq"], name=f"{name}_dequantize"),
        ]

    def write(name, nodes, constants):
        graph = helper.make_graph(
            nodes,
            "dense",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
            [
                numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
                for name, value in constants
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        checker.check_model(model)
        path = folder / f"{name}.onnx"
        save(model, path)
        return path

    plain = [
        helper.make_node("Gemm", ["x", "w", "b"], ["gemm"], name="gemm"),
        helper.make_node("Relu", ["gemm"], ["y"], name="relu"),
    ]
    of_x, x_nodes = quantized("x", "x", 1 / 127)
    of_y, y_nodes = quantized("y", "relu", 1 / 50)
    y_nodes[1].output[0] = "y"
    weights = np.clip(np.rint(WEIGHTS * 100), -127, 127).astype(np.int8)
    bias = np.rint(BIAS * 12700).astype(np.int32)
    w_nodes = [
        helper.make_node("DequantizeLinear", ["w8", "w_scale", "w_zero"], ["w_dq"], name="w_dequantize"),
        helper.make_node("DequantizeLinear", ["b32", "b_scale", "b_zero"], ["b_dq"], name="b_dequantize"),
    ]
    nodes = [
        *x_nodes, *w_nodes,
        helper.make_node("Gemm", ["x_dq", "w_dq", "b_dq"], ["gemm"], name="gemm"),
        helper.make_node("Relu", ["gemm"], ["relu"], name="relu"), *y_nodes,
    ]  # fmt: skip
    constants = [
        ("w8", weights), ("w_scale", np.array(0.01, np.float32)), ("w_zero", np.array(0, np.int8)), ("b32", bias),
        ("b_scale", np.array(0.01 / 127, np.float32)), ("b_zero", np.array(0, np.int32)),
        *((each.name, each) for each in of_x + of_y),
    ]  # fmt: skip
    return {
        "float": write("float", plain, [("w", WEIGHTS), ("b", BIAS)]),
        "qdq": write("qdq", nodes, constants),
    }
