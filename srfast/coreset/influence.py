"""Which patches of a pool help on a target: influence functions of the scorer.

Koh and Liang, "Understanding Black-box Predictions via Influence Functions" (ICML 2017), equation 2, with the
Gauss-Newton matrix in place of the Hessian (Martens 2010; Grosse et al. 2023). docs/influence.md derives it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from srfast.coreset.curvature import (
    Crops,
    context,
    direction,
    enlarged,
    flattened,
    plane_of,
    probe_rows,
    squared_error,
    unflattened,
)
from srfast.coreset.joining import located
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.data.shrink import WHOLE
from srfast.errors import InputError, RunError
from srfast.runtime.threads import cores
from srfast.scoring.network import Network, Scorer, load_network
from srfast.scoring.pipeline import score
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import ScoreTable, check_new, one_table
from srfast.settings import number, whole

COLUMN = "influence"
PROBES = 4096
"""Number of crops of the pool for the sketch of the curvature, half as many as an SRCNN 9-1-5 has weights."""
MOVED = 0.002
"""Fraction of itself by which the loss of a typical crop moves for the central difference. The reconstruction is cubic
in the weights: at 0.02 the difference is off by a tenth of the largest slope, at 0.002 by 0.3 %, and float32's rounding
of a loss, 1e-6 of it, is 5e-4 of the difference."""
_AT_A_TIME = 8
"""Number of these crops at a time: 110 MB in float64."""
_PIECE = 1 << 16
"""Pixels of the target that are differentiated at a time: 100 MB."""


def influence(
    scores: ScoreTable | str | os.PathLike[str],
    target: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    scorer: Scorer = "srcnn",
    root: str | os.PathLike[str] | None = None,
    probes: int | None = None,
    damping: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    allow_missing_shards: bool = False,
) -> ScoreTable:
    """Adds a column ``influence``: how much a patch of the pool lowers the loss on target images.

    The scorer's weights minimise the mean loss of the pool. If a patch i weighs more in it, they move by -(H +
    damping)^-1 grad L_i, and the mean loss of the target falls by v . grad L_i with v = (H + damping)^-1 grad L_target.
    H is the Gauss-Newton matrix of the pool, sketched from random crops, and the damping is chosen on crops of other
    images. v . grad L_i is a derivative along v, computed as the central difference of two scorings with the weights w
    + e v and w - e v.

    Args:
        scores: A score table or its path, made by ``srfast.score`` without given LR images.
        target: Files and folders of images of the kind that a model should reconstruct well; twenty are enough.
        scorer: The SRCNN 9-1-5 whose loss is predicted: "srcnn" or a weight file.
        root: Folder of the images, if they have moved since scoring.
        probes: Number of crops of the pool for the sketch of H, 10 to 8000; None takes 4096.
        damping: Damping in units of H's mean diagonal, above 0; None chooses it.
        seed: Random seed of the crops and of the sketch, at least 0.
        threads: Number of CPU threads; None takes one per core that the process may use.
        progress: Function that is called with (images done, images in all, patches) during the two scorings.
        allow_missing_shards: Whether shards may be missing; the metadata then list them.

    Returns:
        The table with the column (float32, units of the loss; higher values help more, negative ones harm). Its
        metadata record under ``influence`` the target, the damping and the step.

    Raises:
        InputError: an argument is wrong, the table lacks shards, has that column or given LR images, the images are not
            those that were scored, or the scorer is not an SRCNN 9-1-5.
        RunError: PyTorch is not installed, or the target's loss does not depend on the scorer.
    """
    table = one_table(scores, allow_missing_shards=allow_missing_shards)
    check_new(table, [COLUMN])
    if table.meta.get("lr"):
        raise InputError(
            "scores: expected LR images made by srfast, got a table of given LR images, which the target does not have"
        )
    probes = whole(10, 8000).check("probes", PROBES if probes is None else probes)
    if damping is not None:
        number("a number above 0", lambda value: 0 < value < math.inf).check("damping", damping)
    network = load_network(scorer, table.meta["scale"])
    weights = network.weights
    if network.kind != "srcnn" or weights is None:
        raise InputError(f"scorer: expected an SRCNN 9-1-5, got {network.name}")
    patch = table.meta["patch"]
    if len(wrong := np.setdiff1d(table.column("size"), [patch])):
        raise InputError(f"scores: expected patches of {patch} pixels, as its metadata say, got one of {wrong[0]}")
    images = ScoredImages.of(table.meta, root)
    files = find_images(target)
    threads = threads or cores()
    gradient, pixels = _gradient([f.path for f in files], weights, table.meta)
    crops = Crops(table, images, weights, probes, seed, threads)
    draw = torch.Generator().manual_seed(seed)
    rows, done = torch.empty(probes, flattened(weights).numel()), 0
    for up in crops.pieces():
        signs = torch.randint(0, 2, (len(up), crops.side, crops.side), generator=draw).float() * 2 - 1
        rows[done : done + len(up)] = probe_rows(up, signs, weights)
        done += len(up)
    descent = direction(rows, int(crops.held.sum()), gradient, damping)
    del rows
    step = _step(*crops.sample(), weights, unflattened(descent.vector, weights))
    around = flattened(weights)
    moved = [_moved(network, unflattened(around + by * descent.vector, weights)) for by in (step, -step)]
    sides = [_column(table, images, network, threads, progress) for network in moved]
    column = ((sides[0] - sides[1]) / (2 * step)).astype(np.float32)
    about = {
        "target": [str(f.path) for f in files],
        "pixels": pixels,
        "scorer": {"name": network.name, "sha256": network.sha256},
        "probes": probes,
        "damping": descent.damping,
        "relative_damping": descent.relative,
        "step": step,
        "seed": seed,
    }
    return ScoreTable(table.table.append_column(COLUMN, pa.array(column)), {**table.meta, COLUMN: about})


def _gradient(paths: list[Path], weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> tuple[Tensor, int]:
    """The gradient of the target's mean loss [W], and the number of pixels of that mean.

    Dense mode: of every pixel of the images. Patch mode: of the patches on the table's grid, each degraded by itself.
    """
    free, pixels = {k: w.clone().requires_grad_() for k, w in weights.items()}, 0
    for up, y, inner in (piece for path in paths for piece in _pieces(path, context(weights), meta)):
        error = squared_error(up, y, free)[:, inner]
        error.sum().backward()
        pixels += error.numel()
    if not pixels:
        raise InputError(f"target: expected images of at least {meta['patch']} pixels a side, got only smaller ones")
    total = flattened({k: w.grad if w.grad is not None else torch.zeros_like(w) for k, w in free.items()})
    return total / pixels, pixels


def _pieces(path: Path, reach: int, meta: Mapping[str, Any]) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """Up-sampled Y of an image, its Y, and the lines that count, the others being the network's context."""
    y, scale, patch = plane_of(read_rgb(path)), meta["scale"], meta["patch"]
    height, width = (s - s % scale for s in y.shape)
    y = y[:height, :width]
    if meta["mode"] == "patch":
        grid = Grid.over(height, width, scale, patch, meta["stride"])
        patches = [y[b : b + patch, a : a + patch] for b in grid.ys for a in grid.xs]
        several = max(1, _PIECE // patch**2)
        for i in range(0, len(patches), several):
            piece = torch.stack(patches[i : i + several])
            yield enlarged(piece, scale), piece.float(), slice(None)
    elif height and width:
        up, lines = enlarged(y[None], scale), max(1, _PIECE // width)
        for top in range(0, height, lines):
            first, last = max(0, top - reach), min(height, top + lines + reach)
            inner = slice(top - first, min(height, top + lines) - first)
            yield up[:, first:last], y[None, first:last].float(), inner


def _step(up: Tensor, y: Tensor, weights: Mapping[str, Tensor], along: Mapping[str, Tensor]) -> float:
    """The length e of the step that moves the losses of the crops by MOVED of themselves, in the median."""
    reach = context(weights)
    up = up.double()
    padded = torch.nn.functional.pad(y[:, None].double(), (reach,) * 4, mode="replicate")[:, 0]

    def losses(by: float) -> Tensor:
        moved = {k: w.double() + by * along[k].double() for k, w in weights.items()}
        inner = slice(reach, -reach or None)
        pieces = zip(up.split(_AT_A_TIME), padded.split(_AT_A_TIME), strict=True)
        return torch.cat([squared_error(u, y, moved)[:, inner, inner].mean((1, 2)) for u, y in pieces])

    # In float64 the slope at a millionth of the weights' length is exact to 1e-6.
    little = 1e-6 * float(flattened(weights).norm() / flattened(along).norm())
    loss, slope = losses(0), (losses(little) - losses(-little)).abs() / (2 * little)
    moving = (loss > 1) & (slope > 0) if bool(((loss > 1) & (slope > 0)).any()) else slope > 0
    step = MOVED * float((loss / slope)[moving].median()) if bool(moving.any()) else math.nan
    if not (math.isfinite(step) and step > 0):
        raise RunError("influence: the target's loss does not depend on the scorer's weights")
    return step


def _moved(network: Network, weights: Mapping[str, Tensor]) -> Network:
    arrays = {k: np.ascontiguousarray(w.numpy(), np.float32) for k, w in weights.items()}
    return Network("srcnn", f"{network.name}, moved", network.sha256, network.scale, arrays=arrays)


def _column(
    table: ScoreTable, images: ScoredImages, network: Network, threads: int, progress: Any
) -> np.ndarray:  # fmt: skip
    """The losses of the table's rows under a network [N], float64."""
    names = table.table.column("image").unique().to_pylist()
    how: dict[str, Any] = {k: table.meta[k] for k in ("scale", "patch", "stride", "mode")}
    how["shrink"] = tuple(table.meta.get("shrink", WHOLE))
    scored = score(images.check_all(names), scorer=network, threads=threads, progress=progress, **how)
    root = Path(scored.meta["root"])
    rows = located(scored, table, lambda name: os.path.relpath(root / name, images.root))
    if (rows < 0).any():
        raise InputError("scores: its patches do not lie on the grid of its metadata; the images have changed")
    return scored.column("loss").astype(np.float64)[rows]
