"""Devices by name: what is kept, what is refused, and what the command line says."""

import json
import re
import threading

import hostile
import pytest
from edgewright.cli import commands as cli
from edgewright.devices.runtimes import environments
from edgewright.devices.transports import inventory
from edgewright.devices.transports.inventory import Entry
from edgewright.devices.transports.transport import TRANSPORTS, connect
from edgewright.errors import BadInput


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def edgewright(capsys, *words):
    code = cli.main(["devices", *words])
    return code, *capsys.readouterr()


def test_what_is_added_comes_back():
    entry = Entry.read("ssh://pi@board:22?python=/opt/e w/bin/python", {"identity": 'ü"\\ #'})
    inventory.add("my-board.1", entry)
    assert inventory.load() == {"my-board.1": entry}
    assert (entry.scheme, entry.address) == ("ssh", "pi@board:22")
    assert entry.options == {"python": "/opt/e w/bin/python", "identity": 'ü"\\ #'}
    transport = connect("my-board.1")
    assert transport.name == "my-board.1"
    assert transport.command("id", "/tmp/link")[-2:] == ["board", "id"]
    inventory.remove("my-board.1")
    assert inventory.load() == {}


def test_a_hand_written_table_is_read():
    inventory.path().parent.mkdir(parents=True)
    inventory.path().write_text('# mine\n[pi]\nurl = "ssh://pi@board?folder=/var/tmp"\ncores = "2,3"\n')
    assert inventory.load()["pi"].options == {"folder": "/var/tmp", "cores": "2,3"}
    with connect("pi").exclusive(1) as cores:
        assert cores == [2, 3]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[pi", "is not TOML"),
        ('pi = "ssh://x"', r"\[pi\] must be a table"),
        ("[pi]\nurl = 3", "table of texts"),
        ('[pi]\nurl = "board"', "scheme://address"),
        ('["a b"]\nurl = "ssh://x"', "rename it"),
        ('[pi]\nurl = "ssh://x?cores=1"\ncores = "2"', "given twice"),
    ],
)
def test_a_broken_inventory_names_the_place(text, match):
    inventory.path().parent.mkdir(parents=True)
    inventory.path().write_text(text)
    with pytest.raises(BadInput, match=match):
        connect("pi")


@pytest.mark.parametrize("name", [*hostile.NAMES, "", "a/b", "-x", "x" * 65])
def test_hostile_names_are_refused(name, capsys):
    code, out, _ = edgewright(capsys, "add", "--", name, "ssh://board")
    assert (code, out) == (2, "")
    assert not inventory.path().exists()


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("board", "scheme://address"),
        ("toaster://board", "allowed: .*ssh"),
        ("ssh://board?pyton=x", "option 'pyton' is not known to ssh; allowed: python, identity"),
        ("ssh://board?python", "name=value"),
        ("ssh://board?cores=a", "cores='a'"),
        ("ssh://board?folder=tmp", "absolute path"),
        ("ssh://board?python=a%0Ab", "control character"),
        ("ssh://", "user@"),
        ("local://here", "has no address"),
    ],
)
def test_what_cannot_be_reached_is_not_added(url, match, capsys):
    code, _, error = edgewright(capsys, "add", "pi", url)
    assert code == 2
    assert re.search(match, error), error
    assert inventory.load() == {}


def test_additions_at_once_are_all_kept():
    adders = [
        threading.Thread(target=inventory.add, args=(f"d{i}", Entry(scheme="ssh", address="x"))) for i in range(8)
    ]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert set(inventory.load()) == {f"d{i}" for i in range(8)}


def test_the_verb(capsys):
    assert edgewright(capsys, "add", "pi", "ssh://pi@board?python=/x")[0] == 0
    code, out, _ = edgewright(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert set(rows) == {"local", "qemu-x86_64", "pi", *environments.SETUPS}
    assert rows["pi"]["url"] == "ssh://pi@board"
    assert rows["pi"]["options"] == {"python": "/x"}
    assert "devices setup tflite-runtime" in rows["tflite-runtime"]["state"]
    assert "pi" in edgewright(capsys)[1]
    assert edgewright(capsys, "add", "pi", "ssh://other")[0] == 2
    assert edgewright(capsys, "add", "local", "ssh://other")[0] == 2
    assert edgewright(capsys, "remove", "pi")[0] == 0
    code, _, error = edgewright(capsys, "remove", "pi")
    assert code == 2 and "none yet" in error
    code, _, error = edgewright(capsys, "add", "pi")
    assert code == 2 and "edgewright devices add NAME URL" in error


def test_probe_says_what_this_machine_has(capsys):
    code, out, _ = edgewright(capsys, "probe", "local", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["runtimes"]["litert"] and found["runtimes"]["onnxruntime"]
    assert found["memory_bytes"] > 1e8 and found["cores"] >= 1
    assert isinstance(found["features"], list)
    assert "litert" in edgewright(capsys, "probe", "local")[1]


def test_what_is_not_set_up_says_how(capsys):
    for name in environments.SETUPS:
        code, _, error = edgewright(capsys, "probe", name)
        assert code == 2 and f"edgewright devices setup {name}" in error
    code, _, error = edgewright(capsys, "setup", "local")
    assert code == 2 and "needs no setup" in error


def test_every_setup_has_its_transport():
    assert set(environments.SETUPS) < set(TRANSPORTS)


def test_a_setup_that_fails_leaves_nothing(tmp_path, monkeypatch, capsys):
    """A module whose download ends half way: the old files stay, no part of the new ones does."""
    from edgewright.devices.runtimes import tflite_runtime

    def fetch(folder):
        (folder / "half").write_text("")
        environments.call(["false"])

    monkeypatch.setattr(tflite_runtime, "fetch", fetch)
    place = environments.folder("tflite-runtime")
    for before in (False, True):
        if before:
            place.mkdir(parents=True)
            (place / "old").write_text("")
        code, _, error = edgewright(capsys, "setup", "tflite-runtime")
        assert code == 1 and "false failed" in error
        assert [path.name for path in place.parent.rglob("*")] == (["tflite-runtime", "old"] if before else [])
