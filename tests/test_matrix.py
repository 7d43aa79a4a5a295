"""Cells of the zoo's matrix: what passes, what fails and says why, what cannot apply."""

import json

import pytest
from edgewright.errors import BadInput
from edgewright.pipeline import matrix
from edgewright.pipeline.budget import budget

KERNEL = {"name": "hidden/kernel", "shape": [8, 4], "sparsity": 0.5, "reason": ""}
BIAS = {"name": "hidden/bias", "shape": [4], "sparsity": None, "reason": "biases are few"}


@pytest.mark.parametrize(
    ("rows", "metric", "status", "reason"),
    [
        ([KERNEL, BIAS], 0.9, "pass", ""),
        ([KERNEL, BIAS], 0.86, "fail", "more than 3 points below float"),
        ([KERNEL | {"sparsity": 0.4}], 0.9, "fail", "40% of the weights pruned, bar 50%"),
        ([BIAS], 0.9, "skip", "nothing to prune: biases are few"),
    ],
)
def test_pruning_cell(rows, metric, status, reason):
    cell = matrix._pruned({"metric": metric, "rows": rows}, base=0.9)
    assert (cell["status"], cell["reason"]) == (status, reason)


def document(tmp_path, *, metric, data):
    """Return the cells of a made-up run whose every file answers alike; steps lie in `tmp_path`."""
    (tmp_path / "steps").mkdir()
    for step in ("train", "prune", "qat"):
        text = json.dumps({"result": {"metric": metric, "rows": [KERNEL]}})
        (tmp_path / "steps" / f"{step}.json").write_text(text)
    kinds = [(kind, precision) for kind in ("tflite", "onnx") for precision in ("float32", "w8a8-qat")]
    files = [{"name": f"m-{p}.{k}", "format": k, "precision": p, "float_ops": 0} for k, p in kinds]
    measured = {"status": "ok", "reason": "", "metric": "accuracy", "value": metric}
    results = {
        "data": data,
        "artifacts": files,
        "measurements": [{"artifact": one["name"], **measured} for one in files],
        "verdicts": [{"artifact": one["name"], "verdict": "pass", "speedup": 2.0, "reason": ""} for one in files],
        "parity": {one["name"]: {"argmax_agreement": 1.0, "within_one_step": 1.0} for one in files},
    }
    return matrix._cells(results, tmp_path)


@pytest.mark.parametrize(
    ("data", "metric", "status"), [("digits", 0.8, "pass"), ("digits", 0.6, "fail"), ("unheard of", 0.7, "pass")]
)
def test_floor_of_training_is_that_of_the_data(tmp_path, data, metric, status):
    cells = document(tmp_path, metric=metric, data=data)
    assert cells["train"]["status"] == status
    others = {stage: cell["status"] for stage, cell in cells.items() if stage != "train"}
    assert others == dict.fromkeys(matrix.STAGES[2:], "pass")


def test_table_shows_skips_and_reasons_and_failures_are_counted():
    skipped = {"status": "skip", "value": None, "reason": "nothing to prune"}
    failing = {"status": "fail", "value": 0.1, "reason": "below 0.6"}
    stages = {stage: {"status": "pass", "value": 1.0, "reason": ""} for stage in matrix.STAGES}
    found = {"rows": [{"model": "gate", "stages": stages | {"prune": skipped, "train": failing}}]}
    assert matrix.failed(found) == 1
    text = matrix.markdown(found)
    assert "skip –" in text and "FAIL 0.1000" in text and "- gate prune: nothing to prune" in text


def test_unknown_family_is_refused(tmp_path):
    with pytest.raises(BadInput, match="linear"):
        matrix.matrix([], ["linaer"], tmp_path, quick=True, seed=0)


@pytest.mark.parametrize("samples", [104, 309, 1257, 8000, 55_000])
def test_budget_is_spent_in_few_epochs_whatever_the_size_of_the_data(samples):
    quick = budget("train", samples, quick=True)
    assert quick.epochs <= 10 and abs(quick.steps - 900) <= 150
    assert budget("qat", samples, learning_rate=0.01).learning_rate == pytest.approx(0.001)
