"""Methods that spread the kept patches over clusters of patches with similar texture."""

from __future__ import annotations

import numpy as np

from srfast.coreset.features import describe, spectrum, standardised
from srfast.coreset.limits import running_count
from srfast.coreset.methods.base import Pool
from srfast.runtime.optional import needing
from srfast.scoring.rows import descending
from srfast.scoring.scored import ScoredImages

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
        return _kmeans_faiss(features, k, seed)
    with needing("method: a clustering"):
        from sklearn.cluster import MiniBatchKMeans
    model = MiniBatchKMeans(k, batch_size=4096, n_init=1, max_iter=30, random_state=seed)
    label = model.fit_predict(features)
    return label, ((features - model.cluster_centers_[label]) ** 2).sum(axis=1)


def _kmeans_faiss(features: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    with needing(f"method: a clustering of {MANY} patches and more"):
        import faiss
    model = faiss.Kmeans(features.shape[1], k, niter=20, seed=seed % 2**31, min_points_per_centroid=1)
    model.train(features)
    distance, label = model.index.search(features, 1)
    return label[:, 0], distance[:, 0]


def _textures(pool: Pool, positions: np.ndarray) -> np.ndarray:
    images = ScoredImages.of(pool.table.meta, pool.root)
    return standardised(describe(pool.table, pool.rows[positions], images, spectrum))
