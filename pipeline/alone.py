"""Whether the kernels of a file round as in training, each alone, where its outputs do not.

A value halfway between two steps that is rounded the other way goes on through all layers behind it, and through every
later step of a network with states: the outputs of a deep net with right kernels may be several steps off. So where
they are, each kernel is asked with the inputs that it had.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from ..models.registry import Deployable
from ..runners import Arrays
from ..training.runner import KerasRunner
from .diagnose import diagnose

SAMPLES = 16


def least_kernel(
    model: keras.Model, given: Arrays, states: Mapping[str, str], format: str, device: str = "local"
) -> float:
    """Return the share within one step of the kernel that is right least often.

    model: from `prepare_qat`. given: samples by input name, of a network with states (output -> input) sequences.
    Raises: EdgewrightError if the device does not run the file.
    """
    run = KerasRunner({model.name: model}, [Deployable(network=model.name, states=states)])
    read = run.read(model.name, given) if states else given
    count = len(next(iter(read.values())))
    some = np.linspace(0, count - 1, min(SAMPLES, count)).astype(int)
    samples = {name: np.asarray(values)[some] for name, values in read.items()}
    alone = samples if len(samples) > 1 else next(iter(samples.values()))
    return diagnose(model, alone, format=format, device=device).least_kernel
