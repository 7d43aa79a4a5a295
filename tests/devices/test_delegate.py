"""An external delegate: used, refused with one clear reason, or told to have done nothing; never left out silently."""

import shutil
import subprocess

import pytest
from device_models import SAMPLES
from edgewright.cli import commands as cli
from edgewright.devices.measure import BenchConfig, bench
from edgewright.errors import BadInput

COMPILER = shutil.which("cc")
# A delegate that takes one option, `mode=idle`, and no operator. Layout: TfLiteDelegate of LiteRT's c/common.h.
IDLE = """
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
typedef struct { void *data; int (*prepare)(void *, void *); void *copies[3]; long flags; void *builder; } Delegate;
static int prepare(void *context, void *delegate) { return 0; }
Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t n, void (*report)(const char *)) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(keys[i], "mode") || strcmp(values[i], "idle")) { report("mode: only idle"); return NULL; }
  Delegate *made = calloc(1, sizeof(Delegate));
  made->prepare = prepare;
  return made;
}
void tflite_plugin_destroy_delegate(Delegate *made) { free(made); }
"""


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C compiler: apt-get install gcc")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "idle.c").write_text(IDLE)
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", folder / "idle.so", folder / "idle.c"], check=True)
    return folder / "idle.so"


def run_with(delegate, path):
    config = BenchConfig(latency=False, delegate=str(delegate))
    return bench([path], baseline=path, inputs=SAMPLES, config=config)


def test_a_delegate_that_takes_nothing_is_told(tflite, idle):
    run = run_with(f"{idle},mode=idle", tflite["int8"])
    assert run.measured["int8.tflite"]["status"] == "ok"
    assert run.artifacts[0]["delegated"] == 0
    assert run.notes == ["int8.tflite: the delegate took none of its operators; they ran without it"]
    assert run.config["delegate"] == f"{idle},mode=idle"


def test_options_reach_the_delegate(tflite, idle):
    with pytest.raises(BadInput, match=r"idle\.so: .*mode: only idle"):
        run_with(f"{idle},mode=busy", tflite["int8"])


def test_what_is_no_delegate_is_refused(tflite, tmp_path):
    (tmp_path / "text.so").write_text("no library")
    for path, words in ((tmp_path / "absent.so", "no such file on the device"), (tmp_path / "text.so", "too short"),
                        ("/proc/self/exe", "delegate /proc/self/exe: ")):  # fmt: skip
        with pytest.raises(BadInput, match=words):
            run_with(path, tflite["int8"])


def test_the_command_line_ends_with_two_and_one_line(tflite, tmp_path, capfd):
    command = ["bench", str(tflite["int8"]), "--baseline", str(tflite["float"])]
    assert cli.main([*command, "--delegate", str(tmp_path / "absent.so")]) == 2
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "absent.so: no such file on the device" in said.err


@pytest.mark.parametrize(("config", "device", "words"), [
    ({"delegate": "x.so"}, "local", "is for .tflite files"),
    ({"kernels": "builtin"}, "local", "is for .tflite files"),
])  # fmt: skip
def test_onnx_files_have_no_such_choice(onnx, config, device, words):
    with pytest.raises(BadInput, match=words):
        bench([onnx["float"]], baseline=onnx["float"], inputs=SAMPLES, device=device, config=BenchConfig(**config))


def test_a_device_without_the_choice_says_so(tflite):
    with pytest.raises(BadInput, match="browser offers no choice"):
        bench([tflite["float"]], baseline=tflite["float"], inputs=SAMPLES, device="browser",
              config=BenchConfig(kernels="reference"))  # fmt: skip


@pytest.mark.parametrize("delegate", ["", ",a=b", "x.so,option", "x.so,=1"])
def test_a_delegate_is_a_path_and_options(delegate):
    with pytest.raises(BadInput, match="write PATH or PATH,key=value"):
        BenchConfig(delegate=delegate)
