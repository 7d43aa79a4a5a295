"""The pages on operators are made from the table, and no row goes untested."""

import importlib.util
from pathlib import Path

import pytest
from edgewright.quantize.operators import TABLE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("operators_page", ROOT / "docs" / "operators.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_has_a_case(page):
    covered = page.cases_by_rule()
    untested = [(rule.op_type, rule.builtin_op) for rule in TABLE if rule.builtin_op and id(rule) not in covered]
    assert not untested


def test_page_is_up_to_date(page):
    assert (ROOT / "docs" / "operators.md").read_text() == page.text(), "run: python docs/operators.py"


def test_page_of_cases_is_up_to_date(page):
    assert (ROOT / "docs" / "operator_cases.md").read_text() == page.cases_text(), "run: python docs/operators.py"
