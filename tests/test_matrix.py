"""Cells of the zoo's matrix: what passes, what fails and says why, what cannot apply."""

import dataclasses
import json
from contextlib import contextmanager

import pytest
from edgewright import metrics
from edgewright.cli import inputs
from edgewright.errors import BadInput, EdgewrightError
from edgewright.models import registry
from edgewright.pipeline import cells, matrix
from edgewright.pipeline.budget import budget
from schemas import problems

KERNEL = {"name": "hidden/kernel", "shape": [8, 4], "sparsity": 0.5, "reason": ""}
BIAS = {"name": "hidden/bias", "shape": [4], "sparsity": None, "reason": "biases are few"}


@pytest.mark.parametrize(
    ("rows", "metric", "status", "reason"),
    [
        ([KERNEL, BIAS], 0.9, "pass", ""),
        ([KERNEL, BIAS], 0.86, "fail", "more than 3 points below float"),
        ([KERNEL | {"sparsity": 0.4}], 0.9, "fail", "40% of the weights pruned, bar 50%"),
        ([BIAS], 0.9, "skip", "nothing to prune: biases are few"),
        ([], 0.9, "skip", "nothing to prune: no weight of it is trained"),
    ],
)
def test_pruning_cell(rows, metric, status, reason):
    cell = cells.of_pruning({"metric": metric, "rows": rows}, 0.9, cells.Held(metric=metrics.get("accuracy")))
    assert (cell["status"], cell["reason"]) == (status, reason)


def document(tmp_path, *, metric, data, extra=""):
    """Return the cells of a made-up run whose every file answers alike; steps lie in `tmp_path`."""
    (tmp_path / "steps").mkdir()
    for step in ("train", "prune", "qat-pruned" if extra else "qat"):
        text = json.dumps({"result": {"metric": metric, "rows": [KERNEL]}})
        (tmp_path / "steps" / f"{step}.json").write_text(text)
    kinds = [(kind, precision) for kind in ("tflite", "onnx") for precision in ("float32", "w8a8-qat")]
    extras = {"float32": "", "w8a8-qat": extra}
    files = [{"name": f"m{extras[p]}-{p}.{k}", "format": k, "precision": p, "float_ops": 0} for k, p in kinds]
    measured = {"status": "ok", "reason": "", "metric": "accuracy", "value": metric}
    results = {
        "data": data,
        "artifacts": files,
        "measurements": [{"artifact": one["name"], **measured} for one in files],
        "verdicts": [{"artifact": one["name"], "verdict": "pass", "speedup": 2.0, "reason": ""} for one in files],
        "parity": {one["name"]: {"argmax_agreement": 1.0, "within_one_step": 1.0} for one in files},
    }
    return cells.of_run(results, tmp_path, cells.Held.of("lenet5", data, "accuracy"))


@pytest.mark.parametrize(
    ("data", "metric", "status"), [("digits", 0.8, "pass"), ("digits", 0.6, "fail"), ("unheard of", 0.7, "pass")]
)
def test_floor_of_training_is_that_of_the_data(tmp_path, data, metric, status):
    cells = document(tmp_path, metric=metric, data=data)
    assert cells["train"]["status"] == status
    others = {stage: cell["status"] for stage, cell in cells.items() if stage != "train"}
    assert others == dict.fromkeys(matrix.STAGES[2:], "pass")


def test_outputs_that_are_not_close_pass_where_each_kernel_alone_is_right():
    made = [{"name": "m.tflite", "format": "tflite", "precision": "w8a8-qat", "float_ops": 0}]
    row = {"artifact": "m.tflite", "status": "ok", "reason": "", "metric": "explained_variance", "value": 0.9}
    files = cells.Files(format="tflite", made=made, rows=[row], together=row)
    held = cells.Held(metric=metrics.get("explained_variance"))
    worst = {"within_one_step": 0.95, "argmax_agreement": 1.0}
    for more, reason in (
        ({}, "0.9500 of outputs within one step, bar 0.99"),
        ({"least_kernel": 0.98}, "0.9500 of outputs within one step, bar 0.99; a kernel alone on 0.9800"),
        ({"least_kernel": 0.995}, ""),
    ):
        assert files.quantized(0.9, held, {"m.tflite": worst | more})["reason"] == reason


def test_where_only_the_pruned_net_was_quantized_its_file_is_judged(tmp_path):
    cells = document(tmp_path, metric=0.9, data="digits", extra="-pruned")
    assert {cell["status"] for cell in cells.values()} == {"pass"} and cells["qat"]["value"] == 0.9


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A quick matrix of a net that takes seconds: its document and folder."""
    folder = tmp_path_factory.mktemp("matrix")
    return matrix.matrix(["logistic_regression"], [], folder, quick=True, seed=0), folder


def test_a_quick_matrix_fills_every_cell(quick):
    found, folder = quick
    assert json.loads((folder / "matrix.json").read_text()) == found
    (row,) = found["rows"]
    assert [row["stages"][stage]["status"] for stage in matrix.STAGES] == ["pass"] * len(matrix.STAGES)
    assert 0 < row["seconds"] < found["seconds"]
    assert problems("matrix", found) == [] and problems("matrix", {**found, "rows": [{**row, "stages": {}}]})
    assert problems("results", json.loads((folder / row["model"] / "results.json").read_text())) == []


def test_what_a_quick_matrix_does_not_judge_is_not_made(quick):
    folder = quick[1] / "logistic_regression"
    made = {path.name for path in (folder / "artifacts").iterdir() if path.suffix != ".json"}
    files = [f"logistic_regression{kind}" for kind in ("-float32", "-pruned-w8a8-qat")]
    assert made == {f"{file}.{kind}" for file in files for kind in ("tflite", "onnx")}
    assert not (folder / "steps" / "qat.json").exists() and not (folder / "report.html").exists()
    measured = json.loads((folder / "results.json").read_text())["measurements"]
    assert {one["artifact"] for one in measured if one["latency_us"]} == {f"{file}.tflite" for file in files}
    assert all(one["value"] > 0.9 for one in measured)


def test_table_shows_skips_and_reasons_and_failures_are_counted():
    skipped = {"status": "skip", "value": None, "reason": "nothing to prune"}
    failing = {"status": "fail", "value": 0.1, "reason": "below 0.6"}
    stages = {stage: {"status": "pass", "value": 1.0, "reason": ""} for stage in matrix.STAGES}
    found = {"rows": [{"model": "gate", "stages": stages | {"prune": skipped, "train": failing}}]}
    assert matrix.failed(found) == 1
    text = matrix.markdown(found)
    assert "skip –" in text and "FAIL 0.1000" in text and "- gate prune: nothing to prune" in text


def test_a_matrix_that_was_interrupted_at_its_first_model_is_gone_on_with(tmp_path, monkeypatch):
    @contextmanager
    def interrupted(*_, **__):
        (folder / "logistic_regression" / "steps").mkdir(parents=True)
        raise KeyboardInterrupt
        yield

    folder = tmp_path / "matrix"
    monkeypatch.setattr(matrix, "workers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        matrix.matrix(["logistic_regression"], [], folder, quick=True, seed=0)
    inputs.out_folder("--out", str(folder))
    assert problems("matrix", json.loads((folder / "matrix.json").read_text())) == []


def test_a_model_that_lost_too_much_is_compressed_otherwise_and_stays_so(tmp_path, monkeypatch):
    served, mends = [], {"logistic_regression": "longer", "softmax_regression": "slower", "mlp": ""}

    class Several:
        """Fails every row that is pruned in a way that does not mend it, and one row by what no training mends."""

        def serve(self, orders, limit_s, at_once=None):
            for order in orders:
                served.append((order["model"], order["timing"], order["recovery"]))
                row = {"model": order["model"], "data": None, "seconds": None, "recovery": order["recovery"]}
                if not order["timing"]:
                    yield order, {**row, "stages": {"build": cells.cell("", 1)}}
                    continue
                found = {stage: cells.cell("", 0.5) for stage in matrix.STAGES[1:]}
                if order["recovery"] != mends.get(order["model"]):
                    found["prune"] = cells.cell("more than 3 points below float", 0.4)
                if order["model"] == "linear_svm":
                    found["onnx_int8"] = cells.cell("0.9 of outputs within one step", 0.5)
                yield order, {**row, "stages": found}

    @contextmanager
    def workers(*_, **__):
        yield Several()

    monkeypatch.setattr(matrix, "workers", workers)
    models = ["logistic_regression", "softmax_regression", "linear_svm", "mlp"]
    for path in models:
        (tmp_path / path).mkdir()
    found = matrix.matrix(models, [], tmp_path, quick=True, seed=0)
    assert [row["recovery"] for row in found["rows"]] == ["longer", "slower", "", ""] and matrix.failed(found) == 2
    again = [(model, timing, "longer") for timing in (False, True) for model in models[:2]]
    assert served[8:] == [*again, *(("softmax_regression", timing, "slower") for timing in (False, True))]
    assert problems("matrix", found) == []
    served.clear()
    matrix.matrix(models[:1], [], tmp_path, quick=True, seed=0)
    assert served == [("logistic_regression", timing, "longer") for timing in (False, True)]
    served.clear()
    matrix.matrix(models[1:2], [], tmp_path, quick=False, seed=0)
    assert served == [("softmax_regression", timing, "") for timing in (False, True)]  # a full one trains enough


def test_the_files_of_a_matrix_run_on_the_device_that_is_asked_for(tmp_path, monkeypatch):
    asked = []

    def execute(config, folder, plan):
        asked.append(config.device)
        raise EdgewrightError("enough")

    monkeypatch.setattr(matrix, "execute", execute)
    order = {"model": "xor_mlp", "folder": str(tmp_path), "quick": True, "seed": 0, "device": "ssh://pi@board",
             "timing": True, "recovery": ""}  # fmt: skip
    assert matrix.serve(order)["stages"]["device"]["reason"] == "enough" and asked == ["ssh://pi@board"]


def test_any_error_of_a_row_is_told_in_its_cells_and_traced_in_its_log(tmp_path, monkeypatch, capfd):
    def execute(config, folder, plan):
        raise ValueError("3 rows for 4 labels")

    monkeypatch.setattr(matrix, "execute", execute)
    order = {"model": "xor_mlp", "folder": str(tmp_path), "quick": True, "seed": 0, "device": "local", "timing": True,
             "recovery": ""}  # fmt: skip
    assert matrix.serve(order)["stages"]["train"]["reason"] == "ValueError: 3 rows for 4 labels"
    assert "Traceback" in capfd.readouterr().err


def test_unknown_family_is_refused(tmp_path):
    with pytest.raises(BadInput, match="linear"):
        matrix.matrix([], ["linaer"], tmp_path, quick=True, seed=0)


@pytest.mark.parametrize("samples", [104, 309, 1257, 8000, 55_000])
def test_budget_is_spent_in_few_epochs_whatever_the_size_of_the_data(samples):
    quick = budget("train", samples, quick=True)
    assert quick.epochs <= 10 and abs(quick.steps - 900) <= 150
    brief = budget("train", samples, brief=True)
    assert brief.epochs <= 10 and brief.steps <= 1000 and brief.enough == 0.93
    prune = budget("prune", samples, brief=True, learning_rate=0.01)
    assert prune.enough is quick.enough is None and prune.learning_rate == 0.01
    assert budget("qat", samples, learning_rate=0.01).learning_rate == pytest.approx(0.001)
    longer = {stage: budget(stage, samples, brief=True, recovery="longer").steps for stage in ("train", "prune")}
    assert longer["train"] == brief.steps and longer["prune"] >= 2 * prune.steps
    slower = budget("prune", samples, brief=True, learning_rate=0.01, recovery="slower")
    assert slower.steps == prune.steps and slower.learning_rate == pytest.approx(0.001)


def test_a_learner_that_starts_over_has_the_steps_of_its_training_in_each_stage_at_their_own_rates():
    stages = {stage: budget(stage, 1257, brief=True, learner="adversarial") for stage in ("train", "prune", "qat")}
    assert len({each.steps for each in stages.values()}) == 1
    assert [each.learning_rate for each in stages.values()] == pytest.approx([2e-3, 1e-3, 2e-4])
    assert budget("prune", 1257, brief=True).steps < stages["prune"].steps


def test_a_metric_that_shall_be_low_is_judged_so():
    held = cells.Held(metric=metrics.get("perplexity"), floor=20.0)
    assert held.below(19.0) == "" and held.below(21.0) == "above 20.0"
    assert held.worse(10.2, 10.0) == "" and held.worse(9.0, 10.0) == ""
    assert held.worse(10.4, 10.0) == "more than 3 points below float"
    assert held.apart(10.1, 10.0) == "" and held.apart(9.0, 10.0) == "model 10.0000, file 9.0000"


def test_floors_are_the_models_the_data_sets_or_the_metrics():
    asked = [
        ("lenet5", "digits", "accuracy"),
        ("lenet5", "unheard of", "accuracy"),
        ("gan_mlp", "digits", "log_likelihood"),
    ]
    assert [cells.Held.of(*names).floor for names in asked] == [0.65, 0.6, registry.get("gan_mlp").bars.floor]


def test_a_model_of_which_nothing_goes_to_a_device_skips_with_the_reason(tmp_path, monkeypatch):
    entry = registry.get("logistic_regression")
    reason = "it answers by post"
    monkeypatch.setitem(registry._ENTRIES, entry.name, dataclasses.replace(entry, deploy=(), undeployed=reason))
    order = {"model": entry.name, "folder": str(tmp_path), "quick": True, "seed": 0, "device": "local",
             "timing": True, "recovery": ""}  # fmt: skip
    row = matrix.serve(order)
    assert row["stages"]["train"]["status"] == "pass"
    assert {row["stages"][stage]["reason"] for stage in cells.OF_FILES} == {reason}
    assert {row["stages"][stage]["status"] for stage in cells.OF_FILES} == {"skip"}


def test_files_of_several_networks_are_judged_together(tmp_path):
    (tmp_path / "steps").mkdir()
    for step in ("train", "prune", "qat"):
        text = json.dumps({"result": {"metric": 0.9, "rows": [KERNEL]}})
        (tmp_path / "steps" / f"{step}.json").write_text(text)
    results = {"artifacts": [], "measurements": [], "verdicts": [], "bundles": [], "parity": {}}
    for kind in ("tflite", "onnx"):
        for precision in ("float32", "w8a8-qat"):
            files = {part: f"m-{part}-{precision}.{kind}" for part in ("a", "b")}
            whole = f"m-{precision}.{kind}"
            for name in files.values():
                results["artifacts"].append({"name": name, "format": kind, "precision": precision, "float_ops": 0})
                results["measurements"].append({"artifact": name, "status": "ok", "reason": "", "value": None})
                results["verdicts"].append({"artifact": name, "verdict": "inconclusive", "speedup": 2.0, "reason": ""})
                results["parity"][name] = {"argmax_agreement": 1.0, "within_one_step": 1.0}
            together = {"name": whole, "files": files, "metric": "accuracy", "value": 0.9}
            results["bundles"].append({**together, "status": "ok", "reason": ""})
            results["verdicts"].append({"artifact": whole, "verdict": "pass", "speedup": None, "reason": ""})
    results["parity"]["m-b-w8a8-qat.onnx"]["within_one_step"] = 0.5
    results["verdicts"][3]["speedup"] = 1.5
    results["measurements"][0] |= {"status": "crashed", "reason": "of it"}
    found = cells.of_run(results, tmp_path, cells.Held(metric=metrics.get("accuracy")))
    assert found["tflite_float"]["reason"] == "crashed: of it"  # of one, none makes up for another
    assert found["tflite_int8"]["status"] == "pass" and found["tflite_int8"]["value"] == 0.9
    assert found["onnx_int8"]["reason"] == "0.5000 of outputs within one step, bar 0.99"
    assert (found["device"]["status"], found["device"]["verdict"], found["device"]["value"]) == ("pass", "pass", 1.5)
