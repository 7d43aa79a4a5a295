#!/usr/bin/env bash
# ai-edge-litert 2.3.0 (and 2.4.0.dev20261026)
# RSQRT on int16 interpolates a table of 512 entries over the whole range of its input: near zero, where the function is
# steep, it is thousands of steps off. TensorFlow Lite Micro computes each value and is right to a step.
# Matters: a normalization in 16 bits whose variance is small for some samples comes out up to twice too large for them,
# and otherwise than the same file on a microcontroller.
# Seen (input scale 1/32767, output scale 64/32767; integers 1, 8, 64 and 4096 of the input):
#   litert 28181 27071 18197 1448, tflite-micro 32767 32767 11585 1448, exact and clipped 32767 32767 11585 1448
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q ai-edge-litert==2.3.0 numpy==2.4.6
venv/bin/pip install -q --pre tflite-micro==0.dev20261023182759
cat > model.py <<'PY'
import flatbuffers, numpy as np
from ai_edge_litert import schema_py_generated as s

def tensor(name, scale):
    steps = s.QuantizationParametersT(scale=np.array([scale], "f4"), zeroPoint=np.array([0], "i8"))
    return s.TensorT(name=name, shape=np.array([1, 4], "i4"), type=s.TensorType.INT16, buffer=0, quantization=steps)

code = s.OperatorCodeT(builtinCode=s.BuiltinOperator.RSQRT, deprecatedBuiltinCode=s.BuiltinOperator.RSQRT, version=3)
root = s.OperatorT(opcodeIndex=0, inputs=np.array([0], "i4"), outputs=np.array([1], "i4"))
graph = s.SubGraphT(tensors=[tensor("x", 1 / 32767), tensor("y", 64 / 32767)], inputs=[0], outputs=[1], operators=[root])
model = s.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=[s.BufferT()])
builder = flatbuffers.Builder(1024)
builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
open("rsqrt.tflite", "wb").write(builder.Output())
PY
venv/bin/python model.py
cat > litert.py <<'PY'
import numpy as np
from ai_edge_litert.interpreter import Interpreter
it = Interpreter("rsqrt.tflite")
it.allocate_tensors()
it.set_tensor(it.get_input_details()[0]["index"], np.array([[1, 8, 64, 4096]], "i2"))
it.invoke()
print(*it.get_tensor(it.get_output_details()[0]["index"])[0])
PY
cat > micro.py <<'PY'
import numpy as np
from tflite_micro.python.tflite_micro import runtime
it = runtime.Interpreter.from_bytes(open("rsqrt.tflite", "rb").read(), arena_size=100_000)
it.set_input(np.array([[1, 8, 64, 4096]], "i2"), 0)
it.invoke()
print(*it.get_output(0)[0])
PY
litert=$(venv/bin/python litert.py 2> /dev/null) micro=$(venv/bin/python micro.py 2> /dev/null)
echo "litert [$litert], tflite-micro [$micro]"
venv/bin/python - "$litert" "$micro" <<'PY'
import sys
exact = [min(32767, round(32767 / 64 / (q / 32767) ** 0.5)) for q in (1, 8, 64, 4096)]
litert, micro = ([int(word) for word in given.split()] for given in sys.argv[1:])
print(f"exact {exact}")
assert max(abs(a - b) for a, b in zip(micro, exact)) <= 1 and max(abs(a - b) for a, b in zip(litert, exact)) > 1000
PY
