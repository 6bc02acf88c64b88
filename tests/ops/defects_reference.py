"""The definition of ``srfast.ops.defects`` in plain float64 NumPy, against which the compiled kernels are tested."""

from __future__ import annotations

from typing import Any

import numpy as np

from srfast.ops.color import jpeg_luma as luma
from srfast.ops.defects import LAYERS, LEAST_MARKED, MARKS, NEIGHBOURS

Array = np.ndarray[Any, np.dtype[Any]]
TILE = 8
LEAST_TEXTURED = 0.2
"""Least share of a window's tiles with a variance of at least 16 for which blur, enlargement and halos can be known."""
MOST_LETTERS = 0.75
"""Share of saturated pixels from which halos cannot be known: edges between black and white cannot overshoot."""
MOST_CLIPPED = 0.9
"""Largest share of a window's pixels that may be saturated for its noise to be known."""
STEP = 24
"""Grey levels of a step that counts as drawn if exactly equal pixels stand next to it."""
MARGIN = 2
"""Grey levels by which the lines of a margin may differ."""


def tiles(plane: Array) -> Array:
    """[H, W] -> [H // 8, W // 8, 8, 8]."""
    h, w = (side // TILE for side in plane.shape)
    return plane[: h * TILE, : w * TILE].reshape(h, TILE, w, TILE).transpose(0, 2, 1, 3)


def features(image: Array) -> Array:
    """float64 [H // 8, W // 8, 24], of each tile by itself; d is the difference of neighbours, hN and vN of order N.

    h1 .. h4, v1 .. v4: log2(mean of the squares + 1/4, 1/2, 1, 2); hh, h3v1, h1v3, h1v1: of differences both ways,
    over what they make of white noise (36, 40, 40, 4), + 0.05; variance + 1/4; range + 1; chroma: as hh, of 2 G - R -
    B, + 0.3; equal: a 14th of the equal neighbours; phase2, phase3 (of h1), curve2, curve3 (of h2): log2 of the
    greatest by the least mean square over columns of one remainder modulo 2 or 3, + 1 each; near: an eighth of the
    pixels within 2 of the least or greatest; step: log2(greatest |h1|, |v1| + 1); sharp: log2(1 + the places along rows
    where a step of 24 or more and equal neighbours follow each other); clipped: an eighth of the saturated pixels.
    """
    t = tiles(luma(image)).astype(np.float64)
    rgb = image.astype(np.int64)
    colour = rgb.shape[2] == 3
    chroma = tiles(2 * rgb[..., 1] - rgb[..., 0] - rgb[..., 2]).astype(np.float64) if colour else np.zeros_like(t)

    def d(a: Array, across: int, down: int) -> Array:
        return np.diff(np.diff(a, n=across, axis=3), n=down, axis=2)

    def energy(a: Array) -> Array:
        return np.square(a).mean((2, 3))

    across = [d(t, n, 0) for n in (1, 2, 3, 4)]
    down = [d(t, 0, n) for n in (1, 2, 3, 4)]
    offsets = (0.25, 0.5, 1, 2)
    values = [np.log2(energy(a) + o) for a, o in zip(across, offsets, strict=True)]
    values += [np.log2(energy(a) + o) for a, o in zip(down, offsets, strict=True)]
    for x, y, white in ((2, 2, 36), (3, 1, 40), (1, 3, 40), (1, 1, 4)):
        values.append(np.log2(energy(d(t, x, y)) / white + 0.05))
    least, most = t.min((2, 3), keepdims=True), t.max((2, 3), keepdims=True)
    values.append(np.log2(t.var((2, 3)) + 0.25))
    values.append(np.log2((most - least)[..., 0, 0] + 1))
    values.append(np.log2(energy(d(chroma, 2, 2)) / 36 + 0.3))
    values.append(((across[0] == 0).sum((2, 3)) + (down[0] == 0).sum((2, 3))) / 14)
    for a in across[:2]:
        for period in (2, 3):
            phases = np.stack([np.square(a[..., p::period]).mean((2, 3)) for p in range(period)])
            values.append(np.log2(phases.max(0) + 1) - np.log2(phases.min(0) + 1))
    values.append(((t <= least + 2) | (t >= most - 2)).sum((2, 3)) / 8)
    values.append(np.log2(np.maximum(np.abs(across[0]).max((2, 3)), np.abs(down[0]).max((2, 3))) + 1))
    a, b = np.abs(across[0][..., :-1]), np.abs(across[0][..., 1:])
    values.append(np.log2((((a >= STEP) & (b == 0)) | ((b >= STEP) & (a == 0))).sum((2, 3)) + 1))
    values.append(tiles(saturated(image)).sum((2, 3)) / 8)
    return np.stack(values, -1)


def saturated(image: Array) -> Array:
    """Pixels where one channel is 255, or all are 0."""
    return (image == 255).any(2) | (image == 0).all(2)


def banded(image: Array) -> Array:
    """Tiles that are smooth ramps with lost levels, bool [H // 8, W // 8]."""
    t = tiles(luma(image))
    steps = [np.abs(np.diff(t, axis=axis)).reshape(*t.shape[:2], -1) for axis in (2, 3)]
    step = np.concatenate(steps, -1)
    spread = t.max((2, 3)) - t.min((2, 3))
    equal, ones, n = (step == 0).sum(-1), (step == 1).sum(-1), step.shape[-1]
    return (spread >= 2) & (spread <= 16) & (10 * equal >= 7 * n) & (4 * ones <= n - equal)


def inner(image: Array) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the area between the margins; the whole image if it has only one colour."""
    p = image.astype(np.int64)
    h, w = p.shape[:2]

    def inside(lines: Array) -> tuple[int, int]:
        def margin(lines: Array) -> int:
            alike = (np.abs(lines - lines[0, 0]) <= MARGIN).all((1, 2))
            return len(lines) if alike.all() else int(alike.argmin())

        first = margin(lines)
        return first, len(lines) - margin(lines[::-1]) if first < len(lines) else first

    top, bottom = inside(p)
    if top == h:
        return 0, h, 0, w
    left, right = inside(p[top:bottom].transpose(1, 0, 2))
    return top, bottom, left, right


def layers(weights: Array) -> list[tuple[Array, Array]]:
    """Weight [outputs, inputs] and bias of each of ``LAYERS`` and ``MARKS``."""
    pairs, at = [], 0
    for outputs, inputs in LAYERS + MARKS:
        split = at + outputs * inputs
        pairs.append((weights[at:split].reshape(outputs, inputs), weights[split : split + outputs]))
        at = split + outputs
    return pairs


def marks(seen: Array, network: list[tuple[Array, Array]]) -> Array:
    """How surely each tile has ink, 0 to 1 (1/2: odds of e^7), [h, w], from features [h, w, 24] and ``MARKS``' layers.

    Two layers look at each tile. The third takes each of their values over the tile's neighbours by itself; beyond the
    image's edge there are zeros. Two more give a logit.
    """
    (a, a0), (b, b0), (c, c0), (d, d0), (e, e0) = network
    hidden = np.maximum(np.maximum(seen @ a.T + a0, 0) @ b.T + b0, 0)
    h, w = seen.shape[:2]
    down, across = NEIGHBOURS
    padded = np.pad(hidden, ((down // 2, down // 2), (across // 2, across // 2), (0, 0)))
    near = sum(padded[i : i + h, j : j + w] * c[:, i * across + j] for i in range(down) for j in range(across))
    logits = np.maximum(np.maximum(near + c0, 0) @ d.T + d0, 0) @ e.T + e0
    return 1 / (1 + np.exp(-logits[..., 0]))


def defects(image: Array, xs: Array, ys: Array, size: int, weights: Array) -> Array:
    """float64 [len(ys) * len(xs), 8], the columns of ``srfast.ops.defects.defects``."""
    (a, a0), (b, b0), (c, c0), (d, d0), *of_marks, (slope, constant) = layers(weights.astype(np.float64))
    seen = features(image)
    ink = marks(seen, of_marks)
    hidden = np.maximum(np.maximum(seen @ a.T + a0, 0) @ b.T + b0, 0)
    textured, bands, clips = seen[..., 12] >= 4, banded(image), tiles(saturated(image)).sum((2, 3))
    top, bottom, left, right = inner(image)
    n = (size - 7) // TILE
    rows = []
    for y in np.asarray(ys).tolist():
        for x in np.asarray(xs).tolist():
            i, j = -(-y // TILE), -(-x // TILE)
            mine = (slice(i, i + n), slice(j, j + n))
            heads = np.maximum(hidden[mine].mean((0, 1)) @ c.T + c0, 0) @ d.T + d0
            known = textured[mine].mean() >= LEAST_TEXTURED
            clipped = clips[mine].mean() / TILE**2
            odds = np.exp(heads[2:6] - heads[2:6].max())
            kept = max(0, min(x + size, right) - max(x, left)) * max(0, min(y + size, bottom) - max(y, top))
            rows.append(
                [
                    max(0, 2 ** heads[0] - 1) if clipped < MOST_CLIPPED else np.nan,
                    max(0, heads[1]) if known else np.nan,
                    odds @ [1, 2, 3, 4] / odds.sum() if known else np.nan,
                    100 / (1 + np.exp(-(slope[0, 0] * np.log(ink[mine].sum() + LEAST_MARKED) + constant[0]))),
                    100 * bands[mine].mean(),
                    100 * clipped,
                    100 * (size**2 - kept) / size**2,
                    100 / (1 + np.exp(-heads[6])) if known and clipped < MOST_LETTERS else np.nan,
                ]
            )
    return np.array(rows, np.float64).reshape(-1, 8)


FREQUENCIES = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0), (4, 0), (3, 1), (2, 2), (1, 3),
               (0, 4))  # fmt: skip
"""Row and column of the first 14 coefficients after the mean, in JPEG's zigzag."""
STANDARD = (11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24)
"""The steps of these coefficients in Annex K of the standard."""
PATTERN = np.array([1, -1, -1, 1, 1, -1, -1, 1])
"""Eight times the product of two of these is the basis function of frequency (4, 4)."""
THIRD = np.array([13, -3, -16, -9, 9, 16, 3, -13])
"""32 times the basis function of frequency 3."""
CLIP = 32
BLOCKS, OTHERS, BINS = 1024, 3, 256
WIDE = 12
"""Steps from which coefficients of a quarter of a step count too, as evidence against a table, since a JPEG has none.
Those of smaller steps may come from rounding a coefficient that was 0."""


def jpeg_trace(image: Array) -> int:
    """The quality of ``srfast.ops.defects.jpeg_trace``, or 0 for no trace."""
    y = luma(image)
    h, w = y.shape
    if h < 23 or w < 23:
        return 0
    means = place_means(y, third=False)
    median = float(np.median(means))
    spread = 1 / np.sqrt((h - 7) // 8 * ((w - 7) // 8))
    if median <= 0:
        return 0
    if means[0, 0] < median * np.exp(-2 * spread):
        places = [(0, 0), *least_places(means, means[0, 0], 1), *least_places(place_means(y, third=True), np.inf, 2)]
    else:
        places = least_places(means, median * np.exp(-0.02 - 3.3 * spread), OTHERS)
    cut = ((image == 0) | (image == 255)).any(2)
    return min((q for q in (quality_at(y, cut, *place) for place in places) if q), default=0)


def place_means(y: Array, third: bool) -> Array:
    """[8, 8], of each place of the grid: the mean size of eight times a coefficient, clipped at 32."""
    rows = np.lib.stride_tricks.sliding_window_view(y, 8, axis=1) @ (THIRD if third else PATTERN)
    if third:
        rows = (rows + 16) >> 5
    filtered = np.lib.stride_tricks.sliding_window_view(rows, 8, axis=0) @ (THIRD if third else PATTERN)
    if third:
        filtered = (filtered + 8) >> 4
    h, w = (side // 8 for side in filtered.shape)
    clipped = np.minimum(np.abs(filtered[: 8 * h, : 8 * w]), CLIP)
    return clipped.reshape(h, 8, w, 8).mean((0, 2))


def least_places(means: Array, limit: float, most: int) -> list[tuple[int, int]]:
    """The least of the places off the corner whose mean is below a limit and not above the eight around it."""
    around = np.min([np.roll(means, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)], 0)
    candidates = [(int(p) // 8, int(p) % 8) for p in np.flatnonzero((means < limit) & (means <= around)) if p]
    return sorted(candidates, key=lambda place: means[place])[:most]


def quality_at(y: Array, cut: Array, top: int, left: int) -> int:
    """The quality whose steps divide the coefficients of the grid at (top, left), or 0.

    That of the blocks in which no channel is cut off at 0 or 255, which takes coefficients off their multiples; that of
    all where those say nothing.
    """
    grid = tiles(y[top:, left:]).astype(np.float64)
    rows, blocks = grid.shape[:2]
    every = max(1, (rows * blocks + BLOCKS // 2) // BLOCKS)
    k, i = np.arange(8)[:, None], np.arange(8)
    basis = np.where(k == 0, np.sqrt(0.125), 0.5) * np.cos((2 * i + 1) * k * np.pi / 16)
    coefficients = basis @ grid[every // 2 :: every] @ basis.T
    halves = np.stack([(2 * np.abs(coefficients[..., row, column])).ravel() for row, column in FREQUENCIES], 1)
    off = tiles(cut[top:, left:])[every // 2 :: every].any((2, 3)).ravel()
    blocks_of_their_own = np.unique(np.column_stack([np.minimum(halves, BINS).astype(np.int64), off]), axis=0)
    whole = blocks_of_their_own[blocks_of_their_own[:, -1] == 0]
    return quality_of(whole[:, :-1]) or quality_of(blocks_of_their_own[:, :-1])


def quality_of(halves: Array) -> int:
    """The quality whose steps divide the coefficients of blocks, [n, 14] in halves of a grey level, or 0."""
    sums, counts = np.zeros(101), np.zeros(101)
    for sizes, standard in zip(halves.T, STANDARD, strict=True):
        histogram = np.bincount(sizes[sizes < BINS], minlength=BINS)
        for quality in range(1, 101):
            step = _step(standard, quality)
            most = (6 * step + 4) // 5
            first = most if step < WIDE else (step + 1) // 2
            if step >= 2 and most < BINS:
                size = (np.arange(first, BINS) + 0.5) / 2
                sums[quality] += histogram[first:] @ np.cos(2 * np.pi * size / step)
                counts[quality] += histogram[first:].sum()
    score = sums / np.sqrt(counts / 2 + 1)
    score[(score < 6) | (sums < 0.3 * counts)] = 0
    best = 100 - int(score[::-1].argmax())
    return best if score[best] > 0 else 0


def _step(standard: int, quality: int) -> int:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return min(max((standard * scale + 50) // 100, 1), 255)
