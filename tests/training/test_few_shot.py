"""Episodes, what a host makes of a support set, and how a head is judged by it: by hand."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.training import few_shot, learners, tasks
from edgewright.training.config import TrainConfig
from edgewright.training.data import Split, handwriting, load, sources
from edgewright.training.few_shot import descended, episodes, loss_and_gradient, readable
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

RANDOM = np.random.default_rng(0)


def a_split(kinds=6, each=4, group=None):
    labels = np.repeat(np.arange(kinds), each).astype(np.int32)
    return Split(x=np.arange(kinds * each, dtype=np.float32)[:, None], y=labels, group=group)


def test_an_episode_has_ways_classes_and_no_sample_twice():
    split = a_split()
    drawn = episodes(split, ways=5, shots=2, queries=2, count=50, random=np.random.default_rng(0))
    assert drawn.support.shape == (50, 5, 2) and drawn.queries.shape == (50, 10)
    for support, queries, labels in zip(drawn.support, drawn.queries, drawn.labels, strict=True):
        kinds = split.y[support]  # (ways, shots)
        assert (kinds == kinds[:, :1]).all() and len(set(kinds[:, 0])) == 5
        np.testing.assert_array_equal(split.y[queries], kinds[labels, 0])
        assert len({*support.ravel(), *queries}) == 20


def test_an_episode_keeps_to_a_group_and_too_few_samples_are_refused():
    group = np.repeat([0, 1], 12)
    drawn = episodes(a_split(group=group), ways=3, shots=1, queries=1, count=40, random=np.random.default_rng(0))
    of = group[drawn.support[..., 0]]
    assert (of == of[:, :1]).all() and len(set(of[:, 0])) == 2
    with pytest.raises(BadInput, match="4 ways of 2 samples"):
        episodes(a_split(group=group), ways=4, shots=1, queries=1, count=1, random=RANDOM)
    with pytest.raises(BadInput, match="5 ways of 5 samples"):
        episodes(a_split(), ways=5, shots=1, queries=4, count=1, random=RANDOM)


def test_the_gradient_of_a_last_layer_is_that_of_differences():
    samples, truth = RANDOM.normal(size=(1, 4, 3)), np.eye(2)[[0, 0, 1, 1]]
    weights = RANDOM.normal(size=(1, 3, 2))
    gradient = np.asarray(loss_and_gradient(samples, truth, weights)[1])
    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-2
        ahead, behind = (np.asarray(loss_and_gradient(samples, truth, weights + way * step)[0]) for way in (1, -1))
        np.testing.assert_allclose(gradient[place], (ahead - behind)[0] / 2e-2, atol=2e-4)


def test_a_step_from_zero_points_from_the_mean_of_all_to_that_of_the_class():
    support = RANDOM.normal(size=(1, 2, 3, 4)).astype(np.float32)  # two ways, three shots
    weights = np.asarray(descended(support, np.zeros((5, 2), np.float32), np.float32([[0.5]])))[0]
    wanted = 0.5 * (support[0, 0].sum(0) - support[0, 1].sum(0)) / 6 / 2
    np.testing.assert_allclose(weights[:-1, 0], wanted, atol=1e-6)
    np.testing.assert_allclose(weights[:-1, 1], -wanted, atol=1e-6)
    np.testing.assert_allclose(weights[-1], 0, atol=1e-7)  # as many samples of both


def test_numbers_of_any_size_are_told_as_two_of_about_one():
    size, sign = readable(np.float32([np.e**-5, -(np.e**-5), np.e**-11, 0.0]))
    np.testing.assert_allclose(np.asarray(size), [-0.5, -0.5, -1, -1], atol=1e-6)
    np.testing.assert_allclose(np.asarray(sign), [1, -1, np.e**-1, 0], atol=1e-6)


def head_of(name, **sizes):
    return registry.networks(name, "edge", input_shape=(16, 16, 1), maps=(4, 4, 4, 4), **sizes)["head"]


def said(head, query, **given):
    return KerasRunner({"head": head})("head", {"query": query, **given})["said"]


def test_a_prototype_scores_by_squared_distance_and_a_match_by_the_cosine():
    query = np.float32([[3, 4, 0, 0]])
    rows = np.float32([[[3, 4, 0, 0], [0, 0, 0, 2], [-3, -4, 0, 0], [4, -3, 0, 0], [0, 0, 0, 0]]])
    score = said(head_of("prototypical_network"), query, prototypes=rows)
    np.testing.assert_allclose(score, [[0, -29, -100, -50, -25]], atol=1e-4)
    cosines = said(head_of("matching_network", sharpness=1.0), query, support=rows[:, :, None])
    np.testing.assert_allclose(cosines, [[1, 0, -1, 0, 0]], atol=1e-5)


def test_attention_of_several_shots_is_summed_by_class():
    query = np.float32([[1, 0, 0, 0]])
    support = np.zeros((1, 2, 2, 4), np.float32)
    support[0, :, :, :2] = [[[1, 0], [0, 1]], [[0, -1], [-1, 0]]]  # cosines 1, 0 and 0, -1
    score = said(head_of("matching_network", classes=2, shots=2, sharpness=1.0), query, support=support)
    chances = np.exp(score) / np.exp(score).sum()
    cosines = np.exp([1, 0, 0, -1])
    np.testing.assert_allclose(chances[0], [cosines[:2].sum() / cosines.sum(), cosines[2:].sum() / cosines.sum()],
                               atol=1e-5)  # fmt: skip


def test_the_head_of_snail_sees_labels_and_not_the_order_of_what_comes_behind():
    head = head_of("snail", vector=4)
    support = RANDOM.normal(size=(1, 5, 1, 4)).astype(np.float32)
    query = RANDOM.normal(size=(1, 4)).astype(np.float32)
    swapped = said(head, query, support=support[:, [1, 0, 2, 3, 4]])
    assert not np.allclose(said(head, query, support=support), swapped)


@pytest.fixture(scope="module")
def small():
    """Made-up characters of 16x16 pixels, fewer of them, and a prototypical network before any training."""
    nets = registry.networks("prototypical_network", "edge", input_shape=(16, 16, 1), maps=(8, 8, 8, 8))
    dataset = tasks.get("few_shot").present("strokes", nets, limit=400, test_limit=60)
    return nets, dataset


def test_characters_of_one_split_are_in_no_other_and_limits_are_classes_and_episodes(small):
    dataset = small[1]
    assert dataset.classes == 5 and dataset.episodes == 60
    assert len(dataset.train) == 400 and set(np.bincount(dataset.train.y)) == {20}
    assert len(load("strokes", input_shape=(16, 16, 1)).train) == 1280
    pictures = [np.unique(split.x.reshape(len(split), -1), axis=0) for split in dataset.splits.values()]
    assert len(np.unique(np.concatenate(pictures), axis=0)) == sum(map(len, pictures))


def test_training_in_episodes_learns_what_tells_new_characters_apart(small):
    nets, dataset = small
    task, learner = tasks.get("few_shot"), learners.get("episodes")
    before = task.metric.reduce(task.evaluate(KerasRunner(nets), dataset).rows)
    history = learner(nets, dataset, task, TrainConfig(epochs=2, batch_size=16, passes=3), RunDir(None))
    scores = task.evaluate(KerasRunner(nets), dataset)
    assert len(scores.units) == 60 and scores.rows.shape == (300, 1)
    assert task.metric.reduce(scores.rows) > before + 0.05 and history[-1]["loss"] < history[0]["loss"]
    shown = task.pictures(KerasRunner(nets), dataset)
    assert {name: len(images) for name, images in shown.items()} == {"learned from": 5, "queries": 5, "taken for": 5}


@pytest.mark.parametrize("name", ["maml", "meta_lstm", "relation_network", "fine_tuned_classifier"])
def test_what_is_learned_with_moves_all_that_learns(name):
    nets = registry.networks(name, "edge", maps=(4, 4, 4, 4))
    task = tasks.get("few_shot")
    dataset = task.present("strokes", nets, limit=400, test_limit=4)
    learner = learners.get(registry.get(name).learner)
    before = {key: [np.array(each) for each in net.trainable_variables] for key, net in nets.items()}
    learner(nets, replace(dataset, validation=dataset.train), task, TrainConfig(epochs=1, batch_size=128), RunDir(None))
    for key, net in nets.items():
        moved = [not np.array_equal(old, np.array(new))
                 for old, new in zip(before[key], net.trainable_variables, strict=True)]  # fmt: skip
        assert all(moved), key


def test_an_optimizer_is_asked_with_what_it_said_last():
    seen = []

    def ask(network, inputs):
        seen.append({name: np.asarray(values) for name, values in inputs.items()})
        return {f"{name}_out": inputs[name] + 1 for name in ("weights", "hidden", "cell", "kept", "rate")}

    widths = {"hidden": 2, "cell": 2, "kept": 1, "rate": 1}
    host = few_shot.Host(ask=ask, table=lambda name: np.ones((3, 2), np.float32), networks=("start", "optimizer"),
                         wanted=("query", "kernel", "bias"), states=widths)  # fmt: skip
    made = host.learned(np.zeros((1, 2, 1, 2), np.float32))
    assert len(seen) == few_shot.UPDATES and seen[0]["told"].shape == (1, 6, 4)
    np.testing.assert_array_equal(seen[-1]["hidden"], np.full((1, 6, 2), few_shot.UPDATES - 1))
    np.testing.assert_array_equal(np.asarray(made["kernel"]), np.full((1, 2, 2), few_shot.UPDATES + 1))
    np.testing.assert_array_equal(np.asarray(made["bias"]), np.full((1, 2), few_shot.UPDATES + 1))


def test_wrong_options_data_and_networks_are_refused(small):
    nets, _ = small
    with pytest.raises(BadInput, match="queries=0"):
        learners.get("episodes:queries=0")
    with pytest.raises(BadInput, match="together=0"):
        learners.get("episodes:together=0")
    with pytest.raises(BadInput, match="squared=2"):
        learners.get("episodes:squared=2")
    with pytest.raises(BadInput, match="needs a network 'head'"):
        tasks.get("few_shot").present("strokes", {"embedding": nets["embedding"]})
    matching = registry.networks("matching_network", "edge")
    with pytest.raises(BadInput, match="shots=3"):
        tasks.get("few_shot").present("strokes", matching, shots=3)
    narrow = registry.networks("fine_tuned_classifier", "edge", base=10)
    dataset = tasks.get("few_shot").present("strokes", narrow, test_limit=2)
    with pytest.raises(BadInput, match="base=64"):
        learners.get("episodes")(narrow, dataset, tasks.get("few_shot"), TrainConfig(epochs=1), RunDir(None))


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Archives of the official form, of a few tiny black and white pictures."""
    import io

    from matplotlib.image import imsave

    def picture(ink):
        pixels, file = np.ones((105, 105), np.float32), io.BytesIO()
        pixels[ink : ink + 10, 40:60] = 0
        imsave(file, pixels, cmap="gray", format="png", vmin=0, vmax=1)
        return file.getvalue()

    folder = tmp_path / "omniglot" / "one-shot-classification"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder.parent / "images_background_small1.zip", "w") as archive:
        for alphabet in ("Greek", "Latin"):
            for character in (1, 2):
                for drawer in (1, 2):
                    archive.writestr(f"images_background_small1/{alphabet}/character0{character}/0{character}_{drawer}.png",
                                     picture(10 * character + drawer))  # fmt: skip
    with zipfile.ZipFile(folder / "all_runs.zip", "w") as archive:
        for run in ("run01", "run02"):
            archive.writestr(f"{run}/class_labels.txt", "".join(
                f"{run}/test/item{k}.png {run}/training/class{3 - k}.png\n" for k in (1, 2)))  # fmt: skip
            for k in (1, 2):
                archive.writestr(f"{run}/test/item{k}.png", picture(k))
                archive.writestr(f"{run}/training/class{k}.png", picture(90 - k))
    monkeypatch.setenv("EDGEWRIGHT_DATA", str(tmp_path))
    monkeypatch.setattr(sources, "verify", lambda path, content: None)


def test_official_archives_are_read_turned_and_grouped_by_run(official):
    dataset = load("omniglot", input_shape=(28, 28, 1))
    assert [len(split) for split in dataset.splits.values()] == [16, 4, 8]
    assert len(np.unique(dataset.train.y)) == 8  # two Latin characters in four turns
    assert dataset.train.x.min() >= 0 and 0.8 < dataset.train.x.max() <= 1  # ink is 1, paper 0
    np.testing.assert_allclose(dataset.train.x[4:8], np.rot90(dataset.train.x[:4], 1, (1, 2)))
    assert dataset.test.group.tolist() == [0] * 4 + [1] * 4
    pairs = dataset.test.y.reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all() and len(np.unique(pairs)) == 4


def test_the_official_set_has_its_published_counts():
    if not all(map(sources.find, (handwriting.BACKGROUND, handwriting.RUNS))):
        pytest.skip("the official files are not here")
    dataset = load("omniglot", input_shape=(14, 14, 1))
    assert [len(split) for split in dataset.splits.values()] == [4 * 112 * 20, 24 * 20, 800]
    assert [len(np.unique(split.y)) for split in dataset.splits.values()] == [448, 24, 400]
