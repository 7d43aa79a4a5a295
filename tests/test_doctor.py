"""What the doctor says of a processor."""

import pytest
from edgewright.cli import doctor


@pytest.mark.parametrize(
    ("machine", "flags", "status"),
    [("x86_64", {"avx2", "fma"}, "warn"), ("x86_64", {"avx2", "avx_vnni"}, "ok"), ("AMD64", {"avx512_vnni"}, "ok")],
)
def test_reduced_range_is_advised_without_vnni(machine, flags, status):
    (row,) = doctor._byte_products(machine, flags)
    assert row["status"] == status
    assert ("--precision w7a8" in row["remedy"]) == (status == "warn")


@pytest.mark.parametrize(("machine", "flags"), [("aarch64", {"asimddp"}), ("x86_64", set())])
def test_what_cannot_overflow_or_is_not_known_has_no_row(machine, flags):
    assert not list(doctor._byte_products(machine, flags))
