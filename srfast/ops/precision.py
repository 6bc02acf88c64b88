"""Full float32 precision where torch would reduce it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def without_tf32() -> Iterator[None]:
    """Makes convolutions and matrix products of float32 compute in float32.

    cuDNN multiplies in TF32 by default, which costs three decimal digits. torch 2.9 and later have one setting for each
    backend and operation (``fp32_precision``), and refuse to return the older ``allow_tf32`` once these differ.
    """
    backends: Any = torch.backends
    operations = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul) if (
        hasattr(backends.cudnn, "conv") and hasattr(backends, "fp32_precision")
    ) else ()  # fmt: skip
    with ExitStack() as stack:
        for operation in operations:
            stack.callback(_restore, operation, operation.fp32_precision)
            operation.fp32_precision = "ieee"
        if not operations:
            for switch in (backends.cudnn, backends.cuda.matmul):
                stack.callback(setattr, switch, "allow_tf32", switch.allow_tf32)
                switch.allow_tf32 = False
        yield


def _restore(operation: Any, before: str) -> None:
    # "none" takes the value from above: a setting that came from there keeps following it.
    operation.fp32_precision = "none"
    if operation.fp32_precision != before:
        operation.fp32_precision = before
