"""What holds for every entry of the zoo, and what the registry refuses."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry

NAMES = [row["name"] for row in registry.describe()]


@pytest.mark.parametrize("name", NAMES)
def test_paper_preset_has_the_published_number_of_parameters(name):
    built = registry.build(name)
    networks = list(built.values()) if isinstance(built, dict) else [built]
    trainable = sum(int(np.prod(weight.shape)) for network in networks for weight in network.trainable_weights)
    assert trainable == registry.get(name).params


@pytest.mark.parametrize("name", NAMES)
def test_edge_preset_runs_and_is_the_same_for_the_same_seed(name):
    built, again = registry.build(name, "edge", seed=3), registry.build(name, "edge", seed=3)
    assert isinstance(built, keras.Model)
    for one, other in zip(built.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    x = np.zeros((2, *built.input_shape[1:]), built.inputs[0].dtype)
    y = np.asarray(built(x, training=False))
    assert y.shape == (2, *built.output_shape[1:]) and np.isfinite(y).all()
    assert all(not layer.name.startswith(("dense_", "conv2d", "activation")) for layer in built.layers)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_logits(name):
    if registry.get(name).task != "classification":
        pytest.skip(f"{name} does not classify")
    last = registry.build(name, "edge").layers[-1]
    assert last.name == "logits" and last.activation is keras.activations.linear


def test_adding_a_model_takes_one_decorator():
    def twin(inputs, classes, width=3):
        return keras.layers.Dense(classes, name="logits")(keras.layers.Dense(width, name="hidden")(inputs))

    known = dict(registry._ENTRIES)
    try:
        registry.register(task="classification", input_shape=(4,), classes=2, params=23, paper="none", data=("digits",),
                          edge={"width": 2})(twin)  # fmt: skip
        assert registry.build("twin").count_params() == 23
        assert registry.build("twin", "edge", classes=5).output_shape == (None, 5)
        with pytest.raises(ValueError, match="twin"):
            registry.register(task="classification", input_shape=(4,), classes=2, params=23, paper="", data=())(twin)
    finally:
        registry._ENTRIES.clear()
        registry._ENTRIES.update(known)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: registry.get("lenet"), "lenet5"),
        (lambda: registry.build("lenet5", "huge"), "paper, edge"),
        (lambda: registry.build("lenet5", colour="red"), "'colour'.*activation"),
        (lambda: registry.build("autoencoder", classes=3), "has no classes"),
    ],
)
def test_bad_requests_say_what_is_allowed(call, words):
    with pytest.raises(BadInput, match=words):
        call()
