"""Selection for a target, and its control: the patches whose texture is nearest to the target's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.features import copies, describe, luma, spectrum, standardised
from srfast.coreset.settings import SelectArguments
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.ops.blockiness import summed_area
from srfast.runtime.optional import needing
from srfast.runtime.threads import cores
from srfast.scoring.rows import Rows
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import ScoreTable

MOST = 4096
"""Number of the target's patches that are compared; of more, a random draw is."""
_PIECE = 1 << 13


def similarity(
    table: Rows,
    rows: np.ndarray,
    target: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    root: str | os.PathLike[str] | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """How near the texture of rows [n] is to a target: minus the squared distance, float64, of the nearest target
    patch.

    Texture is the spectrum by which ``dedup`` compares: the energies of 4 rings and 6 directions, and the contrast,
    each standardised over the pool. The patches of ``target`` on the table's grid are compared, of which ``rng`` draws
    MOST if there are more. Raises InputError if an image cannot be read, or all target images are smaller than a patch.
    """
    wanted = _target(table, target, rng)
    pool = describe(table, rows, ScoredImages.of(table.meta, root), spectrum)
    pool, wanted = (standardised(features, pool).astype(np.float64) for features in (pool, wanted))
    lengths = (wanted**2).sum(axis=1)
    nearest = np.empty(len(pool))
    for i in range(0, len(pool), _PIECE):
        piece = pool[i : i + _PIECE]
        nearest[i : i + _PIECE] = (lengths - 2 * piece @ wanted.T).min(axis=1) + (piece**2).sum(axis=1)
    return -np.maximum(nearest, 0)


def similar(table: ScoreTable, settings: SelectArguments) -> ScoreTable:
    """The table with the column similar for ``settings.target``."""
    assert settings.target is not None
    rng = np.random.default_rng(settings.seed)
    values = similarity(table, np.arange(len(table)), settings.target, settings.root, rng)
    return ScoreTable(table.table.append_column("similar", pa.array(values.astype(np.float32))), table.meta)


def influential(table: ScoreTable, settings: SelectArguments) -> ScoreTable:
    """The table with the column influence for ``settings.target``."""
    with needing("influence"):
        from srfast.coreset.influence import influence
    assert settings.target is not None
    return influence(table, settings.target, root=settings.root, seed=settings.seed)


def _target(table: Rows, target: Any, rng: np.random.Generator) -> np.ndarray:
    scale, patch, stride = (int(table.meta[k]) for k in ("scale", "patch", "stride"))

    def of_image(path: os.PathLike[str]) -> np.ndarray:
        rgb = read_rgb(path)
        grid = Grid.over(rgb.shape[0], rgb.shape[1], scale, patch, stride)
        y, x = (c.reshape(-1) for c in np.meshgrid(grid.ys, grid.xs, indexing="ij"))
        return spectrum(copies(summed_area(luma(rgb), 1), x, y, np.full(len(x), patch))) if len(x) else np.empty((0, 0))

    with closing(ordered_map(of_image, [f.path for f in find_images(target)], cores())) as results:
        per_image = [features for _, features in results if len(features)]
    if not per_image:
        raise InputError(f"target: expected images of at least {patch} pixels a side, got only smaller ones")
    features = np.concatenate(per_image)
    return features if len(features) <= MOST else features[rng.permutation(len(features))[:MOST]]
