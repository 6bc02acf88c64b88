"""Near-duplicates inside a dataset, and patches that are in test images."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from srfast.coreset.features import SIDE, describe, detail_likeness, halved, likeness, rough_likeness, spectrum
from srfast.coreset.limits import in_one_grid, running_count
from srfast.data.encoding import encoding_of
from srfast.data.grid import starts
from srfast.data.images import ImageFile, find_images, read_rgb
from srfast.data.shrink import sizes_of
from srfast.data.workers import ordered_map
from srfast.runtime.optional import needing
from srfast.runtime.threads import cores
from srfast.scoring.rows import Rows, coded
from srfast.scoring.scored import ScoredImages
from srfast.scoring.table import ScoreTable, check_new, one_table
from srfast.settings import fraction

log = logging.getLogger(__name__)
ALIKE = 0.93
"""Concordance from which on two patches are near-duplicates."""
_NEAREST = 5
"""Number of neighbours by spectrum whose likeness is computed."""
DETAIL = 0.8
"""Concordance from which on the details of two patches are the same: docs/selection.md."""
_ROUGH = 0.1
"""Amount by which the likeness at half the size may be below ``alike``."""
_FAR = 4.0
"""Squared distance of spectra within which 98 of 100 synthetic copies lie (experiments/selection.py)."""
_FLOOR = 1.0
"""Mean square of a band, in units of [0, 255]^2, that counts as nothing, since compression changes what lies below."""
_MEAN = 1 / 16
"""Weight of a patch's mean level beside the logarithms of its energies."""
_STEP = 6
"""Windows of test images are a sixth of the patch apart, so that every training patch is within REACH cells of one."""
_EXACT = 20_000
"""Number of patches up to which every pair is compared; beyond it, an inverted file of faiss visits some of them."""
_PIECE = 2048
COLUMNS = ("duplicate", "group", "leak")


@dataclass(frozen=True)
class Duplicates:
    """The duplicates that were found."""

    table: ScoreTable
    """The score table with the columns ``duplicate`` (bool: a patch of a better image, or an earlier one of the same
    image, shows the same), ``group`` (int32: a number that rows which show the same share; -1 for a row on its own) and
    ``leak`` (string: the test image that shows the same, or missing)."""
    duplicates: int
    groups: int
    flat: int
    """Number of patches that are too flat to be recognised, and are never called duplicates."""
    images: list[tuple[str, str, int, int]]
    """Pairs of images, the better one last, where the first shares at least half of its patches that are not flat with
    the second; with the number of these patches, and of how many."""
    leaks: dict[str, dict[str, int]]
    """Test image -> training image -> number of patches that they share."""
    not_compared: list[str]
    """Test images that are smaller than a patch."""

    @property
    def leaking(self) -> int:
        """Number of patches that are in a test image."""
        return int(len(self.table) - self.table.table.column("leak").null_count)


def dedup(
    scores: ScoreTable | str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    root: str | os.PathLike[str] | None = None,
    alike: float = ALIKE,
    allow_missing_shards: bool = False,
) -> ScoreTable:
    """Marks near-duplicate patches, and patches that are in test images.

    Args:
        scores: A score table, its path or a DataFrame of it, or all the shards of a dataset.
        against: Test images, files and folders.
        root: Folder of the images, if they have moved since scoring.
        alike: Concordance from which on two patches count as the same, 0 < alike <= 1.
        allow_missing_shards: Whether shards may be missing; the metadata then list them.

    Returns:
        The table with three more columns: ``duplicate`` (bool: a patch of a better image shows the same), ``group``
        (int32: a number that patches which show the same share; -1 for a patch on its own) and ``leak`` (string: the
        test image that shows the same, or missing). ``srfast.select(marked, where="not duplicate and leak is null")``
        leaves the marked patches out.

    Raises:
        InputError: an argument is out of range, ``scores`` is a core-set or has columns of an earlier run, or an image
            cannot be read or has changed.
        RunError: faiss is not installed.
    """
    table = one_table(scores, allow_missing_shards=allow_missing_shards)
    tests = [against] if isinstance(against, (str, os.PathLike)) else against
    return find_duplicates(table, tests, root, alike).table


def find_duplicates(
    scores: ScoreTable,
    against: Iterable[str | os.PathLike[str]] = (),
    root: str | os.PathLike[str] | None = None,
    alike: float = ALIKE,
) -> Duplicates:
    """Finds near-duplicate patches, including flips, quarter turns, small shifts and recompression.

    The nearest patches by spectrum (features that flips and turns leave unchanged, searched by faiss) are compared
    pixel by pixel at 32 x 32: by the concordance over the 8 orientations and shifts of up to a tenth of the patch, of
    the whole and of the details. Overlapping patches of one image, at whatever sizes it was scored, are not duplicates;
    patches too flat to be recognised are left out. Among patches of the same content, the one from the best image is
    not a duplicate. The best image is the largest, then a lossless one, then the JPEG file of the highest quality, then
    the first by path; within one image the first patch counts. Of the test images ``against``, every window of the
    patch's size is compared. Arguments and errors are those of ``dedup``.
    """
    fraction("alike", zero=False, one=True).check("alike", alike)
    check_new(scores, COLUMNS)
    tests = find_images(list(against)) if (against := list(against)) else []
    with needing("dedup"):
        import faiss  # noqa: F401  (before the images are read)
    images = ScoredImages.of(scores.meta, root)
    looks = _arrays_compared(scores, images)
    rows = np.flatnonzero(~looks.flat)
    names, image = coded(scores.table.column("image"))
    a, b = _pairs_within(scores, image, rows, looks, alike)
    group = _groups(len(scores), a, b)
    rank = _ranks(names, np.unique(image[np.concatenate([a, b])]), images)
    best_last = np.lexsort((np.arange(len(scores)), rank[image]))[::-1]
    first = np.full(len(scores), -1)
    first[group[best_last]] = best_last
    alone = np.bincount(group, minlength=len(scores))[group] == 1
    duplicate = (first[group] != np.arange(len(scores))) & ~alone
    numbers = np.full(len(scores), -1, np.int32)
    numbers[~alone] = np.unique(group[~alone], return_inverse=True)[1]
    leak = np.full(len(scores), -1)
    titles, not_compared = [str(Path(t.root.name) / t.name) for t in tests], list[str]()
    if tests:
        windows, of_test = _windows(tests, size := int(scores.column("size").max()))
        leak[rows] = _leaks(windows, of_test, looks, rows, alike)
        not_compared = [titles[i] for i in np.setdiff1d(np.arange(len(tests)), of_test)]
        if not_compared:
            log.warning("against: %d of %d test images are smaller than a patch of %d pixels, and not compared: %s",
                        len(not_compared), len(tests), size, ", ".join(not_compared[:5]))  # fmt: skip
    table = scores.table.append_column("duplicate", pa.array(duplicate)).append_column("group", pa.array(numbers))
    table = table.append_column("leak", pa.array([titles[i] if i >= 0 else None for i in leak.tolist()], pa.string()))
    return Duplicates(
        ScoreTable(table, scores.meta),
        int(duplicate.sum()),
        int(numbers.max(initial=-1)) + 1,
        int(looks.flat.sum()),
        _image_pairs(names, image, rank, rows, a, b),
        _leak_counts(titles, names, image, leak),
        not_compared,
    )


def _packed(small: np.ndarray) -> np.ndarray:
    """Copies [n, SIDE, SIDE] as bytes, followed by those of their features, d float32: [n, SIDE * SIDE + 4 * d]."""
    whole = np.rint(small).clip(0, 255).astype(np.uint8).reshape(len(small), SIDE * SIDE)
    level = small.mean(axis=(1, 2), dtype=np.float64)[:, None] * _MEAN
    features = np.concatenate([spectrum(small, folded=True, floor=_FLOOR), level], axis=1).astype(np.float32)
    return np.concatenate([whole, np.ascontiguousarray(features).view(np.uint8)], axis=1)


@dataclass(frozen=True)
class _Compared:
    """The arrays by which patches are compared, one element per patch."""

    small: np.ndarray
    """[n, SIDE, SIDE] uint8."""
    half: np.ndarray
    """[n, SIDE / 2, SIDE / 2] float32."""
    spectra: np.ndarray
    """[n, d] float32."""
    flat: np.ndarray
    """bool [n]."""


def _arrays_compared(table: Rows, images: ScoredImages) -> _Compared:
    packed = describe(table, np.arange(len(table)), images, _packed)
    small = packed[:, : SIDE * SIDE].reshape(len(packed), SIDE, SIDE)
    half, flat = halved(small)
    return _Compared(small, half, np.ascontiguousarray(packed[:, SIDE * SIDE :]).view(np.float32), flat)


def _nearest(base: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The queries and, of each, those of its k nearest of ``base`` that are not ``_FAR``, as pairs of positions."""
    import faiss

    if not len(base) or not len(queries):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    base = np.ascontiguousarray(base)
    index: Any = faiss.IndexFlatL2(base.shape[1])
    if len(base) > _EXACT:
        lists = int(2 * len(base) ** 0.5)
        index = faiss.IndexIVFFlat(index, base.shape[1], lists)
        index.cp.seed = 0
        index.cp.niter = 8
        index.cp.min_points_per_centroid = 1
        index.nprobe = max(8, lists // 64)
        index.train(base[:: max(1, len(base) // (64 * lists))])
    index.add(base)
    distance, near = index.search(np.ascontiguousarray(queries), min(k, len(base)))
    query, place = np.nonzero((near >= 0) & (distance <= _FAR))
    return query, near[query, place]


def _pairs_within(
    table: Rows, image: np.ndarray, rows: np.ndarray, looks: _Compared, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows a < b that show the same."""
    x, y, size = (table.column(c).astype(np.int64) for c in ("x", "y", "size"))
    sizes, at = sizes_of(table.table, table.meta)
    x, y, size = in_one_grid(x, y, size, sizes, at)
    patch, stride = (int(table.meta.get(key) or table.column("size").max()) for key in ("patch", "stride"))
    # Windows that overlap one come before any copy.
    around = len(sizes) * (2 * -(-patch // max(1, stride)) - 1) ** 2
    a, b = (rows[at] for at in _nearest(looks.spectra[rows], looks.spectra[rows], min(64, _NEAREST + around)))
    apart = (a != b) & (
        (image[a] != image[b])
        | (np.minimum(x[a] + size[a], x[b] + size[b]) <= np.maximum(x[a], x[b]))
        | (np.minimum(y[a] + size[a], y[b] + size[b]) <= np.maximum(y[a], y[b]))
    )
    a, b = a[apart], b[apart]
    nearest = running_count(a) < _NEAREST
    low, high = np.minimum(a, b)[nearest], np.maximum(a, b)[nearest]
    pairs = np.unique(low * len(table) + high)
    a, b = pairs // len(table), pairs % len(table)
    same = _are_same(looks, a, looks, b, alike)
    return a[same], b[same]


def _are_same(left: _Compared, a: np.ndarray, right: _Compared, b: np.ndarray, alike: float) -> np.ndarray:
    """Which pairs left[a], right[b] are alike, on all cores: by a rough comparison, a close one, and by their
    details."""
    same = np.arange(len(a))
    steps: list[tuple[Callable[[np.ndarray], np.ndarray], float]] = [
        (lambda at: rough_likeness(left.half[a[at]], right.half[b[at]]), alike - _ROUGH),
        (lambda at: likeness(left.small[a[at]], right.small[b[at]]), alike),
        (lambda at: detail_likeness(left.small[a[at]], right.small[b[at]]), DETAIL),
    ]
    for compared, least in steps:
        pieces = [same[i : i + _PIECE] for i in range(0, len(same), _PIECE)]
        values = [part for _, part in ordered_map(compared, pieces, cores())]
        same = same[np.concatenate([np.empty(0, np.float32), *values]) >= least]
    result = np.zeros(len(a), bool)
    result[same] = True
    return result


def _groups(n: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The number of the group of each of n rows, where pairs a, b belong together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    return connected_components(coo_matrix((np.ones(len(a), bool), (a, b)), shape=(n, n)), directed=False)[1]


def _leaks(table: Rows, image: np.ndarray, looks: _Compared, rows: np.ndarray, alike: float) -> np.ndarray:
    """The index of the test image that shows each of some patches [n], or -1; the arguments begin with ``_windows``."""
    leaked = np.full(len(rows), -1)
    windows = _arrays_compared(table, ScoredImages(Path("/"), {}))
    recognisable = np.flatnonzero(~windows.flat)
    a, b = _nearest(windows.spectra[recognisable], looks.spectra[rows], _NEAREST)
    b = recognisable[b]
    same = _are_same(looks, rows[a], windows, b, alike)
    leaked[a[same][::-1]] = image[b[same]][::-1]
    return leaked


def _windows(tests: list[ImageFile], size: int) -> tuple[Rows, np.ndarray]:
    """A table of the windows of test images, and the index of the image of each."""
    step = max(1, size // _STEP)
    columns: list[tuple[int, np.ndarray, np.ndarray]] = []
    for number, (_, (height, width)) in enumerate(ordered_map(lambda t: read_rgb(t.path).shape[:2], tests, cores())):
        ys, xs = starts(height, 1, size, step), starts(width, 1, size, step)
        columns.append((number, np.tile(xs, len(ys)), np.repeat(ys, len(xs))))
    image = np.concatenate([np.empty(0, np.int64), *(np.full(len(x), n) for n, x, _ in columns)])
    x, y = (np.concatenate([np.empty(0, np.int64), *(c[i] for c in columns)]) for i in (1, 2))
    names = pa.array([str(t.path) for t in tests], pa.string())
    table = pa.table({"image": names.take(pa.array(image)), "x": x, "y": y, "size": np.full(len(x), size)})
    return Rows(table, {}), image


def _ranks(names: list[str], codes: np.ndarray, images: ScoredImages) -> np.ndarray:
    """The rank of each image [len(names)], the best first, by the headers of those in ``codes``."""
    best = sorted(codes.tolist(), key=lambda c: encoding_of(images.root / names[c]).preference(names[c]))
    rank = np.arange(len(names)) + len(names)
    rank[best] = np.arange(len(best))
    return rank


def _image_pairs(
    names: list[str], image: np.ndarray, rank: np.ndarray, rows: np.ndarray, a: np.ndarray, b: np.ndarray
) -> list[tuple[str, str, int, int]]:
    across = image[a] != image[b]
    seen = np.concatenate([np.stack([image[a], image[b], a], 1)[across], np.stack([image[b], image[a], b], 1)[across]])
    shared = Counter((left, right) for left, right, _ in np.unique(seen, axis=0).tolist())
    judged = np.bincount(image[rows], minlength=len(names))
    most = (pair for pair, n in shared.items() if 2 * n >= judged[pair[0]])
    once = dict.fromkeys(pair if rank[pair[0]] > rank[pair[1]] else pair[::-1] for pair in most)
    return [(names[a], names[b], shared[a, b], int(judged[a])) for a, b in once]


def _leak_counts(titles: list[str], names: list[str], image: np.ndarray, leak: np.ndarray) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for (test, train), n in Counter(zip(leak[leak >= 0].tolist(), image[leak >= 0].tolist(), strict=True)).items():
        counts.setdefault(titles[test], {})[names[train]] = n
    return dict(sorted(counts.items()))
