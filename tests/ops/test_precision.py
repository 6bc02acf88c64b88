"""TF32 is kept out however the user has set torch, and every setting is as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from srfast.ops.device import without_tf32

backends: Any = torch.backends
OPERATIONS = ("cudnn.conv", "cudnn.rnn", "cuda.matmul", "mkldnn.conv", "mkldnn.matmul")

pytestmark = pytest.mark.skipif(not hasattr(backends, "fp32_precision"), reason="needs torch 2.9")


def settings() -> dict[str, str]:
    precisions = {"": backends.fp32_precision, "cudnn": backends.cudnn.fp32_precision}
    for name in OPERATIONS:
        backend, operation = name.split(".")
        precisions[name] = getattr(getattr(backends, backend), operation).fp32_precision
    return precisions


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = settings()
    yield
    backends.fp32_precision = before.pop("")
    backends.cudnn.fp32_precision = before.pop("cudnn")
    for name, value in before.items():
        backend, operation = name.split(".")
        getattr(getattr(backends, backend), operation).fp32_precision = value


def check() -> None:
    before = settings()
    with without_tf32():
        inside = settings()
        for name in ("cudnn.conv", "cuda.matmul", "mkldnn.conv", "mkldnn.matmul"):
            assert inside[name] == "ieee"
    assert settings() == before


def test_as_torch_comes() -> None:
    check()


def test_after_the_convolutions_were_set() -> None:
    backends.cudnn.conv.fp32_precision = "ieee"
    check()


def test_after_everything_was_set_to_tf32() -> None:
    backends.fp32_precision = "tf32"
    check()


def test_an_inherited_setting_still_follows() -> None:
    backends.fp32_precision = "tf32"
    backends.cuda.matmul.fp32_precision = "none"
    with without_tf32():
        pass
    backends.fp32_precision = "ieee"
    assert backends.cuda.matmul.fp32_precision == "ieee"


def test_settings_come_back_after_an_error() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), without_tf32():
        raise ZeroDivisionError
    assert settings() == before
