"""The benchmark's own environment: the packages of others, laid over the environment that runs the benchmark."""

import hashlib
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

from edgewright.devices.transports.locks import cache

# Without their dependencies: Keras, TensorFlow and Edgewright come from the environment below.
PACKAGES = (
    "keras-hub==0.32.0", "kimm==0.2.5", "keras-rs==0.4.0", "keras-tcn==3.5.7",
    "regex==2026.11.19", "sentencepiece==0.2.3", "tokenizers==0.23.3",
)  # fmt: skip


def enter() -> None:
    """Run this program again, in the benchmark's own environment; return if it runs there already.

    The environment is made where it does not exist: a folder of the cache, by the packages and what it is laid over.
    """
    below = [path for path in site.getsitepackages() if Path(path).is_dir()]
    mark = hashlib.sha256("\n".join([sys.prefix, sys.version, *PACKAGES]).encode()).hexdigest()[:12]
    folder = cache() / "foreign" / mark
    if os.environ.get("EDGEWRIGHT_FOREIGN") == sys.prefix:
        return
    if not folder.is_dir():
        _make(folder, below)
    here = Path(__file__).parent.parent
    variables = {"EDGEWRIGHT_FOREIGN": str(folder), "PYTHONPATH": str(here), "TF_CPP_MIN_LOG_LEVEL": "3",
                 "KERAS_BACKEND": "tensorflow"}  # fmt: skip
    sys.exit(
        subprocess.run([folder / "bin" / "python", *sys.argv], env={**os.environ, **variables}, check=False).returncode
    )


def _make(folder: Path, below: list[str]) -> None:
    """Make the environment, whole or not at all."""
    print(f"making the environment {folder}: {', '.join(PACKAGES)}", file=sys.stderr, flush=True)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    venv.create(part, with_pip=True)
    own = next(part.glob("lib/python*/site-packages"))
    # As `site` reads them: editable installs are .pth files themselves.
    (own / "below.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in below))
    pip = [part / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *PACKAGES], check=True)
    part.rename(folder)


__all__ = ["PACKAGES", "enter"]
