"""The fixture that fills fresh memory reaches every module that asks for some."""

import importlib

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(
    ("module", "library"),
    [("ops.native", "np"), ("ops.cpu", "torch"), ("coreset.limits", "np"), ("scoring.backends.compiled", "np")],
)
def test_fresh_memory_is_poisoned(module, library):
    used = getattr(importlib.import_module(f"srfast.{module}"), library)
    real = {"np": np, "torch": torch}[library]
    assert used is not real
    assert np.isnan(np.asarray(used.empty(3, dtype=real.float32))).all()
    assert (np.asarray(used.empty((2, 3), dtype=real.uint8)) == 0xA5).all()
    assert (np.asarray(used.empty_like(real.ones(4, dtype=real.uint8))) == 0xA5).all()
    assert used.float32 is real.float32
