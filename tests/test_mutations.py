"""The faults of `benchmarks/mutations.py` fit the code as it is; whether the suite notices them takes minutes each."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import mutations


def test_every_fault_fits():
    mutations.check_fit(mutations.FAULTS)


def test_a_fault_that_no_longer_fits_is_named(tmp_path):
    (tmp_path / "code.py").write_text("twice twice")
    faults = [mutations.Fault("gone", "code.py", "once", "", ()), mutations.Fault("double", "code.py", "twice", "", ())]
    with pytest.raises(mutations.Unfit, match=r"'gone' no longer fits(.|\n)*'double' no longer fits.* stands 2 times"):
        mutations.check_fit(faults, tmp_path)
