"""What a process needs to run on JAX beside one that runs on TensorFlow; it finds the modules of this folder."""

import os
from pathlib import Path

# XLA for the processor: most of the time of a small test goes into compiling, so it compiles without optimizing.
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
ENVIRONMENT = {
    **os.environ,
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {QUICK}",
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
}
