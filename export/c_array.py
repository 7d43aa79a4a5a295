"""A model file as C source, for devices without a file system: TensorFlow Lite Micro reads it straight from flash."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PER_LINE = 12


@dataclass(frozen=True, kw_only=True)
class CSource:
    """The two files of a model. symbol: the name of the array in them."""

    symbol: str
    header: str
    source: str


def c_source(
    data: bytes, name: str, *, sha256: str, arena_bytes: int, operators: Sequence[str],
    ends: Sequence[Mapping[str, Any]] = (),
) -> CSource:  # fmt: skip
    """Write `data` as a C++ array, with the arena to give the interpreter and the operators to register.

    name: of the model; whatever is no C identifier in it becomes an underscore; ends: inputs and outputs, each {kind,
    place, shape, dtype, scale, zero_point}.
    """
    symbol = identifier(name)
    guard = f"EDGEWRIGHT_{symbol.upper()}_H_"
    registered = "\n".join(f"//   resolver.{_adder(operator)}();" for operator in sorted(set(operators)))
    header = f"""// Model {symbol}, written by Edgewright. sha256 of the .tflite file: {sha256}
//
// Operators to register with tflite::MicroMutableOpResolver<{len(set(operators))}>:
{registered}
#ifndef {guard}
#define {guard}

// What the interpreter needs for tensors and its own records, estimated from above for a 32-bit processor with the
// reference kernels; optimised kernels may ask for scratch memory besides.
constexpr int {symbol}_arena_bytes = {arena_bytes};
{"".join(line for end in ends for line in _end(symbol, end))}
extern const unsigned char {symbol}_data[];
extern const unsigned int {symbol}_size;

#endif  // {guard}
"""
    rows = [", ".join(f"0x{byte:02x}" for byte in data[i : i + _PER_LINE]) for i in range(0, len(data), _PER_LINE)]
    body = ",\n    ".join(rows)
    source = f"""// Model {symbol}, written by Edgewright. sha256 of the .tflite file: {sha256}
#include "{symbol}.h"

alignas(16) extern const unsigned char {symbol}_data[] = {{
    {body},
}};
extern const unsigned int {symbol}_size = {len(data)};
"""
    return CSource(symbol=symbol, header=header, source=source)


def _end(symbol: str, end: Mapping[str, Any]) -> Iterator[str]:
    """Yield what calls the model with an input, or reads an output: real = scale * (value - zero point)."""
    what = f"{symbol}_{end['kind']}_{end['place']}"
    sizes = ", ".join(map(str, end["shape"])) or "1"
    yield f"\n// {end['kind']} {end['place']}: {end['dtype']}\n"
    yield f"constexpr int {what}_shape[] = {{{sizes}}};\n"
    if end["scale"] is not None and end["dtype"] != "float32":
        yield f"constexpr float {what}_scale = {_float(end['scale'])};\n"
        yield f"constexpr int {what}_zero_point = {end['zero_point'] or 0};\n"


def _float(value: float) -> str:
    """Return a number as C has it, with the digits that tell every float32 from its neighbours."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def identifier(name: str) -> str:
    """Return `name` as a C identifier that also serves as a file name."""
    symbol = re.sub(r"\W", "_", name, flags=re.ASCII)
    return symbol if re.match(r"[A-Za-z_]", symbol) else f"model_{symbol}"


def _adder(operator: str) -> str:
    """Return the resolver's method for a builtin operator, as AddConv2D for CONV_2D."""
    words = operator.split("_")
    exceptions = {"MATMUL": "MatMul", "LSTM": "LSTM", "PADV2": "PadV2", "ADD_N": "AddN", "CUMSUM": "CumSum"}
    return "Add" + "".join(exceptions.get(word, word if word[0].isdigit() else word.capitalize()) for word in words)
