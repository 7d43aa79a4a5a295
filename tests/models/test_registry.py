"""What holds for every entry of the zoo, and what the registry refuses."""

import json
import math
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry

# Names that Keras gives where the builder gives none: the class in snake case, numbered.
UNNAMED = re.compile(r"(dense|conv\d?d|depthwise_conv2d|batch_normalization|activation|re_lu|multiply|take)(_\d+)?$")
NAMES = [row["name"] for row in registry.describe()]


@pytest.mark.parametrize("name", NAMES)
def test_paper_preset_has_the_published_number_of_parameters(name):
    with keras.StatelessScope(initialize_variables=False):  # shapes only: no weight is allocated
        built = registry.build(name)
        networks = list(built.values()) if isinstance(built, dict) else [built]
        weights = [weight for network in networks for weight in network.trainable_weights]
        assert sum(math.prod(weight.shape) for weight in weights) == registry.get(name).params


@pytest.mark.parametrize("name", NAMES)
def test_edge_preset_runs(name):
    built = registry.build(name, "edge")
    assert isinstance(built, keras.Model)
    y = built(np.zeros((2, *built.input_shape[1:]), built.inputs[0].dtype), training=False)
    for symbol, value in zip(built.outputs, keras.tree.flatten(y), strict=True):
        assert value.shape == (2, *symbol.shape[1:]) and np.isfinite(value).all()
    assert not [layer.name for layer in built.layers if UNNAMED.match(layer.name)]
    if registry.get(name).task == "classification":
        last = built.get_layer("logits")
        assert getattr(last, "activation", keras.activations.linear) is keras.activations.linear


@pytest.mark.parametrize("name", ["mlp", "resnet8", "lstm", "transformer_classifier"])
def test_weights_are_a_function_of_the_seed(name):
    built, again, other = (registry.build(name, "edge", seed=seed) for seed in (3, 3, 4))
    for one, same in zip(built.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
    assert any((one != two).any() for one, two in zip(built.get_weights(), other.get_weights(), strict=True))


OTHER_BACKEND = """
import json, sys
import jax, keras, numpy as np
from edgewright.models import registry
assert keras.backend.backend() == "jax"
folder = sys.argv[1]
for name in json.loads(sys.argv[2]):
    model = registry.build(name, "edge")
    kept = np.load(f"{folder}/{name}.npz", allow_pickle=False)
    model.set_weights([kept[f"w{i}"] for i in range(len(model.weights))])
    y = jax.jit(lambda x: model(x, training=False))(kept["x"])
    np.testing.assert_allclose(y, kept["y"], atol=1e-4, err_msg=name)
"""
# One of each block that is more than a row of Keras' plain layers.
BOTH_BACKENDS = ["lenet5", "ds_cnn", "anomaly_detector", "transformer_classifier"]


def test_jax_computes_the_same_from_the_same_weights(tmp_path):
    """The files hold weights and outputs made on the backend of this process."""
    random = np.random.default_rng(0)
    for name in BOTH_BACKENDS:
        model = registry.build(name, "edge")
        shape = (2, *model.input_shape[1:])
        x = random.integers(0, 9, shape) if "int" in model.inputs[0].dtype else random.normal(size=shape)
        x = x.astype(model.inputs[0].dtype)
        weights = {f"w{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.asarray(model(x, training=False)), **weights)
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND, str(tmp_path), json.dumps(BOTH_BACKENDS)],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


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
