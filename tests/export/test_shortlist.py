"""A shortlist of tokens: what is kept answers as it did, by any decoder, and what is left out is never said."""

import functools
from dataclasses import replace

import edgewright
import keras
import numpy as np
import pytest
from edgewright.cli import main
from edgewright.devices.measure import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.errors import BadInput
from edgewright.export import EXPORTERS
from edgewright.pipeline import find, shortlisting
from edgewright.pipeline.exporting import export, to_export
from edgewright.pipeline.measuring import parity
from edgewright.pipeline.plan import planned
from edgewright.pipeline.run import RunConfig, execute
from edgewright.pipeline.saved import save_networks
from edgewright.shortlists import Shortlist
from edgewright.training import decoding
from edgewright.training.data import translation
from edgewright.training.data.marks import EOS, SPECIAL

NETS = {  # a layer of its own with a bias, and the table that tokens are looked up in
    "luong_dot": {"embedding": 12, "units": 12},
    "transformer_base": {"depth": 1, "width": 16, "heads": 2, "feed_forward": 16},
}
COUNT, KINDS = 5, 120  # sentences, and tokens, of which the data have some less


def sharpened(name, kinds):
    """Return a net, its weights sharpened so that its sentences differ, and its workload."""
    random = np.random.default_rng(0)
    made = edgewright.build(name, "edge", input_shape={"source": (12,), "target": (8,)}, classes=kinds, **NETS[name])
    for weight in made["sequence"].trainable_weights:
        more = 0.1 * random.normal(size=weight.shape)
        weight.assign((3 if name == "luong_dot" else 1.3) * np.asarray(weight) + more)
    networks, work = find.of(made, "number_words", limit=64)
    return work, work.complete(networks)


@pytest.fixture(scope="module", params=NETS)
def net(request):
    """A net, its workload, and the tokens it may keep: every third."""
    work, networks = sharpened(request.param, KINDS)
    return work, networks, sorted({EOS, *range(1, len(work.dataset.labels), 3)})


@pytest.fixture(scope="module")
def wholes(net, tmp_path_factory):
    """What the whole files answer and say, by format and precision, each asked once."""

    @functools.cache
    def asked(*form):
        with open_runner(written(net, tmp_path_factory.mktemp("whole"), *form)) as run:
            return stepped(net[0], run), spoken(net[0], run)

    return asked


def written(net, folder, format, precision, shortlist=None):
    """Return the files of a net, its step cut."""
    work, networks, _ = net
    files = {}
    for name in ("encoder", "step"):
        model, samples = to_export(networks, work, name, precision)
        artifact = EXPORTERS[format](
            model, precision=precision, calibration=samples, name=f"{name}-{len(shortlist or ())}",
            states=work.states(name), shortlist=shortlist if name == "step" else None, manifest={"network": name},
        )  # fmt: skip
        assert artifact.manifest["verified"] and ("shortlist" in artifact.manifest) == (
            name == "step" and bool(shortlist)
        )
        files[name] = ModelFile.read(artifact.save(folder / f"{artifact.name}{artifact.suffix}"))
    return files


def spoken(work, run):
    each = work.task.speaker(run, work.dataset, work.dataset.test.x["source"][:COUNT])
    return decoding.greedy(each), decoding.beam(each, 1), decoding.beam(each, 3)


def stepped(work, run):
    """Return the logits of true sentences."""
    source = work.dataset.test.x["source"][:COUNT]
    each = work.task.speaker(run, work.dataset, source)
    given = {"token": work.dataset.test.x["target"][:COUNT, :, None]}
    if each.position:
        given["position"] = np.tile(np.arange(given["token"].shape[1], dtype="i4")[None, :, None], (COUNT, 1, 1))
    return run.unroll("step", given, first=each.first, held=each.held)["logits"]


@pytest.mark.parametrize("form", [("tflite", "float32"), ("tflite", "w8a8-ptq"), ("onnx", "w8a8-ptq")])  # fmt: skip
def test_what_is_kept_answers_as_it_did_and_nothing_else_is_said(net, wholes, form, tmp_path):
    work, _, ids = net
    whole, said = wholes(*form)
    with open_runner(written(net, tmp_path, *form, shortlist=ids)) as run:
        cut, short = stepped(work, run), spoken(work, run)
    assert cut.shape == whole.shape and len(ids) < whole.shape[-1] / 2
    left = np.delete(np.arange(whole.shape[-1]), ids)
    assert np.isneginf(cut[..., left]).all()
    if form[1] == "float32":  # another size of a product may add up in another order
        np.testing.assert_allclose(cut[..., ids], whole[..., ids], rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(cut[..., ids], whole[..., ids])
        assert len(np.unique(cut[..., ids])) > 20
    for ours in short:
        assert np.isin(ours, [0, *ids]).all() and len({tuple(row) for row in ours}) > 1
    np.testing.assert_array_equal(short[0], short[1])  # fed back on the device, and by the host
    assert not np.isin(said[0], [0, *ids]).all()


@pytest.mark.parametrize("precision", ["float32", "w8a8-ptq"])
def test_all_kept_say_the_same(net, wholes, precision, tmp_path):
    work, everything = net[0], range(KINDS)
    _, expected = wholes("tflite", precision)
    with open_runner(written(net, tmp_path, "tflite", precision, shortlist=everything)) as run:
        for ours, theirs in zip(spoken(work, run), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_file_becomes_smaller_by_the_rows_and_the_network_is_untouched(net):
    work, networks, ids = net
    before = networks["step"].get_weights()
    sizes = [len(EXPORTERS["tflite"](networks["step"], shortlist=kept).data) for kept in (range(KINDS), ids)]
    read = 12 + 1 if work.name == "luong_dot" else 16  # of each row, and a bias
    assert sizes[0] - sizes[1] == pytest.approx(4 * read * (KINDS - len(ids)), rel=0.05)
    for ours, theirs in zip(networks["step"].get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_files_of_a_run_are_cut_but_for_those_they_are_judged_against(net):
    work, networks, ids = net
    formats = [("float", "tflite", "float32"), ("float", "onnx", "float32"), ("float", "tflite", "float16")]
    files = [file for file in planned(work, formats, {"float": ""}) if file.network == "step"]
    made = {file.name: artifact.manifest for file, artifact in export({"float": networks}, work, files, shortlist=ids)}
    assert [Shortlist.read(each) is not None for each in made.values()] == [False, False, True]
    assert [next(end["shape"][-1] for end in each["outputs"] if end["name"] == "logits") for each in made.values()] == [
        KINDS, KINDS, len(ids),
    ]  # fmt: skip


def test_integers_at_the_borders_are_cut_too(net):
    work, networks, ids = net
    model, _ = to_export(networks, work, "step", "w8a8-ptq")
    for kind in ("int8", "uint8"):
        made = EXPORTERS["tflite"](model, integer_io=kind, shortlist=ids).manifest
        (end,) = (end for end in made["outputs"] if end["name"] == "logits")
        assert end["dtype"] == kind and end["shape"][-1] == len(ids)


# ---------------------------------------------------------------- what is refused


def test_what_cannot_be_cut_is_refused_by_name(net):
    networks = net[1]
    for wrong, words in (
        ([], "keeps no token"), ([1, KINDS], f"{KINDS} is no token"), ([3, 1], "must ascend"),
        (["a"], "whole numbers"), ([1.5], "whole numbers"), ("17", "give the ids"), (5, "give the ids"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=words):
            EXPORTERS["tflite"](networks["step"], shortlist=wrong)
    with pytest.raises(BadInput, match="model 'encoder' has no output 'logits'"):
        EXPORTERS["onnx"](networks["encoder"], shortlist=[1, 2])


@pytest.mark.parametrize("precision", ["float32", "w8a8-ptq"])
def test_logits_that_no_dense_layer_makes_alone_are_refused(precision):
    inputs = keras.Input((4,), name="token")
    made = keras.layers.Dense(6, name="dense")(inputs)
    model = keras.Model(inputs, {"logits": keras.layers.Add(name="sum")([made, keras.ops.tanh(made)])}, name="odd")
    with pytest.raises(BadInput, match=r"'logits' of model 'odd' is made by (sum|Binary)"):
        samples = np.random.default_rng(0).normal(size=(16, 4)).astype("f4")
        EXPORTERS["tflite"](model, precision=precision, calibration=samples, shortlist=[0, 2])


def test_a_list_without_the_end_is_refused_before_decoding(net, tmp_path):
    work = net[0]
    files, lacks = (
        written(net, tmp_path, "tflite", "float32", shortlist=[1, 5, 6]),
        "shortlist of 3 tokens lacks 2, which",
    )
    with open_runner(files) as run, pytest.raises(BadInput, match=lacks):
        spoken(work, run)


# ---------------------------------------------------------------- which tokens


def test_the_likeliest_are_counted_in_training_targets(net):
    dataset = net[0].dataset
    y = np.array([[5, 7, 7, 2], [7, 9, 9, 2], [9, 6, 2, 0]], np.int32)
    dataset = replace(dataset, train=replace(dataset.train, y=y))
    assert shortlisting.likely(dataset, 6) == (0, 1, 2, 3, 7, 9)
    assert shortlisting.likely(dataset, 7) == (0, 1, 2, 3, 5, 7, 9)  # of 5 and 6 the first
    assert shortlisting.likely(dataset, len(dataset.labels)) == tuple(range(len(dataset.labels)))
    with pytest.raises(BadInput, match=f"--shortlist 10000: the net knows {len(dataset.labels)} tokens"):
        shortlisting.likely(dataset, 10_000)
    with pytest.raises(BadInput, match="--shortlist 4: <pad>, <s>, </s>, <unk> are kept"):
        shortlisting.likely(dataset, 4)


def test_words_are_kept_by_the_tokens_that_they_are_made_of(tmp_path):
    labels = translation.pieces(translation.byte_pairs(["the cat, the hat."] * 3, 60))
    (tmp_path / "words.txt").write_text("the\n\ncat\n")
    kept = shortlisting.of_words(tmp_path / "words.txt", labels)
    assert {labels[token] for token in kept} >= {*SPECIAL, "▁the"} and len(kept) < len(labels)
    text = translation.tokenizer_of(labels).encode("the cat").ids
    assert set(text) <= set(kept)
    for words, error in ((b"dog\n", "'dog' cannot be said"), (b"\n", "holds no word"), (b"c\xffa", "is not UTF-8")):
        (tmp_path / "words.txt").write_bytes(words)
        with pytest.raises(BadInput, match=error):
            shortlisting.of_words(tmp_path / "words.txt", labels)


def test_nets_that_say_no_sentences_and_other_tokens_are_refused(net):
    dataset = net[0].dataset
    with pytest.raises(BadInput, match="task 'language_model' asks something else"):
        shortlisting.chosen("9", dataset.labels, "language_model", dataset)
    with pytest.raises(BadInput, match="--data is missing: --shortlist 9"):
        shortlisting.chosen("9", dataset.labels, "translation", None)
    with pytest.raises(BadInput, match="has other tokens than the net"):
        shortlisting.chosen("9", dataset.labels[:-1], "translation", dataset)


def test_what_was_left_out_counts_in_no_comparison():
    expected = np.array([[0.1, 5.0, 0.3, 0.2]])
    given = np.array([[0.11, -np.inf, 0.3, 0.2]])
    assert parity(expected, given, 0.01) == {"argmax_agreement": 1.0, "within_one_step": 1.0, "exact": 2 / 3, "n": 1}


# ---------------------------------------------------------------- on the command line


@pytest.mark.parametrize("net", ["luong_dot"], indirect=True)
def test_the_verb_that_exports_takes_a_number_or_words(net, tmp_path, capsys):
    work, networks, _ = net
    step = save_networks(networks, tmp_path / "net.keras", work.facts)["step"]
    (tmp_path / "words.txt").write_text("1\n7\n")
    for asked, more in (("9", ["--data", "number_words"]), (str(tmp_path / "words.txt"), [])):
        out = tmp_path / f"short-{len(more)}.tflite"
        assert main(["export", str(step), "--out", str(out), "--shortlist", asked, *more]) == 0
        kept = Shortlist.read(ModelFile.read(out).manifest)
        assert kept is not None and set(range(4)) < set(kept.ids) and len(kept.ids) < 10
    assert (
        main(["export", str(step), "--out", str(tmp_path / "x"), "--target", "cpu-x86", "--data", "number_words"]) == 0
    )
    (file,) = (tmp_path / "x").glob("*.tflite")  # a step has ranges of what it is made from, and was not retrained
    assert ModelFile.read(file).manifest["precision"] == "w8a8-ptq"
    for asked, words in (
        ("9", "--data is missing"),
        ("nothing.txt", "nor a file"),
        ("-3", "nor a file"),
        ("3", "keep more than 4"),
    ):
        data = ["--data", "number_words"] if asked == "3" else []
        assert main(["export", str(step), "--out", str(out), "--shortlist", asked, *data]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_judges_cut_files_against_the_whole_float_one(tmp_path, brief_timing):
    work, networks = sharpened("luong_dot", 100)  # as many as the data then have
    sequence = save_networks(networks, tmp_path / "net.keras", work.facts)["sequence"]
    (tmp_path / "r.yaml").write_text("files: [tflite float32, tflite w8a8-ptq]")
    config = RunConfig(
        model=str(sequence), data="number_words", quick=True, recipe=str(tmp_path / "r.yaml"), shortlist="40"
    )
    results, folder = execute(config, tmp_path / "run")
    kept = {
        path.name: Shortlist.read(ModelFile.read(path).manifest) for path in (folder / "artifacts").glob("*.tflite")
    }
    (cut,) = (shortlist for shortlist in kept.values() if shortlist)
    assert len(cut.ids) == 40 and [name for name in kept if kept[name]] == [
        name for name in kept if "step" in name and name.endswith("w8a8-ptq.tflite")
    ]
    (told,) = (note for note in results["notes"] if "shortlist" in note)
    assert "say 40 of" in told
    assert all(bundle["status"] == "ok" and bundle["n"] == 400 for bundle in results["bundles"])
    with pytest.raises(BadInput, match="keep more than 4"):
        execute(replace(config, shortlist="3"), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    again, _ = execute(replace(config, shortlist="50"), folder)
    assert again["artifacts"] != results["artifacts"]  # another list is other work
