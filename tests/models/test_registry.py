"""What holds for every entry of the zoo, and what the registry refuses."""

import fnmatch
import importlib
import json
import math
import re
from pathlib import Path

import edgewright.models
import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.keras_internals import without_weights
from edgewright.models import index, registry
from keras.src.initializers.random_initializers import RandomInitializer

# Names that Keras gives where the builder gives none: the class in snake case, numbered.
UNNAMED = re.compile(r"(dense|conv\d?d|depthwise_conv2d|batch_normalization|activation|re_lu|multiply|take)(_\d+)?$")
NAMES = [row["name"] for row in registry.describe()]


@pytest.mark.parametrize("name", NAMES)
def test_paper_preset_has_the_published_number_of_parameters(name):
    with without_weights():
        networks = registry.trained(registry.networks(name), registry.get(name).deploy)
        weights = [weight for network in networks.values() for weight in network.trainable_weights]
        assert sum(math.prod(weight.shape) for weight in weights) == registry.get(name).params


@pytest.mark.parametrize("name", [name for name in NAMES if registry.get(name).wide])
def test_what_needs_16_bits_is_there(name):
    with without_weights():
        networks = registry.networks(name, "edge")
    there = [each.name for network in networks.values() for each in network.operations]
    for wide in registry.get(name).wide:
        assert fnmatch.filter(there, wide.split("/")[0]), wide


@pytest.mark.parametrize("name", NAMES)
def test_edge_preset_runs(name):
    networks = registry.networks(name, "edge")
    learned = registry.trained(networks, registry.get(name).deploy)
    for network, built in networks.items():
        zeros = keras.tree.map_structure(lambda symbol: np.zeros((2, *symbol.shape[1:]), symbol.dtype), built.input)
        y = built(zeros, training=False)
        for symbol, value in zip(built.outputs, keras.tree.flatten(y), strict=True):
            assert value.shape == (2, *symbol.shape[1:]) and np.isfinite(value).all()
        assert not [layer.name for layer in built.layers if UNNAMED.match(layer.name)]
        if registry.get(name).task == "classification" and network in learned:
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
from edgewright.models import index, registry
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


def test_jax_computes_the_same_from_the_same_weights(tmp_path, on_jax):
    """The files hold weights and outputs made on the backend of this process."""
    random = np.random.default_rng(0)
    for name in BOTH_BACKENDS:
        model = registry.build(name, "edge")
        shape = (2, *model.input_shape[1:])
        x = random.integers(0, 9, shape) if "int" in model.inputs[0].dtype else random.normal(size=shape)
        x = x.astype(model.inputs[0].dtype)
        weights = {f"w{index}": weight for index, weight in enumerate(model.get_weights())}
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.asarray(model(x, training=False)), **weights)
    on_jax.says(OTHER_BACKEND, tmp_path, json.dumps(BOTH_BACKENDS))


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


@pytest.fixture
def entries():
    """The register, in which a test may enter models of its own."""
    known = dict(registry._ENTRIES)
    yield registry._ENTRIES
    registry._ENTRIES.clear()
    registry._ENTRIES.update(known)


FIELDS = {"task": "classification", "input_shape": (4,), "classes": 2, "params": 10, "paper": "none",
          "data": ("digits",)}  # fmt: skip


def dense(inputs, classes, width=3):
    return keras.layers.Dense(classes, name="logits")(keras.layers.Dense(width, name="hidden")(inputs))


def test_a_variant_may_override_any_field(entries):
    own = {"task": "regression", "learner": "hinge", "dtype": "float16", "paper": "other", "data": ("diabetes",),
           "family": "linear", "learning_rate": 0.5, "classes": 3, "input_shape": (7,), "params": 1,
           "bars": registry.Bars(floor=0.1)}  # fmt: skip
    registry.register(**FIELDS, edge={"input_shape": (5,)}, variants={"wide": {**own, "width": 9}})(dense)
    base, wide = entries["dense"], entries["wide"]
    assert {field: getattr(wide, field) for field in own} == own
    assert base.task == "classification" and base.bars == registry.Bars() and wide.variants == ()
    assert wide.arguments("edge")["input_shape"] == (7,) and base.arguments("edge")["input_shape"] == (5,)
    assert {name: net.output_shape for name, net in registry.networks("wide", "edge").items()} == {"wide": (None, 3)}
    assert registry.build("wide").get_layer("hidden").units == 9
    assert [each.network for each in wide.deploy] == ["wide"]


def test_networks_are_a_dict_of_which_some_are_deployed_and_some_derived(entries):
    def pair(input_shape):
        nets = {}
        for name in ("sequence", "step"):
            x = keras.Input(input_shape, name="x")
            nets[name] = keras.Model(x, {"y": keras.layers.Dense(1, name="y")(x)}, name=name)
        return nets

    step = registry.Deployable(network="step", derived_from="sequence", states={"y": "x"})
    fields = {**FIELDS, "classes": 0, "networks": ("sequence", "step")}
    registry.register(**fields, deploy=(step,), variants={"both": {"params": 4, "deploy": ("sequence", step)}})(pair)
    built = registry.networks("pair")
    assert list(built) == ["sequence", "step"] == list(registry.build("pair"))
    assert list(registry.trained(built, entries["pair"].deploy)) == ["sequence"]
    assert list(registry.deployables("pair", built)) == ["step"]
    assert list(registry.deployables("both", built)) == ["sequence", "step"]
    fields["deploy"] = (registry.Deployable(network="step", derived_from="teacher"),)
    with pytest.raises(ValueError, match="teacher"):
        registry.register(**fields)(dense)


def test_states_are_those_that_the_networks_have(entries):
    def pair(depth=2):
        x = keras.Input((3,), name="x")
        caches = [keras.Input((3,), name=f"cache_{index}") for index in range(depth)]
        outputs = {"y": keras.layers.Dense(1, name="y")(x), "other_out": keras.layers.Dense(2, name="other")(x)}
        outputs |= {f"cache_{index}_out": cache + x for index, cache in enumerate(caches)}
        return {"step": keras.Model([x, *caches], outputs)}

    step = registry.Deployable(network="step", states={"*_out": "*"})
    fields = {**FIELDS, "classes": 0, "networks": ("step",), "deploy": (step,)}
    registry.register(**fields)(pair)
    for depth in (1, 3):
        (named,) = registry.with_states(entries["pair"].deploy, registry.networks("pair", depth=depth))
        assert named.states == {f"cache_{index}_out": f"cache_{index}" for index in range(depth)}


def test_a_model_may_have_no_network_for_a_device_and_say_why(entries):
    registry.register(**FIELDS, variants={"larger": {"deploy": "none: too large"}})(dense)
    assert entries["larger"].deploy == () and entries["larger"].undeployed == "too large"
    assert entries["dense"].deploy and not entries["dense"].undeployed
    with pytest.raises(ValueError, match="none: REASON"):
        registry.register(**FIELDS, deploy="step")(lambda inputs: inputs)


def test_one_network_is_called_and_deployed_as_its_model():
    assert list(registry.networks("lenet5", "edge")) == ["lenet5"]
    assert registry.get("lenet5").deploy == (registry.Deployable(network="lenet5"),)


def test_the_index_reads_what_the_registry_has(tmp_path):
    assert list(index.rows()) == registry.describe()
    source = """
FAMILY = "mine"
@register(task="a", params=1, paper="p", data=("d",), variants={"v": {"task": "b", "paper": "q", "family": "f",
    "params": 2, "width": 3}}, deploy=(Deployable(network="step"),), on_request=("n",))
def net(inputs): ...
"""
    (tmp_path / "own.py").write_text(source)
    net, variant = index._rows_of(tmp_path / "own.py")
    assert (net["task"], net["family"], net["variants"]) == ("a", "mine", ["v"])
    told = {"name": "v", "family": "f", "variants": [], "task": "b", "params": 2, "paper": "q", "data": ["d"],
            "on_request": ["n"]}  # fmt: skip
    assert variant == told


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


def test_no_initializer_is_made_before_a_model_is():
    """An initializer draws its seed when it is made: made with the module, its weights would differ in each process."""
    for path in sorted(Path(edgewright.models.__file__).parent.glob("*.py")):
        module = importlib.import_module(f"edgewright.models.{path.stem}".removesuffix(".__init__"))
        made = [name for name, value in vars(module).items() if isinstance(value, RandomInitializer)]
        assert not made, f"{path.name}: {made}"
