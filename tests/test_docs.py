"""What the pages say is so: links lead somewhere, commands parse, Python runs, documents keep to their schemas."""

import ast
import html
import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import edgewright as ew
import numpy as np
import pytest
import yaml
from edgewright.cli import arguments, commands
from edgewright.devices import measure
from edgewright.devices.model_file import ModelFile
from edgewright.devices.runner import open_runner
from edgewright.devices.transports.local import LocalSession
from edgewright.devices.verdict.compare import Thresholds, compare
from edgewright.devices.verdict.document import compose
from edgewright.devices.verdict.results import MEASURED
from edgewright.errors import BadInput
from made_up_run import a_run
from pages_of_docs import FENCE, PAGES, ROOT, anchors, blocks, links
from pages_of_docs import commands as command_lines
from schemas import problems

DOCS = ROOT / "docs"
FOLDERS = "benchmarks|cli|devices|docs|examples|export|models|pipeline|prune|quantize|tests|training"
SHELL = {"cd", "make", "pip", "python", "python3", "source", "ssh"}  # what else stands in blocks of commands
BENCH = ew.BenchConfig(max_seconds=1, min_rounds=5, max_rounds=20, attempts=1, precision=None, samples=64)
BRIEF = (  # what makes the commands and the Python of a page quick, and leaves all else as it stands there
    (r"--epochs \d+", "--epochs 1"),
    (r"epochs=\d+", "epochs=1"),
    (r"(edgewright bench .*)", r"\1 --max-seconds 1"),
)


def named(page):
    return str(page.relative_to(ROOT))


# ---- Links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for link in links(page):
        address, _, anchor = link.partition("#")
        if re.match(r"https?:", address):
            continue
        target = (page.parent / address).resolve() if address else page
        assert target.exists(), f"{named(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{named(page)}: {link}: {sorted(anchors(target))}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_of_ours_that_a_page_names_are_there(page):
    files = re.findall(rf"`((?:{FOLDERS})/[a-z0-9_/.-]*)`", FENCE.sub("", page.read_text()))
    assert not [file for file in files if not (ROOT / file).exists()]


def test_every_page_is_reached_from_the_readme_and_stands_in_the_navigation():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        left += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    pages = set(DOCS.rglob("*.md"))
    assert not pages - reached
    listed = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])))
    assert {str(page.relative_to(DOCS)) for page in pages} == listed


# ---- Commands


def parsed(words, monkeypatch):
    """Parse a command line as the program does, without asking whether its files and data are there."""
    monkeypatch.setattr(arguments, "_check", lambda shown, value, checks: None)
    return arguments.parse("edgewright", "", commands.VERBS, words[1:])


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")], ids=named)
def test_commands_are_taken_by_the_real_parser(page, monkeypatch):
    for block in blocks(page, "bash"):
        for words in command_lines(block):
            while "&&" in words:
                words = words[words.index("&&") + 1 :]
            if words[0] == "edgewright":
                assert parsed(words, monkeypatch).verb
            else:
                assert words[0] in SHELL, f"{block}: {words}"


def test_options_within_sentences_exist():
    known = {"--help", "--version", "--json", "--config", "--print_config", "--debug"}
    for verb in commands.VERBS:
        known |= {"--" + name.rstrip("_").replace("_", "-") for name in (own.name for own, _ in arguments.each(verb))}
    names = {verb.__name__.rstrip("_") for verb in commands.VERBS}
    for page in PAGES:
        for code in re.findall(r"`(edgewright [^`\n]+)`", page.read_text()):
            verb, *words = code.split()[1:]
            assert verb in names or verb.startswith("-"), f"{named(page)}: {code}"
            assert {word for word in words if word.startswith("--")} <= known, f"{named(page)}: {code}"


def test_a_wrong_option_would_be_noticed(monkeypatch):
    with pytest.raises(BadInput, match="unknown option --epoch"):
        parsed(["edgewright", "train", "lenet5", "--out", "x.keras", "--epoch", "3"], monkeypatch)


# ---- Python


def uses(tree):
    """Yield each public name that the code takes from `ew`, with the call it is in if it is called."""
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ew":
            yield node.attr, called.get(id(node))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=named)
def test_python_compiles_and_calls_what_is_there(page):
    for block in blocks(page, "python"):
        for name, call in uses(ast.parse(block.text)):
            assert name in dir(ew), f"{block}: ew.{name}"
            given = [] if call is None else [keyword.arg for keyword in call.keywords if keyword.arg]
            taken = inspect.signature(getattr(ew, name)).parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
                assert set(given) <= set(taken), f"{block}: ew.{name}({given})"


@pytest.mark.parametrize("name", ["own_model.py", "own_data.py"])
def test_code_on_the_pages_is_that_of_the_examples(name):
    (block,) = [block for page in PAGES for block in blocks(page, "python") if block.title == name]
    own = ast.parse((ROOT / "examples" / name).read_text())
    assert ast.dump(ast.parse(block.text)) == ast.dump(ast.Module(own.body[1:], []))  # without the module's docstring


# ---- Pages that are done as they say


class Reader:
    """Does what a page says, in a folder of its own and in order: saves files, gives commands, runs Python."""

    def __init__(self, folder, capfd):
        self.folder, self.capfd, self.names = folder, capfd, {}

    def does(self, block):
        """Follow one block and return what its commands printed."""
        text = block.text
        for pattern, brief in BRIEF:
            text = re.sub(pattern, brief, text)
        if block.title:
            (self.folder / block.title).write_text(text)
        elif block.language == "python":
            exec(compile(text, str(block), "exec"), self.names)
        else:
            return "".join(self.gives(words) for words in command_lines(replace(block, text=text)))
        return ""

    def gives(self, words):
        """Give one command and return what it printed; how to install is not for this place."""
        if words[0] != "edgewright" or words[1] == "doctor":
            return ""
        self.capfd.readouterr()
        code = commands.main(words[1:])
        out, err = self.capfd.readouterr()
        assert code in (0, 1), err
        return out


@pytest.fixture
def reader(tmp_path, monkeypatch, capfd):
    """A reader in a folder that holds the examples, for whom measuring takes a second."""
    for path in (ROOT / "examples").glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    bench = ew.bench
    monkeypatch.setattr(ew, "bench", lambda *files, **given: bench(*files, **{"config": BENCH, **given}))
    yield Reader(tmp_path, capfd)
    for name in ("digit_net", "own_model", "own_data"):
        sys.modules.pop(name, None)


def masked(line):
    """Return a line of output without its numbers and the width of its columns."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "0", line)).strip()


def heads_of_tables(page):
    """Return the heads of the tables of a page that stand outside of its blocks."""
    lines = FENCE.sub("", page.read_text()).splitlines()
    return {masked(line) for line, below in pairwise(lines) if below.startswith("|-")}


def test_the_tutorial_does_what_it_says(reader):
    page, printed, everything = DOCS / "tutorial.md", [], set()
    for block in blocks(page, "bash", "python", "text"):
        if block.language == "text":
            promised = [masked(line) for line in block.text.splitlines() if line and line[0] not in "-#"]
            assert not [line for line in promised if line not in printed], f"{block}: {printed}"
        else:
            printed = [masked(line) for line in reader.does(block).splitlines()]
            everything |= set(printed)
    assert heads_of_tables(page) and heads_of_tables(page) <= everything
    results = json.loads((reader.folder / "verdict" / "results.json").read_text())
    assert problems("results", results) == [] and len(results["verdicts"]) == 1
    assert (reader.folder / "verdict" / "report.html").exists()


@pytest.mark.parametrize("page", ["own-data", "own-model", "own-loop", "learn-on-device"])
def test_python_of_the_how_to_pages_runs(page, reader):
    done = [reader.does(block) for block in blocks(DOCS / "how-to" / f"{page}.md", "python")]
    assert done


# ---- Schemas


def test_results_keep_to_their_schema():
    run = a_run(lost=3)
    run.measured = {name: dict.fromkeys(MEASURED) | found for name, found in run.measured.items()}
    document = compose(run, compare(run), Thresholds())
    assert problems("results", document) == []
    for broken in (
        {key: value for key, value in document.items() if key != "verdicts"},
        {**document, "schema": 2},
        {**document, "verdicts": [{**document["verdicts"][0], "verdict": "passed"}]},
        {**document, "measurements": [{**document["measurements"][0], "latency_us": {"p50": 1.0}}]},
    ):
        assert problems("results", broken)


def test_jobs_of_the_agent_keep_to_their_schema(tmp_path, monkeypatch):
    given = []
    for way in ("run", "converse"):
        ask = getattr(LocalSession, way)
        monkeypatch.setattr(
            LocalSession, way, lambda self, job, *more, ask=ask: (given.append(job), ask(self, job, *more))[1]
        )
    model = ew.build("softmax_regression", preset="edge")
    files = [ew.export_tflite(model).save(tmp_path / "a.tflite"), ew.export_onnx(model).save(tmp_path / "b.onnx")]
    ew.bench(files, baseline=files[0], config=replace(BENCH, profile=True))
    assert measure.inspect(files[0]).ok
    with open_runner({"net": ModelFile.read(files[0])}) as run:
        assert run("net", {"inputs": np.zeros((2, 64), np.float32)})
    assert {job["mode"] for job in given} == {"inspect", "accuracy", "latency", "profile", "serve"}
    assert [problem for job in given for problem in problems("job", job)] == []
    assert problems("job", {**given[0], "mode": "sing"}) and problems("job", {**given[0], "models": [{"path": "x"}]})


# ---- The site


class Fetched(HTMLParser):
    """Collects what a browser would fetch by itself to show a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(attributes.get("src") or "")
        if tag == "link" and attributes.get("rel") != "canonical":
            self.addresses.append(attributes.get("href") or "")


def words(text):
    """Return the words of a page or docstring, without tags and punctuation."""
    return " ".join(re.findall(r"\w+", html.unescape(re.sub(r"<[^>]+>", "", text))))


def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the packages of the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    built = list(tmp_path.rglob("*.html"))
    assert len(built) >= len(set(DOCS.rglob("*.md")))
    for page in built:
        assert not [address for address in Fetched(page.read_text()).addresses if "//" in address], page
    python, verbs = ((tmp_path / "reference" / f"{name}.html").read_text() for name in ("python", "command-line"))
    missing = [name for name in dir(ew) if not name.startswith("_") and f"ew.{name}" not in python]
    assert not missing and "::: " not in python
    shown = words(python)
    for name in (name for name in dir(ew) if not name.startswith("_")):
        first = words((inspect.getdoc(getattr(ew, name)) or "").split("\n")[0])
        assert first and first in shown, f"ew.{name} has no docstring on the page"
    for verb in commands.VERBS:
        assert f'id="{verb.__name__.rstrip("_")}"' in verbs
