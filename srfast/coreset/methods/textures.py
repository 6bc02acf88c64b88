"""Methods that see the texture of patches: spread over clusters of similar texture, or nearest to a target's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import numpy as np

from srfast.coreset.features import copies, describe, luma, spectrum, standardised
from srfast.coreset.limits import running_count
from srfast.coreset.methods.base import Pool
from srfast.coreset.settings import SelectArguments
from srfast.data.grid import Grid
from srfast.data.images import find_images, read_rgb
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.ops.blockiness import summed_area
from srfast.runtime.optional import needing
from srfast.runtime.threads import cores
from srfast.scoring.rows import Rows, descending
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import ScoreTable, arrow

MANY = 100_000
"""Number of patches from which on faiss clusters, since scikit-learn's k-means takes too long."""
CLUSTERS = 1000
"""Largest number of clusters of ``diverse``; there are fewer if fewer patches are kept."""
HDC_CLUSTERS = 15
"""Ding et al.'s number of texture clusters."""
HDC_COMPLEX = 0.5
"""Share of the patches that Ding et al.'s first step keeps: those of the highest texture complexity."""


def diverse(pool: Pool) -> np.ndarray:
    """Goes in rounds over k-means clusters of texture features; each round takes the patch nearest to the centre from
    every cluster that has one left, the largest clusters first."""
    features = _textures(pool, np.arange(len(pool)))
    label, distance = kmeans(features, min(CLUSTERS, pool.count), int(pool.rng.integers(2**31)))
    nearest = np.lexsort((distance, label))
    turn = np.empty(len(pool), np.int64)
    turn[nearest] = running_count(label[nearest])
    size = np.bincount(label)[label]
    return np.lexsort((label, -size, turn))


def hdc(pool: Pool) -> np.ndarray:
    """Hierarchical dataset condensation: the complex half by Sobel, and from that an equal draw from 15 clusters.

    Ding et al., "Not All Patches Are Equal: Hierarchical Dataset Condensation for Single Image Super-Resolution" (IEEE
    SPL 2023). Step one keeps the patches of the highest mean gradient; step two clusters these by texture (k-means, 15
    clusters) and draws the same number from each. Deviations: texture is the spectrum of the patch, not the encoding of
    a ResNet-50 trained on textures; a cluster that runs out passes its turn on, where theirs ends in an error; if more
    than half is kept, the first step keeps that many and the second leaves none out.
    """
    by_sobel = descending(pool.column("sobel"), pool.order)
    half = max(pool.count, int(HDC_COMPLEX * len(pool) + 0.5))
    inside = np.sort(by_sobel[:half])
    label, _ = kmeans(_textures(pool, inside), min(HDC_CLUSTERS, len(inside)), int(pool.rng.integers(2**31)))
    shuffled = pool.rng.permutation(len(inside))
    turn = running_count(label[shuffled])
    drawn = inside[shuffled[np.lexsort((label[shuffled], turn))]]
    return np.concatenate([drawn, by_sobel[half:]])


def kmeans(features: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The cluster of each of features [n, d] float32, of at most ``k``, and its squared distance to the centre. Raises
    RunError if scikit-learn is not installed, or from ``MANY`` rows on faiss."""
    if len(features) >= MANY:
        with needing(f"method: a clustering of {MANY} patches and more"):
            import faiss
        means = faiss.Kmeans(features.shape[1], k, niter=20, seed=seed % 2**31, min_points_per_centroid=1)
        means.train(features)
        distance, label = means.index.search(features, 1)
        return label[:, 0], distance[:, 0]
    with needing("method: a clustering"):
        from sklearn.cluster import MiniBatchKMeans
    model = MiniBatchKMeans(k, batch_size=4096, n_init=1, max_iter=30, random_state=seed)
    label = model.fit_predict(features)
    return label, ((features - model.cluster_centers_[label]) ** 2).sum(axis=1)


def _textures(pool: Pool, positions: np.ndarray) -> np.ndarray:
    images = ScoredImages.of(pool.table.meta, pool.root)
    return standardised(describe(pool.table, pool.rows[positions], images, spectrum))


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
    column = arrow(values, np.float32)
    return ScoreTable(table.table.append_column("similar", column), table.meta)


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
