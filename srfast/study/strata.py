"""Errors of a model on easy, middle and hard patches of the test images, and on flat areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch

from srfast.evaluation.evaluator import evaluate
from srfast.evaluation.metrics import Protocol
from srfast.ops import reference
from srfast.ops.color import to_y

TILE = 32
"""Side of a tile in HR pixels; tiles do not overlap, and lie inside the border that the metrics leave out."""
STRATA = ("easy", "middle", "hard")
"""Thirds of the tiles of a test set, by the squared error of bicubic up-sampling."""
FLAT = 8.0
"""Tiles of the stratum "flat" have a mean of 0.5 |Gx| + 0.5 |Gy| (3 x 3 Sobel on Y) below this: skies, walls, blur."""


@dataclass(frozen=True)
class TileError:
    """The squared error of the tiles of one stratum of one image."""

    image: str
    stratum: str
    pixels: int
    mse: float


class TileErrors:
    """Collects the errors of a model while ``evaluate`` goes over a test set.

    Args:
        files: The test set.
        scale: Scale of the model, and width of the border that is left out.
        protocol: Protocol of the evaluation.
    """

    def __init__(self, files: Sequence[str], scale: int, protocol: Protocol) -> None:
        self.rows: list[TileError] = []
        self._scale = scale
        self._protocol = protocol
        self._strata = _strata(tuple(files), scale, protocol)

    def inspect(self, name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        error = _tile_means(_squared_error(sr, hr, self._scale, self._protocol))
        for stratum, tiles in self._strata[name].items():
            if tiles.any():
                inside = error[tiles]
                self.rows.append(TileError(name, stratum, inside.size * TILE**2, float(inside.mean())))


@lru_cache(maxsize=8)
def _strata(files: tuple[str, ...], scale: int, protocol: Protocol) -> dict[str, dict[str, np.ndarray]]:
    """For each image the tiles of each stratum, as masks [rows, columns]."""
    errors: dict[str, np.ndarray] = {}
    gradients: dict[str, np.ndarray] = {}

    def inspect(name: str, sr: np.ndarray, hr: np.ndarray) -> None:
        errors[name] = _tile_means(_squared_error(sr, hr, scale, protocol))
        y = torch.from_numpy(_inner(to_y(hr, protocol), scale).copy())
        gradients[name] = _tile_means(reference.sobel_map(y[None, ..., None])[0].numpy())

    evaluate("bicubic", files, scale=cast(Any, scale), protocol=protocol, inspect=inspect)
    every = np.concatenate([e.ravel() for e in errors.values()])
    low, high = np.quantile(every, (1 / 3, 2 / 3)) if every.size else (0.0, 0.0)
    return {
        name: {"easy": e <= low, "middle": (e > low) & (e <= high), "hard": e > high, "flat": gradients[name] < FLAT}
        for name, e in errors.items()
    }


def _inner(plane: np.ndarray, shave: int) -> np.ndarray:
    return plane[shave : plane.shape[0] - shave, shave : plane.shape[1] - shave]


def _squared_error(sr: np.ndarray, hr: np.ndarray, scale: int, protocol: Protocol) -> np.ndarray:
    return _inner((to_y(sr, protocol) - to_y(hr, protocol)) ** 2, scale)


def _tile_means(plane: np.ndarray) -> np.ndarray:
    """Means of the whole tiles of [H, W]: [H // TILE, W // TILE]."""
    rows, columns = (n // TILE for n in plane.shape)
    cut = plane[: rows * TILE, : columns * TILE]
    return cut.reshape(rows, TILE, columns, TILE).mean((1, 3))
