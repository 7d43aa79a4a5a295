"""Translation on two levels: sizes by formula, steps against the sequence net, what reads letters and what does not."""

import numpy as np
import pytest
from edgewright.models import registry
from edgewright.quantize.streaming import derive
from edgewright.training.runner import KerasRunner

R = np.random.default_rng(0)
NAMES = ("char_hierarchical_seq2seq", "hybrid_nmt")
CLASSES, LETTERS, PLACES, LONGEST = 11, 9, 3, 4


def lstm(reads, units):
    return 4 * units * (reads + units + 1)


def test_sizes_by_formula():
    composed = 300 * 50 + 2 * lstm(50, 150) + 301 * 1000
    words = 8 * lstm(1000, 1000) + 1000**2 + 2000 * 1000
    hybrid = 2 * 200 * 1024 + 2 * lstm(1024, 1024) + 201 * 1024 - 1024 + 200  # letters: tables, readers, the last layer
    hybrid += 2 * 10_000 * 1024 + 8 * lstm(1024, 1024) + 1024**2 + 2 * 2048 * 1024 + 1025 * 10_000
    sizes = {"char_hierarchical_seq2seq": 2 * composed + words + 300 * 50 + lstm(50, 1000) + 1001 * 300,
             "hybrid_nmt": hybrid}  # fmt: skip
    assert {name: registry.get(name).params for name in sizes} == sizes


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    """Return networks with weights sharper than fresh ones, steps derived, as a runner; and pairs."""
    name = request.param
    entry = registry.get(name)
    shape = {each: (PLACES, LONGEST)[: len(size)] for each, size in entry.input_shape.items()}
    sizes = {"letters": LETTERS} if name == "hybrid_nmt" else {}
    networks = registry.networks(name, "edge", seed=3, input_shape=shape, classes=CLASSES, units=8, letter=4, **sizes)
    for weight in networks["sequence"].trainable_weights:
        weight.assign(3 * np.asarray(weight))
    deploy = registry.with_states(entry.deploy, networks)
    steps = {each.network: derive(networks[each.network], networks["sequence"], dict(each.states) or None)
             for each in deploy}  # fmt: skip
    most = {each: LETTERS if each.endswith("letters") or len(size) > 1 else CLASSES for each, size in shape.items()}
    pairs = {each: R.integers(1, most[each], (5, *size)).astype("int32") for each, size in shape.items()}
    pairs["source"][:2, 2:] = 0
    return name, KerasRunner({**networks, **steps}, deploy), pairs, deploy


def test_steps_reproduce_the_sequence_net_word_by_word_and_letter_by_letter(model):
    name, run, pairs, deploy = model
    whole = run("sequence", pairs)
    letters = whole.get("letters", next(iter(whole.values())))
    made = run("encoder", {each: values for each, values in pairs.items() if each.startswith("source")})
    states = {each.network: set(each.states.values()) for each in deploy}
    held = {each: value for each, value in made.items() if each not in states["step"]} | {"source": pairs["source"]}
    first = {each: made[each] for each in states["step"]}
    said = run.unroll("step", {"token": pairs["target"][:, :, None]}, first=first, held=held)
    if name == "hybrid_nmt":
        np.testing.assert_allclose(said["logits"].reshape(whole["logits"].shape), whole["logits"], atol=1e-4)
    words = said["word"].reshape(5 * PLACES, -1)
    given = {"token": pairs["target_letters"].reshape(-1, LONGEST, 1)}
    spelled = run.unroll("spelling", given, first={"word": words})["logits"].reshape(letters.shape)
    np.testing.assert_allclose(spelled, letters, atol=1e-4)
    assert np.ptp(letters) > 0.5 and np.abs(np.diff(letters, axis=0)).max() > 0.1


def test_letters_of_the_source_are_read_where_they_count(model):
    """Those of every word of a hierarchical net; those of unknown words (id 3) of a hybrid one, and of no other."""
    name, run, pairs, _ = model
    side = "source_letters" if name == "hybrid_nmt" else "source"
    pairs = {**pairs, "source": np.where(pairs["source"] == 3, 4, pairs["source"])}
    other = {**pairs, side: pairs[side].copy()}
    other[side][0, 1] = other[side][0, 1] % (LETTERS - 1) + 1

    def memories(unknown):
        both = [{**each, "source": each["source"].copy()} for each in (pairs, other)]
        for each in both:
            if unknown:
                each["source"][0, 1] = 3
        return [run("encoder", {k: v for k, v in each.items() if k.startswith("source")})["memory"] for each in both]

    before, after = memories(unknown=name == "hybrid_nmt")
    assert np.abs(before[0] - after[0]).max() > 1e-3
    np.testing.assert_array_equal(before[1:], after[1:])
    if name == "hybrid_nmt":
        before, after = memories(unknown=False)
        np.testing.assert_array_equal(before, after)
