"""Hostile archives, by every reader of archives: refused, nothing written, memory not filled."""

import subprocess
import sys
import tarfile
import zipfile

import hostile_archives
import pytest
from edgewright.archives import check_zip, tar_members, unpack_zip
from edgewright.errors import BadInput


def wheel(path, out):
    unpack_zip(path, out)


def keras(path, out):
    from edgewright.pipeline.saved import load_model

    load_model(path)


def npz(path, out):
    from edgewright.pipeline.foreign import read_npz

    read_npz(path)


def recordings(path, out):
    from edgewright.training.data import audio

    audio._read(path, 49)


def cifar(path, out):
    from edgewright.training.data import images

    images._unpack_cifar({images._CIFAR_ARCHIVE: path.read_bytes()})


READERS = {"zips": (wheel, keras, npz), "tars": (recordings, cifar)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return {kind: dict(getattr(hostile_archives, kind)(folder)) for kind in READERS}


def test_there_are_more_than_twenty(made):
    assert len(made["zips"]) + len(made["tars"]) >= 26


PAIRS = [(kind, reader) for kind, readers in READERS.items() for reader in readers]


@pytest.mark.parametrize(("kind", "reader"), PAIRS, ids=lambda value: getattr(value, "__name__", value))
def test_every_hostile_archive_is_refused_and_nothing_is_written(made, kind, reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = next(iter(made[kind].values())).parent
    before = sorted(place.iterdir())
    for name, path in made[kind].items():
        with pytest.raises(BadInput) as refused:
            reader(path, tmp_path / "a" / "b")
            pytest.fail(f"{name} was read by {reader.__name__}")
        assert path.name in str(refused.value) or "cifar-10" in str(refused.value), name
        assert "Traceback" not in str(refused.value)
    assert sorted(place.iterdir()) == before and not list(tmp_path.rglob("*"))


def test_memory_is_not_filled(made):
    """What is refused only after it was unpacked would fail here: 128 MB of zeros in a header, 5 GB in a hole."""
    code = (
        "import sys\n"
        "from edgewright.archives import tar_members\n"
        "from edgewright.devices.agent.agent import peak_bytes\n"
        "from edgewright.errors import BadInput\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        print(sum(len(content) for _, content in tar_members(path)))\n"
        "    except BadInput:\n        print('refused')\n"
        "print(peak_bytes())"
    )
    bombs = [made["tars"][name] for name in ("tar_bomb", "tar_header_bomb", "tar_sparse_bomb")]
    done = subprocess.run([sys.executable, "-c", code, *bombs], capture_output=True, text=True, timeout=60, check=True)
    *words, peak = done.stdout.split()
    assert words == ["refused"] * 3
    assert int(peak) < 110e6


def test_honest_archives_are_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("content")
    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        with tarfile.open(tmp_path / "a.tar", mode) as archive:
            archive.add(tmp_path / "in", "in")
        assert list(tar_members(tmp_path / "a.tar")) == [("in/a.txt", b"content")]
        assert list(tar_members((tmp_path / "a.tar").read_bytes(), "a")) == [("in/a.txt", b"content")]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "in" / "a.txt", "in/a.txt")
    assert check_zip(tmp_path / "a.zip") == ["in/a.txt"]
    unpack_zip(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "in" / "a.txt").read_text() == "content"


def test_a_damaged_member_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", bytes(1000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[500] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
