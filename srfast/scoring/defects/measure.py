"""The columns of defects for the patches of one image."""

from __future__ import annotations

import os

import numpy as np

from srfast.data.encoding import encoding_of
from srfast.data.grid import Grid
from srfast.ops.blockiness import blockiness
from srfast.ops.defects import COLUMNS, defects, jpeg_trace
from srfast.scoring.defects.thresholds import names


def measure(
    hr: np.ndarray, path: str | os.PathLike[str] | None, grid: Grid, *, threads: int = 1,
    lr: np.ndarray | None = None, scale: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of ``score --defects`` for the windows of an image, float32 [len(grid)] each; NaN stands for null.

    Args:
        hr: uint8 [H, W, 3].
        path: Path of its file; None if the image was shrunk after reading.
        grid: The windows, of at least 32 pixels a side.
        threads: Number of threads of the compiled kernels.
        lr: The given LR image, uint8 [H // scale, W // scale, 3], if there is one.
        scale: 2, 3 or 4.
    """
    xs, ys, size = grid.xs, grid.ys, grid.size
    found = dict(zip(COLUMNS, defects(hr, xs, ys, size, threads).T, strict=True))
    found["blockiness"] = blockiness(hr, xs, ys, size, threads)
    of_file = None if path is None else encoding_of(path).quality
    qualities = [q for q in (of_file, jpeg_trace(hr)) if q is not None]
    found["jpeg"] = np.full(len(grid), min(qualities, default=np.nan), np.float32)
    if lr is not None:
        from srfast.scoring.defects.alignment import pair_columns

        found |= pair_columns(hr, lr, xs, ys, size, scale)
    return {name: found[name] for name in names(lr is not None)}
