"""Rows that one net, one x and one y do not carry: a game, a step with states, a graph, an environment."""

import pickle

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.pipeline.find import find
from edgewright.pipeline.pruning import while_pruning
from edgewright.prune import prepare_prune
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import graphs, load, sets, sources
from edgewright.training.data.characters import windows
from edgewright.training.data.environments import play
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir
from edgewright.training.tasks.generative import latents, log_likelihoods

ROWS = {
    "gan_mlp": ("digits", {}),
    "char_rnn": ("scikit_learn_texts", {"input_shape": (8,), "units": 12}),
    "gcn": ("digits_graph", {}),
    "tabular_q": ("grid_world", {}),
}


def presented(name, **options):
    """Return the trained networks of a row, their step if it has one, its task and its data."""
    entry, (data, own) = registry.get(name), ROWS[name]
    task = tasks.get(entry.task)
    asked = {**own, **options}
    dataset = task.present(data, registry.networks(name, "edge", **asked), rebuilt=True, limit=64, test_limit=16)
    if dataset.classes:
        asked["classes"] = dataset.classes
    if name == "gcn":
        asked["input_shape"] = dataset.input_shape
    networks = registry.networks(name, "edge", **asked)
    return registry.trained(networks, entry.deploy), networks, task, dataset


def learned(name, networks, task, dataset, out=None, **settings):
    entry = registry.get(name)
    config = TrainConfig(**{"learning_rate": entry.learning_rate, "epochs": 2, "schedule": "constant", **settings})
    keras.utils.set_random_seed(config.seed)
    return learners.get(entry.learner)(networks, dataset, task, config, RunDir(out))


def values(networks):
    return [np.asarray(weight) for network in networks.values() for weight in network.weights]


# ---------------------------------------------------------------- what every row does


@pytest.mark.parametrize("name", ["gan_mlp", "tabular_q"])  # the others' loop is `fit`
def test_a_run_that_stopped_goes_on_to_the_same_bits(name, tmp_path):
    def train(epochs, out):
        trained, _, task, dataset = presented(name)
        history = learned(name, trained, task, dataset, out, epochs=epochs)
        return values(trained), history

    whole, rows = train(3, None)
    _, first = train(1, tmp_path)
    state = np.load(tmp_path / "checkpoint.npz")
    note = bytes(state["_note"]).replace(b'"done": true', b'"done": false')
    np.savez(tmp_path / "checkpoint.npz", **{**state, "_note": np.frombuffer(note, np.uint8)})
    again, resumed = train(3, tmp_path)
    assert first == rows[:1] and resumed == rows
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ROWS)
def test_pruned_and_quantized_networks_go_on_in_their_own_game(name):
    trained, networks, task, dataset = presented(name)
    for weight in trained["tabular_q"].weights if name == "tabular_q" else ():
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))  # of zeros nothing is left in eight bits
    for kind in ("pruning", "qat"):
        made = {}
        for network, model in trained.items():
            given = task.samples(dataset, network, 16)
            calibration = given if len(given) > 1 else next(iter(given.values()))
            made[network] = (
                prepare_prune(model)[0] if kind == "pruning" else prepare_qat(model, calibration=calibration)[0]
            )
        before = values(made)
        history = learned(name, made, task, dataset, learning_rate=0.01)
        assert len(history) == 2 and all(np.isfinite(list(row.values())).all() for row in history)
        assert any((one != other).any() for one, other in zip(before, values(made), strict=True))
        row = learners.get(registry.get(name).learner).validate(made, dataset, task, TrainConfig())
        assert row.keys() <= history[0].keys()
    if "step" in networks:
        states = registry.get(name).deploy[0].states
        made["step"] = derive(networks["step"], made["sequence"], states)
    scores = task.evaluate(KerasRunner(made, registry.get(name).deploy), dataset)
    assert np.isfinite(task.metric.reduce(scores.rows))
    assert len(scores.unit) == len(scores.rows)


@pytest.mark.parametrize("name", ROWS)
def test_calibration_is_in_the_networks_own_inputs(name):
    _, networks, task, dataset = presented(name)
    run = KerasRunner(networks, registry.get(name).deploy)
    for network in networks:
        given = task.samples(dataset, network, 5, seed=3)
        again = task.samples(dataset, network, 5, seed=3)
        assert all((given[key] == again[key]).all() for key in given)
        assert run.unroll(network, given) if network == "step" else run(network, given)


# ---------------------------------------------------------------- generation


def test_the_generator_never_sees_an_image():
    _, networks, task, dataset = presented("gan_mlp")
    assert dataset.input_shape == (64,) and dataset.train.x.min() == -1 and dataset.train.x.max() == 1
    drawn_from = task.samples(dataset, "generator", 500)
    assert drawn_from.keys() == {"z"} and drawn_from["z"].shape == (500, 16)
    assert abs(drawn_from["z"].mean()) < 0.1 and abs(drawn_from["z"].std() - 1) < 0.1
    (images,) = task.samples(dataset, "discriminator", 8).values()
    assert (images[:, None] == dataset.train.x[None]).all(-1).any(1).all()
    with pytest.raises(BadInput, match="'discriminator'"):
        task.present("digits", {"generator": networks["generator"]})


def test_a_discriminator_is_calibrated_on_drawn_samples_too():
    _, networks, task, dataset = presented("gan_mlp")
    run = KerasRunner(networks)
    (given,) = task.observed(run, dataset, "discriminator", 6, seed=3).values()
    (drawn,) = run("generator", task.samples(dataset, "generator", 3, seed=3)).values()
    np.testing.assert_allclose(given[3:], drawn, atol=1e-6)
    assert (given[:3, None] == dataset.train.x[None]).all(-1).any(1).all() and len(given) == 6
    asked = (task.observed(run, dataset, "generator", 5), task.samples(dataset, "generator", 5))
    np.testing.assert_array_equal(asked[0]["z"], asked[1]["z"])


def test_all_runners_are_judged_on_the_same_latents():
    _, networks, task, dataset = presented("gan_mlp")
    seen = []

    class Recorder(KerasRunner):
        def __call__(self, network, inputs):
            seen.append(inputs["z"])
            return super().__call__(network, inputs)

    first, second = (task.evaluate(Recorder(networks), dataset).rows for _ in range(2))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(first, second)
    assert (
        len(first) == len(dataset.test)
        and not (latents(np.random.default_rng(0), 4, {"z": (16,)})["z"] == seen[0][:4]).any()
    )


def test_parzen_windows_are_a_mixture_of_gaussians():
    from scipy.stats import multivariate_normal

    random = np.random.default_rng(0)
    points, kernels = random.normal(size=(7, 3)).astype("f4"), random.normal(size=(5, 3)).astype("f4")
    found = log_likelihoods(points, kernels, np.array([0.4, 1.0]))
    for row, width in zip(found, (0.4, 1.0), strict=True):
        density = np.mean([multivariate_normal(each, width**2).pdf(points) for each in kernels], axis=0)
        np.testing.assert_allclose(row, np.log(density), rtol=1e-4)


def test_training_images_themselves_are_likelier_than_noise():
    _, _, task, dataset = presented("gan_mlp")
    random = np.random.default_rng(0)

    class Drawing:
        def __init__(self, draw):
            self.draw = draw

        def __call__(self, network, inputs):
            return {"sample": self.draw(len(inputs["z"]))}

    real = Drawing(lambda count: dataset.train.x[random.integers(0, len(dataset.train), count)])
    noise = Drawing(lambda count: random.uniform(-1, 1, (count, 64)))
    likely, unlikely = (task.metric.reduce(task.evaluate(run, dataset).rows) for run in (real, noise))
    assert likely > unlikely + 0.2


# ---------------------------------------------------------------- characters


def test_windows_tell_the_next_character_and_keep_the_order_of_the_text():
    text = "".join(chr(97 + k % 26) for k in range(1000))
    entry = sets.source("scikit_learn_texts")
    asked = sets.asked(entry, input_shape=(10,), dtype=None, task=None, vocabulary=None)
    dataset = windows("alphabet", [text], asked, ("here",))
    assert dataset.classes == 26 and [len(split) for split in dataset.splits.values()] == [89, 4, 4]
    for split in dataset.splits.values():
        np.testing.assert_array_equal(split.y, (split.x + 1) % 26)
    assert dataset.validation.x[0, 0] == 900 % 26 and dataset.test.x[0, 0] == 950 % 26


def test_perplexity_falls_and_is_that_of_the_steps():
    trained, networks, task, dataset = presented("char_rnn")
    entry = registry.get("char_rnn")

    def judged():
        step = derive(networks["step"], trained["sequence"], entry.deploy[0].states)
        return task.evaluate(KerasRunner({**networks, "step": step}, entry.deploy), dataset)

    before = task.metric.reduce(judged().rows)
    learned("char_rnn", trained, task, dataset, epochs=6, learning_rate=0.02)
    scores = judged()
    logits = np.asarray(trained["sequence"](dataset.test.x))
    whole = task.metric.reduce(task.metric.scores(logits, dataset.test.y))
    assert task.metric.reduce(scores.rows) == pytest.approx(whole, rel=1e-4)
    assert whole < 0.6 * before == pytest.approx(0.6 * dataset.classes, rel=0.05)
    np.testing.assert_array_equal(np.unique(scores.unit, return_counts=True)[1], np.full(16, 8))


def test_a_net_of_fewer_characters_is_refused():
    with pytest.raises(BadInput, match="classes=91"):
        tasks.get("language_model").present("scikit_learn_texts", registry.networks("char_rnn", "edge"))


# ---------------------------------------------------------------- graphs


@pytest.mark.skipif(not sets.source("cora").here(), reason="the official files of Cora are not on this machine")
def test_cora_as_published():
    entry = sets.source("cora")
    dataset = entry.load(entry.native)
    told = {part: split.y[split.y != graphs.HIDDEN] for part, split in dataset.splits.items()}
    assert {part: len(labels) for part, labels in told.items()} == {"train": 140, "validation": 500, "test": 1000}
    np.testing.assert_array_equal(np.bincount(told["train"]), np.full(7, 20))
    adjacency = dataset.train.x["adjacency"][0]
    assert ((adjacency > 0).sum() - 2708) / 2 == 5278
    files = {part: sources.read(path) for part, path in zip(graphs.PARTS, graphs.CORA, strict=True)}
    _, labels, _, _ = graphs.read_planetoid(files)
    np.testing.assert_array_equal(np.bincount(labels), [351, 217, 418, 818, 426, 298, 180])


def test_no_node_is_of_two_splits_and_labels_of_others_are_hidden():
    _, _, _, dataset = presented("gcn")
    told = [set(np.flatnonzero(split.y[0] != graphs.HIDDEN)) for split in dataset.splits.values()]
    assert [len(nodes) for nodes in told] == [200, 500, 1097] and len(set.union(*told)) == 1797
    np.testing.assert_array_equal(np.bincount(dataset.train.y[dataset.train.y >= 0]), np.full(10, 20))


def test_only_told_nodes_are_learned_from_and_judged():
    _, _, task, dataset = presented("gcn")
    logits = np.random.default_rng(0).normal(size=(1, 1797, 10)).astype("f4")
    truth = dataset.train.y
    nodes = np.flatnonzero(truth[0] != graphs.HIDDEN)
    exact = -np.log(np.exp(logits[0, nodes, truth[0, nodes]]) / np.exp(logits[0, nodes]).sum(-1)).mean()
    assert float(task.loss(0.1)(truth, logits)) == pytest.approx(exact, rel=1e-5)
    scores = task.evaluate(lambda network, inputs: {"logits": logits}, dataset)
    tested = np.flatnonzero(dataset.test.y[0] != graphs.HIDDEN)
    np.testing.assert_array_equal(scores.unit, tested)
    np.testing.assert_array_equal(scores.rows[:, 0], logits[0, tested].argmax(-1) == dataset.test.y[0, tested])


class Hostile:
    def __reduce__(self):
        return print, ("read",)


def test_a_pickle_that_asks_for_more_than_arrays_is_refused(capsys):
    with pytest.raises(BadInput, match="only arrays"):
        graphs.plain(pickle.dumps(Hostile(), protocol=2))
    assert not capsys.readouterr().out


def test_a_sparse_matrix_with_indices_outside_is_refused():
    matrix = graphs.Csr()
    parts = {"data": np.ones(1), "indices": np.array([9], np.int32), "indptr": np.array([0, 1], np.int32)}
    matrix.__setstate__({**parts, "_shape": (1, 3)})
    with pytest.raises(BadInput, match="damaged"):
        matrix.dense()


# ---------------------------------------------------------------- episodes


def test_episodes_are_a_function_of_their_seeds():
    def act(states):
        return (states.argmax(-1) + np.arange(len(states))) % 4 if len(states) == 6 else states.argmax(-1) % 4

    one, again = (play("grid_world", [5, 6, 7, 8, 9, 10], act) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(one)) > 1


def test_a_runner_is_asked_once_a_move_for_all_that_still_run():
    _, networks, task, dataset = presented("tabular_q")
    sizes = []

    class Counting(KerasRunner):
        def __call__(self, network, inputs):
            sizes.append(len(inputs["inputs"]))
            return super().__call__(network, inputs)

    scores = task.evaluate(Counting(networks), dataset)
    assert sizes[0] == 16 and sizes == sorted(sizes, reverse=True) and len(sizes) <= 100
    assert scores.rows.shape == (16, 1) and task.metric.higher_is_better


def test_q_learning_finds_the_way():
    trained, _, task, dataset = presented("tabular_q")
    learned("tabular_q", trained, task, dataset, epochs=12, schedule="cosine")
    scores = task.evaluate(KerasRunner(trained), dataset)
    assert task.metric.reduce(scores.rows) > 0.4  # who does not find the end gains -4, the best policy 0.7


def test_a_net_of_other_states_is_refused():
    with pytest.raises(BadInput, match="11"):
        tasks.get("episodic").present("grid_world", registry.networks("linear_q"))
    with pytest.raises(BadInput, match="cart_pole"):
        tasks.get("episodic").present("digits", registry.networks("tabular_q"))
    with pytest.raises(BadInput, match="generation"):
        load("grid_world", task="generation")


# ---------------------------------------------------------------- as the stages find them


def test_a_graph_leads_the_shape_of_its_net_and_a_world_too():
    work = find("gcn", "digits_graph", preset="edge")
    assert {name: model.input_shape for name, model in work.make().items()} == {
        "gcn": [(None, 1797, 1797), (None, 1797, 64)]
    }
    (network,) = find("tabular_q", "cart_pole", preset="edge").make().values()
    assert network.input_shape == (None, 4) and network.output_shape == (None, 2)


def test_a_step_is_derived_of_what_is_being_pruned():
    work = find("char_rnn", "scikit_learn_texts", preset="edge")
    networks = work.make()
    pruning, _ = prepare_prune(networks["sequence"])
    step = while_pruning(work).complete({**networks, "sequence": pruning})["step"]
    kernel = np.asarray(step.get_layer("logits").kernel)
    assert (kernel == 0).mean() == pytest.approx(0.5, abs=0.01)
