"""Text to image: the count of the paper, what tokens of a picture see, and a picture drawn step by step."""

import keras
import numpy as np
import pytest
from edgewright.errors import BadInput
from edgewright.models import registry
from edgewright.models.text_to_image import SandwichBlock
from edgewright.quantize.streaming import derive
from edgewright.training import data, tasks
from edgewright.training.data.captioned_codes import BEGIN, CODES, TEXT, TOKENS, WORDS, nearest, patches, prototypes
from edgewright.training.decoding import Speaker
from edgewright.training.runner import KerasRunner
from edgewright.training.tasks.text_to_image import drawn

TASK = tasks.get("text_to_image")
PLACES, CLASSES = 16, len(TOKENS)


def test_four_billion_parameters_by_formula():
    width = 2560
    block = 4 * (width * width + width) + 8 * width * width + 5 * width + 4 * 2 * width  # four norms a block
    transformer = 58_219 * width + 1088 * width + 48 * block + 2 * width
    decoder = 8192 * 256 + sum(16 * reads * made + made for reads, made in ((256, 256), (256, 128), (128, 64)))
    decoder += 9 * 64 * 3 + 3
    assert registry.get("cogview").params == transformer + decoder
    assert transformer == pytest.approx(4e9, rel=0.02)


def test_what_a_block_adds_is_normed_once_more():
    x, update = (keras.Input((2, 4)) for _ in range(2))
    block = SandwichBlock(heads=1, feed_forward=4, dropout=0.0, norm_first=True)
    added = keras.Model([x, update], block.add(x, update, "part"))
    zeros, row = np.zeros((1, 2, 4), "f4"), np.array([[[1.0, 3, 1, 3], [10, 30, 10, 30]]], "f4")
    np.testing.assert_allclose(added([zeros, row]), [[[-1, 1, -1, 1]] * 2], atol=1e-4)


@pytest.fixture(scope="module")
def model():
    """Return networks whose weights say something, their data and a runner."""
    probe = registry.networks("cogview", "edge", width=16)
    dataset = TASK.present("captioned_digits", probe, rebuilt=True, limit=64, test_limit=12)
    networks = registry.networks("cogview", "edge", classes=dataset.classes, seed=2, width=16, **dataset.sizes)
    for weight in networks["sequence"].trainable_weights:
        if "norm" not in weight.path:
            weight.assign((10 if "embedding" in weight.path else 3) * np.asarray(weight))
    deploy = registry.with_states(registry.get("cogview").deploy, networks)
    steps = {each.network: derive(networks[each.network], networks["sequence"], dict(each.states) or None)
             for each in deploy}  # fmt: skip
    return networks, dataset, KerasRunner({**networks, **steps}, deploy)


def test_all_tokens_of_the_text_tell_all_of_the_picture_and_no_later_one_does(model):
    _, dataset, run = model
    tokens = np.asarray(dataset.test.x)

    def said(place):
        """Return what changes at each position as the token of one does."""
        other = tokens.copy()
        other[:, place] = CODES + 5 if place < TEXT else (other[:, place] + 1) % CODES
        before, after = (np.asarray(run("sequence", {"tokens": each})["logits"]) for each in (tokens, other))
        return np.abs(after - before).max(-1)  # (N, T)

    for place in range(TEXT):
        changes = tokens[:, place] != CODES + 5
        assert (said(place)[changes, TEXT - 1 :] > 1e-4).all()
    for place in (TEXT, TEXT + 7, TEXT + PLACES - 1):
        changed = said(place)
        assert not changed[:, :place].any() and (changed[:, place] > 1e-4).all()


def test_steps_score_as_the_whole_and_tokens_of_the_text_do_not_count(model):
    _, dataset, run = model
    scores = TASK.evaluate(run, dataset)
    whole = np.asarray(run("sequence", {"tokens": dataset.test.x})["logits"])
    asked = slice(TEXT - 1, TEXT - 1 + PLACES)
    expected = TASK.metric.scores(whole[:, asked], dataset.test.y["logits"][:, asked])
    np.testing.assert_allclose(scores.rows.ravel(), expected.ravel(), atol=1e-4)
    np.testing.assert_array_equal(scores.unit, np.repeat(np.arange(12), PLACES))


def test_the_decoder_makes_what_the_sequence_net_does_of_the_last_tokens(model):
    _, dataset, run = model
    tokens = np.asarray(dataset.test.x)
    whole = run("sequence", {"tokens": tokens})["image"]
    np.testing.assert_allclose(run("decoder", {"codes": tokens[:, TEXT:]})["image"], whole, atol=1e-5)
    assert TASK.samples(dataset, "decoder", 5)["codes"].shape == (5, PLACES)


def test_pictures_are_drawn_of_codes_alone(model):
    _, dataset, run = model
    shown = TASK.pictures(run, dataset)
    assert {name: images.shape for name, images in shown.items()} == dict.fromkeys(
        ("samples", "decoded", "drawn"), (8, 8, 8, 1)
    )
    again = TASK.pictures(run, dataset)
    np.testing.assert_array_equal(shown["drawn"], again["drawn"])


def test_what_is_drawn_is_read_before_the_next():
    """A network that says the token after the one it reads, so that a picture counts on from the last of the text."""

    def step(network, inputs):
        return {"logits": 50.0 * np.eye(9)[(inputs["token"] + 1) % 5], "seen_out": inputs["seen"] + inputs["position"]}

    speaker = Speaker(run=step, network="step", count=1, length=9, first={"seen": np.zeros((1, 1))},
                      states={"seen_out": "seen"}, position="position")  # fmt: skip
    np.testing.assert_array_equal(drawn(speaker, np.array([[7, 1]]), codes=5, places=4), [[2, 3, 4, 0]])


def test_captions_tell_the_label_and_codes_the_picture():
    known = data.load("captioned_digits", task="text_to_image")
    digits = known.test.x[:, 1] - CODES - 2
    assert set(digits) == set(range(10)) and TOKENS.index(BEGIN) == known.test.x[0, 2]
    np.testing.assert_array_equal(known.test.x[:, 0] - CODES, digits % 2)
    assert WORDS[2:4] == ("zero", "one") and TOKENS[CODES + 2] == "zero"
    np.testing.assert_array_equal(known.test.x[:, 1:], known.test.y["logits"][:, :-1])
    assert known.test.x[:, TEXT:].max() < CODES <= known.test.x[:, :TEXT].min()
    pictures = known.test.y["image"]
    blocks, codes = patches(pictures), known.test.x[:, TEXT:]
    means = np.stack([blocks[codes == code].mean(0) for code in range(CODES) if (codes == code).any()])
    assert np.mean((means[nearest(blocks, means)] - blocks) ** 2) < 0.15 * blocks.var()
    with pytest.raises(BadInput, match="length of 18"):
        data.load("captioned_digits", input_shape=(18,), task="text_to_image")


def test_prototypes_are_means_of_what_is_near():
    x = np.array([[0.0], [0.2], [0.9], [1.1]])
    np.testing.assert_allclose(prototypes(x, 2), [[0.1], [1.0]])
    np.testing.assert_array_equal(patches(np.arange(16.0).reshape(1, 4, 4, 1))[0, 1], [2, 3, 6, 7])
