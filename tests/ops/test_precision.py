"""TF32 is kept out however the user has set torch, and every setting is as before afterwards."""

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


@pytest.mark.parametrize("given", ["", "cudnn.conv ieee", "tf32"])
def test_no_tf32_inside_and_every_setting_as_before(given):
    if given == "tf32":
        backends.fp32_precision = "tf32"
    elif given:
        backends.cudnn.conv.fp32_precision = "ieee"
    before = settings()
    with without_tf32():
        inside = settings()
    assert {inside[name] for name in OPERATIONS if name != "cudnn.rnn"} == {"ieee"}
    assert settings() == before
    with pytest.raises(ZeroDivisionError), without_tf32():
        raise ZeroDivisionError
    assert settings() == before


def test_an_inherited_setting_still_follows():
    backends.fp32_precision = "tf32"
    backends.cuda.matmul.fp32_precision = "none"
    with without_tf32():
        pass
    backends.fp32_precision = "ieee"
    assert backends.cuda.matmul.fp32_precision == "ieee"
