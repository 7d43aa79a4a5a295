"""What runs on JAX beside a process that runs on TensorFlow; it finds the modules of this folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from forks import Imported

# XLA for the processor: most of the time of a small test goes into compiling, so it compiles without optimizing.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {QUICK}",
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
}

# What most scripts import, TensorFlow too: Keras asks for it where it sets a seed.
SCRIPT = """
import signal, sys
import jax, keras, pytest, tensorflow
import edgewright.export.quantized, edgewright.inspection, edgewright.models.registry
import edgewright.prune, edgewright.quantize.qat, edgewright.training.train
assert keras.backend.backend() == "jax"

def run(code, *words):
    signal.alarm(1500)
    sys.argv[1:] = words
    exec(compile(code, "script on JAX", "exec"), {"__name__": "__main__"})
    sys.stdout.flush()
    return ""
"""


def compiled_in(folder: Path) -> dict[str, str]:
    """Return the environment in which JAX keeps what it compiles in a folder, for other processes, and finds it."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


class OnJax:
    """A process on JAX, started when it is first needed, of which each script is a fork."""

    def __init__(self, kept: Path) -> None:
        """Take the folder where what is compiled is kept: it is most of the time of these tests."""
        self._process: Imported | None = None
        self._environment = {**ENVIRONMENT, **compiled_in(kept)}

    def ends(self, code: str, words: Sequence[object] = ()) -> tuple[int, str]:
        """Run a script with these words in `sys.argv[1:]`; return its exit code and what it said, how it failed too."""
        if self._process is None:
            self._process = Imported(SCRIPT, self._environment)
        self._process.start([code, *map(str, words)])
        return self._process.end()

    def says(self, code: str, *words: object) -> str:
        """Run a script that must not fail; return what it said."""
        exit_code, said = self.ends(code, words)
        assert exit_code == 0, said[-4000:]
        return said

    def close(self) -> None:
        """Let the process go."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
