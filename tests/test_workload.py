"""What a run starts from."""

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.pipeline.find import find
from edgewright.pipeline.saved import save_model
from edgewright.pipeline.suited import suited
from edgewright.quantize import QatConfig


def test_activations_that_need_16_bits_get_them_where_there_would_be_8():
    work = find("lstm_1997", None, preset="edge", quick=True)
    assert suited(work).by_name == {"lstm/cell": "w8a16"} and suited(work, QatConfig(default="w7a8")).by_name
    own = QatConfig(by_name={"output": "w8a16", "lstm/cell": None})
    assert suited(work, own) == own and suited(work, QatConfig(default="w8a16")).by_name == {}
    assert list(suited(work, QatConfig(by_name={"lstm/*": "w8a8"})).by_name) == [
        "lstm/*",
        "lstm/cell",
    ]  # the first wins
    assert suited(find("elman_rnn", None, preset="edge", quick=True)) == QatConfig()
    assert work.facts("step")["wide"] == ("lstm/cell",)
    networks = work.make()
    assert suited(work, network=networks["sequence"]).by_name == {"lstm/cell": "w8a16"}
    other = registry.networks("elman_rnn", "edge")["sequence"]  # of several networks not all have a layer of that name
    assert suited(work, network=other) == QatConfig()


def test_a_network_is_not_told_what_another_one_needs():
    work = find("world_model", None, preset="edge", quick=True)
    told = {name: dict(suited(work, None, network).by_name) for name, network in work.make().items()}
    wide = dict.fromkeys(("lstm/multiply", "lstm/multiply_2", "lstm/add_3"), "w8a16")
    assert told == {"vision": {}, "decoder": {}, "memory": wide, "controller": {}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = registry.build("softmax_regression", "edge", seed=7)
    return model, save_model(model, tmp_path_factory.mktemp("weights") / "net.keras")


def test_a_zoo_model_starts_from_given_weights(saved):
    model, path = saved
    plain, given = (find("softmax_regression", "digits", weights=weights) for weights in (None, str(path)))
    for mine, theirs in zip(given.make()["softmax_regression"].get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (plain.make()["softmax_regression"].get_weights()[0] != model.get_weights()[0]).any()
    assert given.identity != plain.identity  # a run with other weights is another run


def test_weights_that_do_not_fit_are_refused(saved):
    with pytest.raises(BadInput, match="not of 'mlp'"):
        find("mlp", "digits", weights=str(saved[1])).make()
    with pytest.raises(BadInput, match="no such file"):
        find("mlp", "digits", weights="none.keras").make()
    with pytest.raises(BadInput, match="which has weights"):
        find(str(saved[1]), "digits", weights=str(saved[1]))
