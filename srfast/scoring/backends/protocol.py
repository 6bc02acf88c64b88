"""The interface of engines: scores of a batch of patches, of windows of an image, and dense maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from srfast.data.grid import Grid
from srfast.errors import RunError
from srfast.ops.blockiness import window_sums

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Scores:
    """Three float32 [N] arrays: the columns of a score table."""

    loss: np.ndarray
    bicubic: np.ndarray
    sobel: np.ndarray


class Engine(Protocol):
    """A backend on one device, ready to score with one network at one scale."""

    name: str
    precision: str
    """The precision it computes in: "fp32", even if "fast" was requested, on a machine that has no "fast"."""
    concurrent: bool
    """Whether several threads may score different images at once, each on one thread."""

    def windows(self, image: np.ndarray, grid: Grid, threads: int, lr: np.ndarray | None = None) -> Scores:
        """Patch mode: scores of the windows of a uint8 image [H, W, 3 or 1].

        ``lr`` is the LR image, uint8 [h, w, 3 or 1], for the engine of existing pairs, and None for all others.
        """
        ...

    def dense(self, image: np.ndarray, grid: Grid, threads: int, lr: np.ndarray | None = None) -> Scores:
        """Dense mode: the image is degraded once as a whole, and each window gets the mean of its part of the maps.

        Every window lies inside the image, cropped to a multiple of the scale.
        """
        ...


class BatchEngine(Engine, Protocol):
    """An engine that makes LR images itself."""

    def batch(self, patches: np.ndarray) -> np.ndarray:
        """Losses float32 [N] of uint8 patches [N, H, W, 3 or 1]."""
        ...


@runtime_checkable
class TakesSeveral(Protocol):
    """An engine that scores the windows of several images in one call, without waiting for their scores."""

    def submit(self, images: Sequence[np.ndarray], grids: Sequence[Grid], dense: bool) -> Callable[[], list[Scores]]:
        """Starts ``windows`` or ``dense`` for each image with its grid; the returned function waits for the scores.
        The images may change after the call."""
        ...


@runtime_checkable
class TakesTensors(Protocol):
    """An engine whose input and output may stay on the GPU."""

    def batch_tensor(self, patches: Tensor) -> Tensor: ...


def check_finite(loss: np.ndarray, what: str) -> np.ndarray:
    """Returns the losses unchanged. Raises RunError if one is NaN or infinite, which is the fault of the network, not
    of the image."""
    if not np.isfinite(loss).all():
        first = int(np.flatnonzero(~np.isfinite(loss))[0])
        raise RunError(f"{what}: expected finite losses, got {loss[first]} for patch {first}")
    return loss


def cut(image: np.ndarray, grid: Grid) -> np.ndarray:
    """The windows of an image as [len(grid), size, size, C], a copy."""
    size = grid.size
    view = np.lib.stride_tricks.sliding_window_view(image, (size, size), (0, 1))[grid.ys[:, None], grid.xs]
    return np.ascontiguousarray(view.reshape(-1, image.shape[2], size, size).transpose(0, 2, 3, 1))


def window_means(error: np.ndarray, grid: Grid) -> np.ndarray:
    """Means of the windows of a map [H, W] through a float64 summed-area table, float32 [len(grid)]."""
    size = grid.size
    with np.errstate(invalid="ignore"):  # of maps that are not finite, which check_finite refuses
        sums = window_sums(error, grid.xs, grid.ys, size, size)
    return np.maximum(sums / size**2, 0).astype(np.float32).reshape(-1)
