"""Networks that go to a device where they are asked for by name: pruned, quantized and written as all others are."""

import json

import edgewright as ew
import numpy as np
import pytest
from edgewright.cli.commands import main
from edgewright.errors import BadInput
from edgewright.models import index, registry
from edgewright.pipeline import exporting, find, origins
from edgewright.pipeline.plan import planned
from edgewright.pipeline.saved import load_model, save_networks, siblings, with_siblings
from edgewright.quantize import find_quantized, prepare_qat
from edgewright.runners import Recording
from edgewright.training.runner import KerasRunner

NETWORKS = {
    "pix2pix": ("generator", "discriminator"),
    "cyclegan": ("generator_there", "generator_back", "discriminator_there", "discriminator_back"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def work(request):
    """The workload of a translation of pictures with all of its discriminators asked for."""
    entry = registry.get(request.param)
    return find.find(request.param, "digits_edges", quick=True, also=entry.on_request)


def test_all_of_it_is_then_deployed_and_told_beside_the_weights(work):
    assert tuple(work.compressed) == tuple(each.network for each in work.deploy) == NETWORKS[work.name]
    names = [file.label for file in planned(work, [("float", "tflite", "float32")], {"float": ""})]
    assert names == [f"{work.name}-{network}-float32" for network in NETWORKS[work.name]]
    assert list(work.facts("discriminator")["also"]) == list(registry.get(work.name).on_request)
    unasked = find.find(work.name, "digits_edges", quick=True)
    assert unasked.identity != work.identity and "also" not in unasked.facts("discriminator")
    assert not any(each.network.startswith("discriminator") for each in unasked.deploy)


def test_a_discriminator_is_calibrated_on_what_it_judges(work):
    """Half of it real; of the other half a generator drew each of the source that is shown beside it."""
    networks = work.make()
    run = KerasRunner(networks)
    for network in registry.get(work.name).on_request:
        given, generator = work.arrays(network, 16, networks), network.replace("discriminator", "generator")
        seen = Recording(run, generator)
        again = work.task.observed(seen, work.dataset, network, 16)
        (drawn,) = run(generator, {"source": seen.all()["source"]}).values()
        np.testing.assert_allclose(given["images"][8:], drawn, atol=1e-5)
        np.testing.assert_array_equal(again["images"][:8], given["images"][:8])
        side = work.dataset.train.x if network.endswith("_back") else work.dataset.train.y
        assert all((np.abs(side - image).max((1, 2, 3)) == 0).any() for image in given["images"][:8])
        assert ("source" in given) == (work.name == "pix2pix")
        if "source" in given:
            np.testing.assert_array_equal(given["source"][8:], seen.all()["source"])


def test_patches_are_judged_alike_by_integers_in_both_formats(work):
    """Each file is run as it is written; those of quantized nets answer as the net with fake quantizers."""
    networks = work.make()
    for network in registry.get(work.name).on_request[:1]:
        aware, _ = prepare_qat(networks[network], calibration=work.samples(network, networks=networks))
        made = {"float": networks, "qat": {**networks, network: aware}}
        plan = [(role, kind, precision) for kind in ("tflite", "onnx")
                for role, precision in (("float", "float32"), ("float", "w8a8-ptq"), ("qat", "w8a8-qat"))]  # fmt: skip
        files = [file for file in planned(work, plan, {"float": "", "qat": ""}) if file.network == network]
        for _, artifact in exporting.export(made, work, files):
            assert artifact.manifest["verified"] and artifact.manifest["network"] == network
            (output,) = artifact.manifest["outputs"]
            assert bool(output["scale"]) == (artifact.manifest["precision"] != "float32")


def test_files_of_networks_remember_what_was_asked(tmp_path, capfd):
    small = {"widths": (2, 4), "judging": (2, 4)}
    networks = ew.build("pix2pix", "edge", also=("discriminator",), **small)
    pruned, reports = ew.prune(networks)
    assert set(reports) == {"generator", "discriminator"}
    files = save_networks(pruned, tmp_path / "asked.keras", lambda name: origins.of(pruned[name]).facts())
    assert find.deployed(with_siblings(files["generator"])) == ["generator", "discriminator"]
    plain = ew.build("pix2pix", "edge", **small)
    files = save_networks(plain, tmp_path / "plain.keras", lambda name: origins.of(plain[name]).facts())
    assert find.deployed(with_siblings(files["generator"])) == ["generator"]
    out = tmp_path / "later.keras"
    line = ["prune", str(files["generator"]), "--sparsity", "0.5", "--also", "discriminator", "--out", str(out)]
    assert main(line) == 0, capfd.readouterr().err
    later = siblings(tmp_path / "later-generator.keras")
    assert find.deployed(with_siblings(later["generator"])) == ["generator", "discriminator"]
    kernel = load_model(later["discriminator"]).get_layer("conv_2").get_weights()[0]
    assert np.mean(kernel == 0) >= 0.45
    assert find_quantized(load_model(later["discriminator"])) is None


def test_what_does_not_go_on_request_is_refused_and_what_does_is_listed(capfd):
    with pytest.raises(BadInput, match=r"also 'critic': of pix2pix, networks that .* on request: discriminator"):
        find.find("pix2pix", "digits_edges", quick=True, also=("critic",))
    with pytest.raises(BadInput, match="on request: none"):
        ew.build("lenet5", also=("lenet5",))
    assert main(["models", "--family", "generative", "--json"]) == 0
    listed = {row["name"]: row["on_request"] for row in json.loads(capfd.readouterr().out)}
    assert listed["pix2pix"] == ["discriminator"] and listed["dcgan"] == []
    assert main(["models", "--family", "generative"]) == 0
    assert "| discriminator_there, discriminator_back |" in capfd.readouterr().out
    assert [row for row in registry.describe() if row["on_request"]] == [
        row for row in index.rows() if row["on_request"]
    ]
