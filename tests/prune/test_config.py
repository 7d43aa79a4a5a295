"""PruneConfig: refusals that name what is wrong, the way through YAML, and which entry decides."""

from dataclasses import asdict, replace

import pytest
import yaml
from edgewright.errors import BadInput
from edgewright.prune.config import NO_TIME, PruneConfig, PruneReport, matches


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sparsity": 1.0}, r"sparsity=1\.0 must lie in \[0, 1\)"),
        ({"by_name": {"head": -0.1}}, r"head=-0\.1 must lie in \[0, 1\)"),
        ({"by_type": {"Dense": 2}}, "Dense=2 must lie in"),
        ({"schedule": "step"}, "schedule='step' is unknown; allowed: polynomial, linear, constant"),
        ({"pattern": "2/4"}, r"pattern='2/4' is unknown; allowed: unstructured, N:M \(2:4 keeps 2 of each 4\), block:"),
        ({"pattern": "4:4"}, "pattern='4:4' is unknown"),
        ({"pattern": "block:1x1"}, "pattern='block:1x1' is unknown"),
        ({"patterns": {"stem": "rows"}}, "pattern='rows' is unknown"),
        ({"pattern": "2:4", "sparsity": 0.75}, r"sparsity=0\.75 contradicts pattern '2:4', which keeps 2 of each 4"),
        ({"criterion": "l1"}, "criterion='l1' is unknown; allowed: magnitude, movement, gradient"),
        ({"regrow": "all"}, "regrow='all' is unknown; allowed: None, gradient, random"),
        ({"regrow": "random", "criterion": "movement"}, "regrow='random' goes with criterion='magnitude'"),
        ({"regrow_share": 1.0}, r"regrow_share=1\.0 must lie between 0 and 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"begin_step": 10, "end_step": 5}, "begin_step=10 must lie between 0 and end_step=5"),
        ({"frequency": 0}, "frequency=0 must be at least 1"),
    ],
)
def test_refuses(values, message):
    with pytest.raises(BadInput, match=message):
        PruneConfig(**values)


def test_survives_yaml_and_refuses_unknown_keys():
    config = PruneConfig(sparsity=0.7, by_name={"stem": None}, by_type={"Conv2D": 0.6}, end_step=200)
    assert PruneConfig.from_dict(yaml.safe_load(yaml.safe_dump(asdict(config)))) == config
    with pytest.raises(BadInput, match="unknown key 'sparcity'; allowed: sparsity, pattern"):
        PruneConfig.from_dict({"sparcity": 0.5})


def test_name_goes_before_type_before_default():
    config = PruneConfig(sparsity=0.5, by_name={"head": None, "block_*": 0.9}, by_type={"Dense": 0.25})
    assert config.asked_for("head/kernel", "Dense") == (None, "by_name['head']")
    assert config.asked_for("block_1/kernel", "Dense") == (0.9, "by_name['block_*']")
    assert config.asked_for("body/kernel", "Dense") == (0.25, "by_type['Dense']")
    assert config.asked_for("body/kernel", "Conv2D") == (0.5, None)


def test_a_name_is_a_layer_a_path_or_what_lies_around():
    path = "encoder_1/attention/query/kernel"
    assert all(
        matches(path, name) for name in ("query", "encoder_1", "encoder_1/attention", "encoder_*/attention/query")
    )
    assert not any(matches(path, name) for name in ("kernel", "attention/query", "encoder_2", "quer"))


def test_report_lists_what_was_skipped_with_its_reason():
    done = {"name": "a/kernel", "shape": (2, 2), "sparsity": 0.5, "reason": ""}
    skipped = {"name": "a/bias", "shape": (2,), "sparsity": None, "reason": "few"}
    report = PruneReport((skipped, done))
    assert report.pruned == (done,) and report.skipped == (skipped,)
    assert str(report) == f"1 of 2 weights pruned\n  50%  a/kernel\n  kept  a/bias: few\n{NO_TIME}"
    assert "multiply zeros like any number" in NO_TIME


@pytest.mark.parametrize(
    ("pattern", "sparsity", "expected"),
    [("unstructured", ..., 0.5), ("2:4", ..., 0.5), ("1:4", ..., 0.75), ("1:3", 0.667, 2 / 3), ("2:4", None, None),
     ("block:1x4", 0.8, 0.8)],
)  # fmt: skip
def test_a_pattern_says_the_sparsity(pattern, sparsity, expected):
    """In the field 2:4 means 2 nonzero of 4."""
    given = {} if sparsity is ... else {"sparsity": sparsity}
    config = PruneConfig(pattern=pattern, **given)
    assert config.sparsity == expected
    assert PruneConfig.from_dict(asdict(replace(config, begin_step=3))) == replace(config, begin_step=3)


def test_a_pattern_goes_by_name_then_type_then_default():
    config = PruneConfig(pattern="2:4", patterns={"Embedding": "row", "stem": "unstructured", "head": "block:1x4"})
    assert config.pattern_for("words/embeddings", "Embedding").name == "row"
    assert config.pattern_for("stem/kernel", "Conv2D").name == "unstructured"
    assert config.pattern_for("head/kernel", "Embedding").name == "block:1x4"
    assert config.pattern_for("a/kernel", "Dense").name == "2:4"
