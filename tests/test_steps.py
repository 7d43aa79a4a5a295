"""Steps of a run's folder: what is done, what is done again, and what goes."""

from edgewright.files import write
from edgewright.pipeline.steps import Steps


def make(steps, name, paths, **config):
    def work(scratch):
        for path in paths:
            write(steps.folder / path, f"{path} {config}".encode())
        return {"files": list(paths)}

    return steps.do(name, work, config=config, inputs={})


def test_what_a_step_made_before_and_does_not_any_more_goes(tmp_path, capfd):
    steps = Steps(tmp_path)
    make(steps, "export", ["a.tflite", "cut.tflite", "mine.tflite", "shared.tflite"], shortlist=True)
    make(steps, "other", ["shared.tflite"], shortlist=True)
    (tmp_path / "mine.tflite").write_text("changed by its user")
    make(steps, "export", ["a.tflite"], shortlist=False)
    assert sorted(path.name for path in tmp_path.glob("*.tflite")) == ["a.tflite", "mine.tflite", "shared.tflite"]
    assert "removed cut.tflite" in capfd.readouterr().err


def test_a_step_is_done_once_and_again_when_its_configuration_or_its_files_change(tmp_path, capfd):
    steps = Steps(tmp_path)
    for config, spoil, again in (
        ({"size": 1}, False, True),
        ({"size": 1}, False, False),
        ({"size": 2}, False, True),
        ({"size": 2}, True, True),
    ):
        if spoil:
            (tmp_path / "a.tflite").write_text("damaged")
        make(steps, "export", ["a.tflite"], **config)
        assert ("done before" in capfd.readouterr().err) == (not again)
    assert list(steps.seconds()) == ["export"]
    assert Steps(tmp_path).seconds() == {}  # nothing was asked of these
