"""The Gauss-Newton matrix of an SRCNN's loss, as a sketch, and the damped Newton direction of a gradient.

For an image x (up-sampled, [0, 1]) and its Y y, the loss is L = 255^2 / n sum_p (f_p(x; w) - y_p)^2 over its n pixels.
With J the Jacobian of f by the weights w, the Gauss-Newton matrix of L is 2 * 255^2 / n J^T J. A vector s of random
signs has E[s s^T] = I, so the row g = 255 sqrt(2 / n) J^T s has E[g g^T] equal to that matrix, and the mean of g g^T
over crops of a pool is an unbiased estimate of the pool's (Hutchinson 1990; the sketch of Martens 2010, Section 4).
``Crops`` are degraded as the pool's table was scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srfast.coreset.features import of_images
from srfast.data.grid import cropped
from srfast.errors import RunError
from srfast.ops.functional import imresize, upsample
from srfast.ops.reference import luma, srcnn
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import Scale
from srfast.scoring.table import ScoreTable

DAMPINGS = tuple(10.0 ** (e / 2) for e in range(-8, 3))
"""Values of the damping to choose from, in units of the matrix's mean diagonal."""
_BLOCK = 512
"""Rows that are in float64 at a time, 33 MB."""
_PIECE = 64
"""Crops whose activations are held at a time, 60 MB."""


def flattened(weights: Mapping[str, Tensor]) -> Tensor:
    """The weights as one vector [W], in their order."""
    return torch.cat([w.reshape(-1) for w in weights.values()])


def unflattened(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one vector, the inverse of ``flattened``."""
    sizes = [w.numel() for w in like.values()]
    parts = zip(like.items(), vector.split(sizes), strict=True)
    return {name: part.reshape(w.shape) for (name, w), part in parts}


def context(weights: Mapping[str, Tensor]) -> int:
    """Pixels at each side on which a reconstructed pixel depends: 6 for an SRCNN 9-1-5."""
    return int(sum(weights[f"conv{i}.weight"].shape[-1] // 2 for i in (1, 2, 3)))


def probe_rows(up: Tensor, signs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """Rows g of the sketch [n, W]: 255 sqrt(2 / (h w)) J^T s of each crop, without the border's replication, since
    crops lie inside the image.

    ``up`` are crops of up-sampled Y with the network's context around them [n, h + 2c, w + 2c], in [0, 1], ``signs``
    [n, h, w] are -1 and 1, and ``weights`` an SRCNN's six arrays, whose second layer is 1 x 1.
    """
    parts = [_rows(u, s, weights) for u, s in zip(up.split(_PIECE), signs.split(_PIECE), strict=True)]
    return torch.cat(parts) * (255 * math.sqrt(2 / signs[0].numel()))


def _rows(up: Tensor, signs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    w1, b1, w2, b2, w3, _ = weights.values()
    n, k = len(up), w3.shape[-1]
    w1, w2, w3 = w1.flatten(1), w2.flatten(1), w3[0].flatten(1)
    seen = _windows(up, weights["conv1.weight"].shape[-1])
    first = (w1 @ seen + b1[:, None]).relu_()
    second = (w2 @ first + b2[:, None]).relu_()
    # Of the pixels that a value of the second layer enters, those that tap (i, j) leads to.
    entered = _windows(F.pad(signs, (k - 1,) * 4), k).flip(1)
    at_second = (w3 @ entered).mul_(second > 0)
    at_first = (w2.T @ at_second).mul_(first > 0)
    rows = (
        at_first @ seen.transpose(1, 2),
        at_first.sum(2),
        at_second @ first.transpose(1, 2),
        at_second.sum(2),
        second @ entered.transpose(1, 2),
        signs.sum((1, 2)),
    )
    return torch.cat([r.reshape(n, -1) for r in rows], 1)


def _windows(planes: Tensor, side: int) -> Tensor:
    """[n, side^2, pixels]: for each tap of a square kernel, the plane that it sees."""
    n, h, w = planes.shape
    planes = planes.contiguous()
    down, across, right = planes.stride()
    views = planes.as_strided((n, side, side, h - side + 1, w - side + 1), (down, across, right, across, right))
    return views.reshape(n, side * side, -1)


@dataclass(frozen=True)
class Direction:
    """v = (H + damping I)^-1 g, and the damping that was chosen."""

    vector: Tensor
    """[W] float32."""
    damping: float
    """The damping in units of the matrix."""
    relative: float
    """The damping in units of the matrix's mean diagonal."""


def direction(rows: Tensor, held_out: int, gradient: Tensor, damping: float | None = None) -> Direction:
    """The damped Newton direction of a gradient g [W], with H = R^T R / n of the probes R [n, W] float32.

    v is the minimum of 1/2 v^T (H + damping I) v - g^T v. Without ``damping``, in units of H's mean diagonal, the value
    of ``DAMPINGS`` is taken whose v minimises 1/2 v^T H v - g^T v for an H of the last ``held_out`` probes, which are
    of other images and then join the others. There are fewer probes n than weights W, so that the matrix to factorise
    is n x n (Woodbury): v = (g - R^T (R R^T + n damping I)^-1 R g) / damping, in float64, because the difference is
    small beside g. Raises RunError if the probes are all zero.
    """
    gradient = gradient.double()
    products = _products(rows)
    if damping is None:
        n = len(rows) - held_out
        seen = _Woodbury(rows[:n], products[:n, :n], gradient)
        errors = [_error(rows[n:], seen.solved(relative), gradient) for relative in DAMPINGS]
        damping = DAMPINGS[int(np.argmin(errors))]
    whole = _Woodbury(rows, products, gradient)
    return Direction(whole.solved(damping).float(), damping * whole.unit, damping)


def _products(rows: Tensor) -> Tensor:
    """R R^T [n, n] in float64."""
    products = torch.empty(len(rows), len(rows), dtype=torch.float64)
    for i in range(0, len(rows), _BLOCK):
        block = rows[i : i + _BLOCK].double()
        for j in range(0, i + 1, _BLOCK):
            piece = block @ rows[j : j + _BLOCK].double().T
            products[i : i + _BLOCK, j : j + _BLOCK] = piece
            products[j : j + _BLOCK, i : i + _BLOCK] = piece.T
    return products


class _Woodbury:
    """(R^T R / n + damping I)^-1 g for many dampings."""

    def __init__(self, rows: Tensor, products: Tensor, gradient: Tensor) -> None:
        self.rows, self.products, self.gradient = rows, products, gradient
        self.seen = _times(rows, gradient)
        self.unit = float(products.diagonal().sum()) / rows.numel()
        """The mean diagonal of R^T R / n."""
        if not self.unit > 0:
            raise RunError("influence: the scorer's output does not depend on its weights on this pool")

    def solved(self, relative: float) -> Tensor:
        damping = relative * self.unit
        diagonal = self.products.diagonal()
        before = diagonal.clone()
        diagonal.add_(len(self.rows) * damping)
        factor = torch.linalg.cholesky(self.products)
        diagonal.copy_(before)
        inner = torch.cholesky_solve(self.seen[:, None], factor)[:, 0]
        back = sum(
            (self.rows[i : i + _BLOCK].double().T @ inner[i : i + _BLOCK] for i in range(0, len(inner), _BLOCK)),
            torch.zeros_like(self.gradient),
        )
        return (self.gradient - back) / damping


def _times(rows: Tensor, vector: Tensor) -> Tensor:
    """rows @ vector in float64."""
    return torch.cat([piece.double() @ vector for piece in rows.split(_BLOCK)])


def _error(rows: Tensor, vector: Tensor, gradient: Tensor) -> float:
    """1/2 v^T H v - g^T v, H of these rows."""
    return float(_times(rows, vector).square().mean() / 2 - gradient @ vector)


def squared_error(up: Tensor, y: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """(255 f - y)^2 [N, H, W] of whole images, from up-sampled Y [N, H, W] in [0, 1] and Y in [0, 255]; the network
    pads by replication."""
    return (255 * srcnn(up[:, None], weights)[:, 0] - y).square()


SIDE = 33
"""Side of a crop in pixels, that of SRCNN's own training crops."""
HELD_OUT = 5
"""Every image of this number is held out of the matrix, to choose the damping by."""
_SAMPLE = 128
"""Number of crops that determine this step."""


def plane_of(rgb: np.ndarray) -> Tensor:
    return luma(torch.from_numpy(rgb))


def enlarged(y: Tensor, scale: Scale) -> Tensor:
    """d(y) up-sampled again, in [0, 1], of whole images [N, H, W] uint8 whose sides are multiples of the scale."""
    lr = torch.stack([imresize(plane, 1 / scale) for plane in y])
    return upsample(lr[:, None].float(), scale)[:, 0] / 255


class Crops:
    """Random crops of a pool's patches with their context; those of held-out images come last."""

    def __init__(
        self,
        table: ScoreTable,
        pool: ScoredImages,
        weights: Mapping[str, Tensor],
        number: int,
        seed: int,
        threads: int,
    ) -> None:
        self.table, self.reach, self.threads, self.pool = table, context(weights), threads, pool
        draw = np.random.default_rng(seed)
        names, of_image = table.coded()
        x, y, size = (table.column(c).astype(np.int64) for c in ("x", "y", "size"))
        self.side = min(SIDE, int(size.min()))
        self.rows = rows = draw.integers(len(table), size=number)
        shift = draw.random((2, number))
        left = x[rows] + (shift[0] * (size[rows] - self.side + 1)).astype(np.int64)
        top = y[rows] + (shift[1] * (size[rows] - self.side + 1)).astype(np.int64)
        self.at = np.stack([x[rows], y[rows], size[rows], left, top], 1)
        images = draw.permutation(len(names))
        self.held = np.isin(of_image[rows], images[: max(1, len(images) // HELD_OUT)])
        if self.held.all() or not self.held.any():  # few images: every so many-th of their crops
            self.held = np.arange(number) % HELD_OUT == 0

    def pieces(self) -> Iterator[Tensor]:
        """Crops with context [n, side + 2 reach, side + 2 reach] in [0, 1], in pieces."""
        return (up for some in (~self.held, self.held) for up, _ in self._read(np.flatnonzero(some)))

    def sample(self) -> tuple[Tensor, Tensor]:
        """A few crops, and their Y [n, side, side] in [0, 255]."""
        wanted = np.linspace(0, len(self.rows) - 1, min(_SAMPLE, len(self.rows))).astype(int)
        up, y = zip(*self._read(np.unique(wanted)), strict=True)
        return torch.cat(up), torch.cat(y)

    def _read(self, crops: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        at = self.at[crops]
        pairs = of_images(self.table, self.rows[crops], self.pool, lambda rgb, i: self._cut(rgb, at[i]), self.threads)
        return (pair for _, pair in pairs)

    def _cut(self, rgb: np.ndarray, at: np.ndarray) -> tuple[Tensor, Tensor]:
        meta = self.table.meta
        y = plane_of(cropped(rgb, meta["scale"], self.pool.root))

        def padded(plane: Tensor) -> Tensor:
            return F.pad(enlarged(plane[None], meta["scale"]), (self.reach,) * 4, mode="replicate")[0]

        side, whole = self.side, self.side + 2 * self.reach
        up, hr = torch.empty(len(at), whole, whole), torch.empty(len(at), side, side)
        seen = padded(y) if meta["mode"] == "dense" else None
        for i, (x0, y0, size, left, top) in enumerate(at.tolist()):
            if seen is not None:
                up[i] = seen[top : top + whole, left : left + whole]
            else:
                patch = padded(y[y0 : y0 + size, x0 : x0 + size])
                up[i] = patch[top - y0 : top - y0 + whole, left - x0 : left - x0 + whole]
            hr[i] = y[top : top + side, left : left + side]
        return up, hr
