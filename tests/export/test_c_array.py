import re
import shutil
import subprocess

import pytest
from edgewright.export.c_array import c_source, identifier

DATA = bytes(range(256)) + b"TFL3"


def source():
    return c_source(DATA, "net-w8a8;\n#", sha256="ab", arena_bytes=30_592, operators=["CONV_2D", "MEAN", "CONV_2D"])


def test_the_array_holds_the_bytes_in_order():
    body = source().source.split("{", 1)[1].split("}", 1)[0]
    assert bytes(int(value, 16) for value in re.findall(r"0x(..)", body)) == DATA


def test_the_header_says_what_to_allocate_and_register():
    header = source().header
    assert "net_w8a8____arena_bytes = 30592;" in header
    assert "MicroMutableOpResolver<2>" in header
    assert "resolver.AddConv2D();" in header and "resolver.AddMean();" in header


@pytest.mark.parametrize(("name", "expected"), [("ds_cnn", "ds_cnn"), ("1d net", "model_1d_net"), ("ä", "_")])
def test_names_become_identifiers(name, expected):
    assert identifier(name) == expected


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        ("DEPTHWISE_CONV_2D", "AddDepthwiseConv2D"),
        ("BATCH_MATMUL", "AddBatchMatMul"),
        ("L2_NORMALIZATION", "AddL2Normalization"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("PADV2", "AddPadV2"),
        ("ADD_N", "AddAddN"),
        ("RESIZE_NEAREST_NEIGHBOR", "AddResizeNearestNeighbor"),
    ],
)
def test_resolver_methods_have_the_names_of_the_runtime(operator, method):
    header = c_source(b"x", "n", sha256="", arena_bytes=1, operators=[operator]).header
    assert f"resolver.{method}();" in header


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
def test_it_compiles_and_the_program_reads_the_same_bytes(tmp_path):
    found = source()
    (tmp_path / f"{found.symbol}.h").write_text(found.header)
    (tmp_path / f"{found.symbol}.cc").write_text(found.source)
    body = f"int main() {{ fwrite({found.symbol}_data, 1, {found.symbol}_size, stdout); }}"
    main = f'#include <cstdio>\n#include "{found.symbol}.h"\n{body}\n'
    (tmp_path / "main.cc").write_text(main)
    subprocess.run(["g++", "-o", "main", "main.cc", f"{found.symbol}.cc"], cwd=tmp_path, check=True, timeout=60)
    assert subprocess.run([tmp_path / "main"], capture_output=True, check=True, timeout=10).stdout == DATA
