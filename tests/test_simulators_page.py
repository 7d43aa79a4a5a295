"""The page of simulators is what its rows say."""

import importlib.util
import json
from pathlib import Path

import edgewright

HERE = Path(edgewright.__file__).parent


def test_the_page_is_made_of_the_rows():
    specification = importlib.util.spec_from_file_location("simulators", HERE / "benchmarks" / "simulators.py")
    assert specification and specification.loader
    simulators = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(simulators)
    rows = json.loads((HERE / "docs" / "simulators.json").read_text())
    assert (HERE / "docs" / "simulators.md").read_text() == simulators.page(rows)
    assert {row["engine"] for row in rows} == set(simulators.ENGINES)
    assert {row["net"].split(",")[0] for row in rows} == set(simulators.NETS)
