"""The columns of one image's patches."""

from __future__ import annotations

import os

import numpy as np

from srfast.data.encoding import encoding_of
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import COLUMNS, defects, jpeg_trace
from srfast.scoring.defects.panel import names


def measure(
    hr: np.ndarray, path: str | os.PathLike[str] | None, xs: np.ndarray, ys: np.ndarray, size: int, *, threads: int = 1,
    lr: np.ndarray | None = None, scale: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of ``score --defects`` for the windows of an image: float32 [len(ys) * len(xs)] each; NaN: null.

    Args:
        hr: uint8 [H, W, 3].
        path: Its file; None where it has been shrunk since.
        xs: Left sides of the windows, ascending.
        ys: Tops of the windows, ascending.
        size: Side of the windows, at least 32.
        threads: Of the compiled kernels.
        lr: uint8 [H // scale, W // scale, 3], where it exists already.
        scale: HR / LR.
    """
    found = dict(zip(COLUMNS, defects(hr, xs, ys, size, threads).T, strict=True))
    found["blockiness"] = blockiness(hr, xs, ys, size, threads)
    of_file = None if path is None else encoding_of(path).quality
    qualities = [q for q in (of_file, jpeg_trace(hr)) if q is not None]
    found["jpeg"] = np.full(len(xs) * len(ys), min(qualities, default=np.nan), np.float32)
    if lr is not None:
        from srfast.scoring.defects.alignment import pair_columns

        found |= pair_columns(hr, lr, xs, ys, size, scale)
    return {name: found[name] for name in names(lr is not None)}
