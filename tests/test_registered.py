"""Models saved by Keras are loaded by Keras: after `import edgewright` it knows our classes, whichever came first."""

import importlib
import pkgutil
import subprocess
import sys

import edgewright as ew
import keras
import numpy as np
import pytest
from edgewright import registered
from edgewright.models import index, registry

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the folder of a quantization-aware model that `fit` trained, and what it answers."""
    folder = tmp_path_factory.mktemp("saved")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    qat, _ = ew.prepare_qat(model, calibration=X)
    qat.compile("adam", "mse")
    qat.fit(X, np.zeros((32, 3)), verbose=0)
    qat.save(folder / "q.keras")
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", qat.predict(X, verbose=0))
    return folder


@pytest.mark.parametrize(
    "imports", ["import edgewright, keras", "import keras, edgewright", "import edgewright; from keras import layers"]
)
def test_keras_loads_what_it_saved(saved, imports):
    script = f"""
import sys
{imports}
import keras
import numpy as np
assert "edgewright.quantize.qat" not in sys.modules
model = keras.models.load_model("q.keras")
assert (model.predict(np.load("x.npy"), verbose=0) == np.load("y.npy")).all()
assert type(model.layers[-1]).__name__ == "QuantizedGraph" and model.optimizer is not None
assert keras.__spec__.loader is keras.__loader__
assert not any(type(one).__name__ == "_WhenKerasComes" for one in sys.meta_path)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=saved, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_class_that_is_registered_can_be_found():
    for package in ("models", "prune", "quantize", "training", "export"):
        home = importlib.import_module(f"edgewright.{package}")
        for module in pkgutil.iter_modules(home.__path__):
            if not module.name.endswith("worker"):
                importlib.import_module(f"edgewright.{package}.{module.name}")
    found = {
        name: real.__module__.partition(".")[2]
        for name, real in keras.saving.get_custom_objects().items()
        if name.startswith("edgewright>")
    }
    assert found == {f"edgewright>{name}": module for module, names in registered.CLASSES.items() for name in names}


def test_the_index_says_what_the_registry_does():
    ours = [row for row in registry.describe() if registry.get(row["name"]).builder.__module__.startswith("edgewright")]
    assert list(index.rows()) == ours
