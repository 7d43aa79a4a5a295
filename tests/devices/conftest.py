"""Model files made once per test session."""

from pathlib import Path

import device_models
import pytest


@pytest.fixture(scope="session")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return device_models.write_tflite(tmp_path_factory.mktemp("tflite"))


@pytest.fixture(scope="session")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return device_models.write_onnx(tmp_path_factory.mktemp("onnx"))
