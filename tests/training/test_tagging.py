"""Tagging: sentences in their files, learners that go on with what was pruned or quantized, tables of the host."""

from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest
from edgewright import metrics
from edgewright.devices.model_file import ModelFile
from edgewright.devices.runner import tables_of
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.pipeline.facts import tables
from edgewright.prune import prepare_prune, strip_prune
from edgewright.quantize import prepare_qat
from edgewright.quantize.streaming import derive
from edgewright.training import learners, tasks
from edgewright.training.chains import viterbi
from edgewright.training.chunks import counted
from edgewright.training.config import TrainConfig
from edgewright.training.data import sets, tagging
from edgewright.training.data.grammar import Grammar
from edgewright.training.runner import KerasRunner
from edgewright.training.state import RunDir

CONLL = b"Confidence NN B-NP\nin IN B-PP\nthe DT B-NP\npound NN I-NP\n. . O\n\nHe PRP B-NP\nsaid VBD B-VP\n\n"
SMALL = {"conv_crf": {"input_shape": (16,), "width": 4, "units": 6}, "window_tagger": {"width": 8, "units": 24},
         "hidden_markov_model": {}, "elmo": {"input_shape": (8,), "units": 4}}  # fmt: skip
DATA = {"elmo": "scikit_learn_words"}


def presented(name, limit=64):
    """Return the trained networks of a model, all of them, its task and its data."""
    entry = registry.get(name)
    task, data = tasks.get(entry.task), DATA.get(name, "chunk_grammar")
    few = {"classes": 60} if name == "elmo" else {}
    networks = registry.networks(name, "edge", **SMALL[name], **few)
    learned = registry.trained(networks, entry.deploy)
    return learned, networks, task, task.present(data, learned, limit=limit, test_limit=24)


def learn(name, networks, task, dataset, out=None, **settings):
    entry = registry.get(name)
    config = TrainConfig(**{"learning_rate": 0.01, "epochs": 2, "schedule": "constant", **settings})
    keras.utils.set_random_seed(config.seed)
    return learners.get(entry.learner)(networks, dataset, task, config, RunDir(out))


def values(networks):
    return [np.asarray(weight) for network in networks.values() for weight in network.weights]


# ---------------------------------------------------------------- data


def asked(name, **options):
    entry = sets.source(name)
    given = {"input_shape": None, "dtype": None, "task": None, "vocabulary": None, **options}
    return sets.asked(entry, **given)


def test_words_are_read_with_their_chunks():
    sentences = tagging.read_conll(CONLL)
    assert sentences[1] == [("He", "B-NP"), ("said", "B-VP")] and len(sentences[0]) == 5
    parts = dict.fromkeys(("train", "validation", "test"), sentences * 2)
    dataset = tagging.presented("few", parts, asked("conll2000", input_shape=(4,), vocabulary=40), source=())
    x, y = dataset.train.x, dataset.train.y
    assert dataset.labels[y[0, 3]] == "I-NP" and (y[1, 2:] == tagging.HIDDEN).all() and (x[1, 2:] == 0).all()
    assert "2 longer sentences cut to 4 words" not in dataset.preprocessing and "6 longer" in dataset.preprocessing
    assert x[0, 0] >= tagging.UNKNOWN + tagging.SHAPES and x.max() < 40
    read = [tagging.plain(word) for word, _ in sentences[0][:4]]
    assert [dataset.tokens[token] for token in x[0]] == read and dataset.tokens[0] == "<pad>"


def test_a_word_that_is_not_known_is_told_by_its_ending_and_its_case():
    parts = dict.fromkeys(("train", "validation", "test"), tagging.read_conll(CONLL))
    dataset = tagging.presented("few", parts, asked("conll2000", input_shape=(5,)), source=())
    words = dataset.train.x[0]
    assert len(set(words)) == 2  # nothing is met twice: a capital, and what ends in nothing particular
    assert {dataset.tokens[word] for word in words} == {"<capital->", "<small->"}
    assert tagging.shape("Trading") != tagging.shape("trading") != tagging.shape("traded")
    assert tagging.plain("1990s") == "0000s" == tagging.plain("1991S")


def test_features_tell_the_word_its_neighbours_its_affixes_and_its_case():
    found = tagging.features(["The", "Dow-Jones", "fell"], 1)
    assert {"w0=dow-jones", "w-1=the", "w1=fell", "w2=</s>", "w-2=<s>", "w0,1=dow-jones|fell", "prefix=dow",
            "suffix=nes", "case0=Xx-Xx"} <= set(found)  # fmt: skip
    assert len(found) == tagging.FEATURES == len(tagging.features(["a"], 0))
    with pytest.raises(BadInput, match="20 features"):
        sets.source("chunk_grammar").load(asked("chunk_grammar", input_shape=(16, 3)))


@pytest.mark.skipif(not sets.source("conll2000").here(), reason="the official files are not on this machine")
def test_conll2000_as_published():
    dataset = sets.source("conll2000").load(asked("conll2000"))
    words = {part: int((split.y != tagging.HIDDEN).sum()) for part, split in dataset.splits.items()}
    assert len(dataset.train) + len(dataset.validation) == 8936 and len(dataset.test) == 2012
    assert words["train"] + words["validation"] == 211_727 and words["test"] == 47_377
    assert "whole sentences" in dataset.preprocessing and dataset.classes == 23


def test_the_grammar_is_a_function_of_its_seed_and_needs_more_than_the_word():
    assert Grammar(1).sentences(5) == Grammar(1).sentences(5) != Grammar(2).sentences(5)
    told = {}
    for sentence in Grammar(0).sentences(300):
        for word, tag in sentence:
            told.setdefault(word, set()).add(tag)
        tags = [tag for _, tag in sentence]
        assert not any(tag.startswith("I-") and before[2:] != tag[2:] for before, tag in pairwise(tags))
    assert sum(len(tags) > 1 for tags in told.values()) > 30


# ---------------------------------------------------------------- learners


@pytest.mark.parametrize("name", [pytest.param("conv_crf", marks=pytest.mark.slow), "window_tagger"])
def test_a_run_that_stopped_goes_on_to_the_same_bits(name, tmp_path):
    def train(epochs, out):
        trained, _, task, dataset = presented(name)
        return learn(name, trained, task, dataset, out, epochs=epochs), values(trained)

    rows, whole = train(2, None)
    train(1, tmp_path)
    state = np.load(tmp_path / "checkpoint.npz")
    note = bytes(state["_note"]).replace(b'"done": true', b'"done": false')
    np.savez(tmp_path / "checkpoint.npz", **{**state, "_note": np.frombuffer(note, np.uint8)})
    resumed, again = train(2, tmp_path)
    assert resumed == rows and rows[1]["val_loss"] < rows[0]["val_loss"]
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_chain_goes_on_with_emissions_that_are_pruned_or_quantized_and_stays_float_itself():
    trained, _, task, dataset = presented("conv_crf")
    learn("conv_crf", trained, task, dataset)
    given = task.samples(dataset, "emissions", 16)["tokens"]
    for kind in ("pruning", "qat"):
        emissions = prepare_prune(trained["emissions"])[0] if kind == "pruning" else \
            prepare_qat(trained["emissions"], calibration=given)[0]  # fmt: skip
        made = {"emissions": emissions, "transitions": keras.models.clone_model(trained["transitions"])}
        made["transitions"].set_weights(trained["transitions"].get_weights())
        learn("conv_crf", made, task, dataset)
        table = KerasRunner(made).table("transitions")
        assert (table != trained["transitions"].get_weights()[0]).any() and np.count_nonzero(table) > 0.9 * table.size
        before = learners.get("crf").validate(trained, dataset, task, TrainConfig())["val_loss"]
        assert learners.get("crf").validate(made, dataset, task, TrainConfig())["val_loss"] < before
    assert strip_prune(prepare_prune(trained["emissions"])[0]).count_params() == trained["emissions"].count_params()


def test_true_windows_score_above_corrupted_ones():
    trained, _, task, dataset = presented("window_tagger", limit=600)
    learn("window_tagger", trained, task, dataset, epochs=6)
    true = task.samples(replace(dataset, train=dataset.test), "window", 500)["words"]
    false = true.copy()
    false[:, 2] = np.random.default_rng(0).integers(1, dataset.vocabulary, len(true))
    run = KerasRunner(trained)
    ours, others = (run("window", {"words": windows})["score"] for windows in (true, false))
    assert (ours > others).mean() > 0.8 and ours.mean() > others.mean() + 0.5
    assert task.metric.reduce(task.evaluate(run, dataset).rows) > 0.6


def test_a_filter_tags_words_as_they_come_and_the_best_path_in_hindsight():
    trained, networks, task, dataset = presented("hidden_markov_model", limit=400)
    (row, *more) = learn("hidden_markov_model", trained, task, dataset)
    assert row["val_f1"] > 0.6 and all(np.isfinite(list(each.values())).all() for each in more)
    step = derive(networks["step"], trained["filter"], registry.get("hidden_markov_model").deploy[0].states)
    run = KerasRunner({**networks, "step": step}, registry.get("hidden_markov_model").deploy)
    words, lengths = np.asarray(dataset.test.x), (dataset.test.y != tagging.HIDDEN).sum(1)
    best = counted(viterbi(run.table("words")[words], lengths, run.table("transitions")), dataset.test.y, tagging.TAGS)
    filtered = task.metric.reduce(task.evaluate(run, dataset).rows)
    assert 0.6 < filtered < task.metric.reduce(best)  # who waits for the end of a sentence knows more


def test_perplexity_of_both_directions_counts_every_word_that_has_a_neighbour():
    trained, _, task, dataset = presented("elmo")
    before = task.evaluate(KerasRunner(trained), dataset)
    assert len(before.rows) == 24 * (8 + 7)  # each word by those before it, all but the last by those behind
    assert metrics.get("perplexity").reduce(before.rows) == pytest.approx(60, rel=0.1)
    rows = learn("elmo", trained, task, dataset, epochs=3)
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]


# ---------------------------------------------------------------- tables


def test_a_table_reaches_the_task_from_the_manifest():
    trained, _, task, dataset = presented("conv_crf")
    table = np.random.default_rng(0).normal(size=(25, 23)).astype("f4")
    trained["transitions"].set_weights([table])
    told = tables(registry.get("conv_crf").deploy, trained, "emissions")
    assert tables(registry.get("conv_crf").deploy, trained, "other") == {}
    file = ModelFile(name="a", path=None, format="tflite", manifest=told)
    np.testing.assert_array_equal(tables_of([file])["transitions"], table)

    class OnDevice(KerasRunner):
        def table(self, network):
            return tables_of([file])[network]

    scores = task.evaluate(OnDevice({"emissions": trained["emissions"]}), dataset)
    np.testing.assert_array_equal(scores.rows, task.evaluate(KerasRunner(trained), dataset).rows)
    trained["transitions"].set_weights([0 * table])
    assert (scores.rows != task.evaluate(KerasRunner(trained), dataset).rows).any()  # it has a say


def test_a_table_is_a_network_of_one_weight():
    trained, _, _, _ = presented("conv_crf")
    with pytest.raises(BadInput, match="a table is a network of one"):
        KerasRunner(trained).table("emissions")
    with pytest.raises(BadInput, match="no network 'moves'"):
        KerasRunner(trained).table("moves")


def test_networks_and_data_that_do_not_fit_are_refused():
    networks = registry.networks("conv_crf", "edge", **SMALL["conv_crf"])
    with pytest.raises(BadInput, match="'emissions'"):
        tasks.get("tagging").present("chunk_grammar", {"window": networks["emissions"]})
    with pytest.raises(BadInput, match="classes=23"):
        tasks.get("tagging").present("chunk_grammar", registry.networks("conv_crf", "edge", classes=4))
    with pytest.raises(BadInput, match="cannot serve task"):
        tasks.get("tagging").present("digits", networks)
