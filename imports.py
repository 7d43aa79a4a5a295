"""How large packages are imported."""

import gc
import importlib
import sys


def load(name: str) -> None:
    """Import `name`, Keras or TensorFlow, without the garbage collector, which is a quarter of that time.

    It looks through a million new objects again and again, and none of them is garbage; nor does it look at them later.
    """
    if name in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module(name)
        gc.freeze()
    finally:
        if collects:
            gc.enable()
