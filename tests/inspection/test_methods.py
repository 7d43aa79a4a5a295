"""The verb: every method on a trained net, what it writes, and what it refuses."""

import json

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright.cli import inspecting as verb
from edgewright.cli import main
from edgewright.errors import BadInput
from edgewright.inspection.methods import METHODS, Asked
from edgewright.pipeline import find
from edgewright.pipeline.inspecting import inspect
from edgewright.pipeline.saved import save_model


@pytest.fixture(scope="module")
def trained():
    """Return a small net that knows the digits, and its workload."""
    keras.utils.set_random_seed(0)
    work = find.find("saliency", "digits", quick=True)
    (model,) = work.make().values()
    ew.train(model, work.dataset, ew.TrainConfig(epochs=6, learning_rate=0.01, batch_size=32))
    return model, work


def test_the_names_that_help_lists_are_the_methods():
    assert set(verb.METHODS) == set(METHODS)


def test_each_method_finds_figures_and_pictures_of_both_nets(trained, tmp_path):
    model, work = trained
    chosen = [name for name in METHODS if name not in ("attention_distance", "activation_maximisation")]
    found = inspect(model, work, chosen, Asked(epsilon=(0.1, 0.4)), samples=40)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["samples"] == 40 and list(document["methods"]) == chosen
    figures = {name: {row["figure"]: row for row in of["figures"]} for name, of in document["methods"].items()}
    for name in ("saliency", "guided_backprop", "grad_cam", "filter_maps"):
        agreement, *chance = list(figures[name].values())
        assert agreement["both"]["value"] > 0.9 and len(agreement["both"]["ci95"]) == 2
        assert all(row["both"]["value"] < agreement["both"]["value"] for row in chance)
    fooled = figures["adversarial_fgsm"]
    for net in ("float", "int8"):
        values = [fooled[name][net]["value"] for name in ("accuracy", "accuracy, epsilon 0.1", "accuracy, epsilon 0.4")]
        assert values[0] > 0.7 and values == sorted(values, reverse=True) and values[2] < 0.5
    reached = figures["targeted_attack"]["reach the chosen class"]
    assert min(reached["float"]["value"], reached["int8"]["value"]) > 0.5
    page = found.save(tmp_path / "out").read_text()
    assert page.count("<img") == sum(len(look.pictures) for look in found.looks.values())
    assert "t-SNE, int8" in page and "<script" not in page
    assert json.loads((tmp_path / "out" / "inspection.json").read_text()) == document
    assert "of 10 nearest neighbours, the same" in str(found)


def test_pictures_made_for_a_class_are_taken_for_it(trained):
    model, work = trained
    look = inspect(model, work, ["activation_maximisation"], Asked(), samples=4).looks["activation_maximisation"]
    assert look.each["confidence in pictures made for float"]["float"].mean() > 0.5  # of ten classes


def test_attention_of_both_nets_by_layer_and_head():
    work = find.find("attention_distance", "digits", quick=True)
    (model,) = work.make().values()
    look = inspect(model, work, ["attention_distance"], Asked(), samples=4).looks["attention_distance"]
    assert list(look.each)[:2] == ["layer 1, head 1", "layer 1, head 2"] and len(look.each) == 8
    for of in look.each.values():
        np.testing.assert_allclose(of["float"], of["int8"], rtol=0.1)
        assert 5 < of["float"].mean() < 20  # of 28 pixels


def test_what_cannot_be_looked_at_is_said(trained):
    model, work = trained
    for names, asked, words in (
        (["grad_cm"], Asked(), "did you mean grad_cam"),
        (["attention_distance"], Asked(), "no attention among tokens"),
        (["grad_cam"], Asked(layer="scores"), "no feature maps"),
        (["grad_cam"], Asked(layer="conv_9"), "did you mean conv_"),
        (["targeted_attack"], Asked(target=10), "classes 0 to 9"),
    ):
        with pytest.raises(BadInput, match=words):
            inspect(model, work, names, asked, samples=4)
    other = find.find("char_rnn", "scikit_learn_texts", quick=True)
    with pytest.raises(BadInput, match="inspection looks at classifiers of images"):
        inspect(model, other, ["saliency"], Asked())
    with pytest.raises(BadInput, match="epsilon"):
        Asked(epsilon=(2.0,))


def test_the_verb(trained, tmp_path, capsys):
    file, out = save_model(trained[0], tmp_path / "net.keras"), tmp_path / "out"
    line = ["inspect", str(file), "--data", "digits", "--method", "saliency", "--samples", "8", "--out", str(out)]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["page"] == str(out / "inspection.html") and document["methods"]["saliency"]["figures"]
    assert main([*line[:4], "--method", "salience"]) == 2
    assert "did you mean saliency" in capsys.readouterr().err
    assert main([*line[:4], "--epsilon", "0"]) == 2
