"""A net whose kernels are products, in both formats, float and int8, each run where it is meant to run."""

import numpy as np
import pytest
from edgewright.export import EXPORTERS
from edgewright.prune import LowRankConfig, factorize
from edgewright.quantize import find_quantized, prepare_qat
from int8_run import cnn, output_step, run, samples, share_within_one_step


@pytest.fixture(scope="module")
def factorised():
    made, report = factorize(cnn(), LowRankConfig(rank=2))
    assert len(report.factorised) >= 2
    return made, samples(made)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_files_answer_as_the_model_does(factorised, format):
    made, x = factorised
    np.testing.assert_allclose(run(EXPORTERS[format](made), x), made.predict(x, verbose=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_int8_files_answer_as_the_quantized_model_does(factorised, format):
    made, x = factorised
    qat, report = prepare_qat(made, calibration=x)
    artifact = EXPORTERS[format](qat)
    assert artifact.manifest["float_ops"] == 0 and not report.float_ops
    step = output_step(find_quantized(qat))
    assert share_within_one_step(qat.predict(x, verbose=0), run(artifact, x), step) == 1
