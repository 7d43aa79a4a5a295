"""A process that opens model files and runs a few samples through them: `python -m edgewright.devices.runtimes.trial`.

It loads a runtime once and lives as long as its host, so that a file costs milliseconds. A file may kill it.
"""

from typing import Any

import numpy as np

from ...workers import Order, serve
from ..agent import agent


def run(order: Order) -> Order:
    """Run the samples of `order["inputs"]`, an .npz of arrays (N, ...) in the file's order, one at a time.

    Answers what the outputs are, their values in `order["outputs"]`; or why the file was `refused`, or that a runtime
    is `absent`.
    """
    try:
        model = agent.open_model({"path": order["path"], "runtime": order["runtime"], "threads": 1})
        with np.load(order["inputs"]) as file:
            arrays = [file[f"{index}"] for index in range(len(file.files))]
        _check(model, arrays)
        with agent.refusing():
            made = [_once(model, [array[i : i + 1] for array in arrays]) for i in range(len(arrays[0]))]
    except agent.Rejected as refusal:
        return {"refused": str(refusal)}
    except agent.Unavailable as lack:
        return {"absent": str(lack)}
    answers: dict[str, Any] = {f"{index}": np.stack(values) for index, values in enumerate(zip(*made, strict=True))}
    np.savez(order["outputs"], **answers)
    return {"outputs": [{key: tensor[key] for key in ("name", "shape", "dtype")} for tensor in model.outputs]}


def _check(model: Any, arrays: list[np.ndarray]) -> None:
    """Refuse a file whose inputs are others than the model's."""
    found = [tuple(tensor["shape"]) for tensor in model.inputs]
    given = [(1, *array.shape[1:]) for array in arrays]
    if found != given:
        raise agent.Rejected(f"its inputs have shapes {found}, those of the model are {given}")


def _once(model: Any, sample: list[np.ndarray]) -> list[np.ndarray]:
    model.reset()
    model.set([agent.quantize(array, tensor) for array, tensor in zip(sample, model.inputs, strict=True)])
    model.invoke()
    return [agent.dequantize(np.array(model.get(i)), tensor) for i, tensor in enumerate(model.outputs)]


if __name__ == "__main__":
    serve(run)
