"""The columns of defects and their measurement, values beyond which ``--clean`` and ``srfast audit`` leave out a patch
or an image, and the sizes at which an image is scored by them.

They were chosen on photographs of BSDS400, reduced and as they are, and of T91, so that together they leave out few of
them; that of ``upscaled`` on reduced photographs of BSD100 and Urban100 too. docs/defects.md says on which evidence,
how many clean photographs they leave out, and how many degraded ones they keep. Columns without measured figures
(banding, clipped, border, blockiness, colour) have no threshold.

An image at a size is soft if the mean of its patches' ``blur`` or ``upscaled`` is beyond its threshold. An image is
scored at every size at which it is not soft: a patch is then taken where it is hard, at whichever size
(docs/results/sizes.md). One that is soft at full size is larger than its detail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from srfast.data.encoding import encoding_of
from srfast.data.grid import Grid
from srfast.ops.blockiness import blockiness, window_sums
from srfast.ops.color import jpeg_luma
from srfast.ops.defects import COLUMNS, defects, jpeg_trace

Array = np.ndarray[Any, np.dtype[Any]]
REACH = 4
"""LR pixels within which the shift of the whole image is searched."""
FLAT = 1.0
"""Least mean square of the gradient along its weaker direction for which a shift can be known."""


@dataclass(frozen=True)
class Threshold:
    """The threshold of a column: images beyond ``image`` are left out as a whole, and patches beyond ``patch``."""

    column: str
    image: float
    patch: float | None = None
    """None judges only whole images."""
    low: bool = False
    """Whether low values count against an image."""
    share: float | None = None
    """The value of an image is what this share of its patches reaches, leaving out those where the column is null; None
    takes their mean. A defect of the whole image is in nearly all of its patches, a local one in a few."""
    most: float | None = None
    """An image is left out as a whole if this share of its patches is beyond ``image``; None: if its value is."""
    within: float | None = None
    """A patch counts only in images whose value is beyond this; None: in all images."""

    def beyond(self, values: Array, limit: float) -> Array:
        """Which values are beyond a limit; missing ones are not."""
        return np.less_equal(values, limit) if self.low else np.greater_equal(values, limit)

    def of_images(self, values: Array, image: Array) -> Array:
        """The value of each image, NaN if it is known of no patch; the arguments are those of ``image_means``."""
        return image_means(values, image) if self.share is None else _reached(values, image, self.share, self.low)

    def against_images(self, values: Array, image: Array) -> Array:
        """Which images are left out as a whole."""
        if self.most is None:
            return self.beyond(self.of_images(values, image), self.image)
        return self.beyond(_reached(values, image, self.most, self.low), self.image)

    def against(self, values: Array, image: Array) -> Array:
        """Which patches are left out."""
        whole = self.against_images(values, image)[image]
        if self.patch is None:
            return whole
        single = self.beyond(values, self.patch)
        if self.within is not None:
            single &= self.beyond(self.of_images(values, image), self.within)[image]
        return whole | single

    def of_image_in_words(self) -> str:
        """The limit for images, in words for a reader."""
        return self._in_words(self.image, self.most or self.share)

    def of_patch_in_words(self) -> str:
        """The limit for patches, in words for a reader."""
        single = f"{self._sign} {self.patch:g}"
        if self.within is None:
            return single
        return f"{single}, in an image of which {self._in_words(self.within, self.share)}"

    def _in_words(self, limit: float, share: float | None) -> str:
        beyond = f"{self._sign} {limit:g}"
        return f"mean {beyond}" if share is None else f"{100 * share:g} % of the patches {beyond}"

    @property
    def _sign(self) -> str:
        return "<=" if self.low else ">="

    def _sql(self, limit: float, share: float | None, over: str) -> str:
        if share is None:
            return f"avg({self.column}){over} {self._sign} {limit:g}"
        return f"avg(({self.column} {self._sign} {limit:g})::INT){over} >= {share:g}"

    def sql(self, over: str) -> str:
        """The condition in SQL for a patch to be left out, where the window ``over`` is of its image."""
        whole = self._sql(self.image, self.most or self.share, over)
        if self.patch is None:
            return whole
        single = f"{self.column} {self._sign} {self.patch:g}"
        if self.within is None:
            return f"{whole} OR {single}"
        return f"{whole} OR ({single} AND {self._sql(self.within, self.share, over)})"


@dataclass(frozen=True)
class Defect:
    """A column of ``score --defects``: all that the table, the pages and the decision know of it.

    ``srfast.ops.defects`` has the definitions.
    """

    name: str
    label: str
    unit: str
    title: str = ""
    """Heading of the images that are left out for it."""
    said: str = ""
    """The words for these images, after their number."""
    limit: Threshold | None = None
    """None: nothing is left out for it."""
    pair: bool = False
    """Whether it is about an HR patch and its given LR patch, and exists only with ``lr_images``."""


DEFECTS = (
    Defect("noise", "Noise", "grey levels", "Noise", "noisy",
           Threshold("noise", image=3.5, patch=10, share=0.75, within=1)),
    Defect("blur", "Blur", "px", "Blurred", "blurred", Threshold("blur", image=0.9, patch=3)),
    Defect("upscaled", "Enlarged", "×", "Enlarged", "enlarged", Threshold("upscaled", image=1.7)),
    Defect("jpeg", "JPEG quality", "", "Compressed", "compressed", Threshold("jpeg", image=75, low=True)),
    Defect("blockiness", "Blockiness", "%"),
    Defect("overlay", "Overlay", "%", "Text and marks", "with text or marks",
           Threshold("overlay", image=90, patch=99.5, share=0.05, most=0.5)),
    Defect("banding", "Banding", "%"),
    Defect("clipped", "Clipped", "%"),
    Defect("border", "Border", "%"),
    Defect("halo", "Halo", "%", "Over-sharpened", "over-sharpened", Threshold("halo", image=70)),
    Defect("shift", "Shift", "LR px", "LR beside HR", "off their LR image",
           Threshold("shift", image=0.4, patch=0.6), pair=True),
    Defect("colour", "Colour", "grey levels", pair=True),
)  # fmt: skip
"""The columns, in the order of the table."""
THRESHOLDS = tuple(d.limit for d in DEFECTS if d.limit)


def names(pair: bool) -> tuple[str, ...]:
    """Names of the columns of a table, with or without those of pairs."""
    return tuple(d.name for d in DEFECTS if pair or not d.pair)


def measure(
    hr: np.ndarray, path: str | os.PathLike[str] | None, grid: Grid, *, threads: int = 1,
    lr: np.ndarray | None = None, scale: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The columns of ``score --defects`` for the windows of an image uint8 [H, W, 3], float32 [len(grid)] each; NaN
    stands for null. ``path`` is None if the image was shrunk after reading, and ``lr`` its given LR image, uint8 [H //
    scale, W // scale, 3]. Windows have at least 32 pixels a side."""
    xs, ys, size = grid.xs, grid.ys, grid.size
    columns = dict(zip(COLUMNS, defects(hr, xs, ys, size, threads).T, strict=True))
    columns["blockiness"] = blockiness(hr, xs, ys, size, threads)
    of_file = None if path is None else encoding_of(path).quality
    qualities = [q for q in (of_file, jpeg_trace(hr)) if q is not None]
    columns["jpeg"] = np.full(len(grid), min(qualities, default=np.nan), np.float32)
    if lr is not None:
        columns |= pair_columns(hr, lr, xs, ys, size, scale)
    return {name: columns[name] for name in names(lr is not None)}


def pair_columns(hr: Array, lr: Array, xs: Array, ys: Array, size: int, scale: int) -> dict[str, Array]:
    """The columns ``shift`` and ``colour``, float32 [len(ys) * len(xs)], of windows of a pair hr uint8 [H, W, 3], lr
    uint8 [H // scale, W // scale, 3].

    Both compare LR with d(HR), the HR image reduced by ``srfast.imresize``. ``shift`` is the length in LR pixels of the
    displacement with the least squared difference of the lumas in the window (Lucas, Kanade, "An iterative image
    registration technique", 1981, eq. 9, one step from the whole image's shift in whole pixels, which is found by
    trying all of up to 4); it is NaN where the window has no gradient in some direction. ``colour`` is the greatest of
    the three absolute differences of the channels' means. xs, ys and size are HR pixels, multiples of the scale.
    """
    from srfast.ops.functional import imresize

    h, w = lr.shape[:2]
    reduced = imresize(np.ascontiguousarray(hr[: h * scale, : w * scale]), 1 / scale)
    left, top, side = np.asarray(xs) // scale, np.asarray(ys) // scale, size // scale

    def means(plane: Array) -> Array:
        return window_sums(plane, left, top, side, side) / side**2

    difference = lr.astype(np.float64) - reduced
    colour = np.abs(np.stack([means(difference[..., c]) for c in range(3)])).max(0)
    a, b = jpeg_luma(reduced).astype(np.float64), jpeg_luma(lr).astype(np.float64)
    dy, dx = _whole_pixel_shift(a, b)
    a = np.roll(a, (dy, dx), (0, 1))
    mean = (a + b) / 2
    gradient: list[Array] = list(np.gradient(mean)) if min(mean.shape) > 1 else [np.zeros_like(mean)] * 2
    gy, gx = gradient
    change = b - a
    change -= change.mean()
    for line in (gx, gy):  # values that the roll moved to the other side are meaningless
        line[: max(dy, 0)] = line[h + min(dy, 0) :] = 0
        line[:, : max(dx, 0)] = line[:, w + min(dx, 0) :] = 0
    xx, xy, yy, xt, yt = (means(p) for p in (gx * gx, gx * gy, gy * gy, gx * change, gy * change))
    determinant = xx * yy - xy * xy
    weaker = (xx + yy - np.sqrt(np.square(xx - yy) + 4 * xy * xy)) / 2
    known = weaker >= FLAT
    safe = np.where(known, determinant, 1)
    sx, sy = -(yy * xt - xy * yt) / safe, -(xx * yt - xy * xt) / safe
    shift = np.where(known, np.hypot(sx + dx, sy + dy), np.nan)
    return {"shift": shift.astype(np.float32).ravel(), "colour": colour.astype(np.float32).ravel()}


def _whole_pixel_shift(a: Array, b: Array) -> tuple[int, int]:
    """Rows and columns, up to REACH, by which moving ``a`` fits ``b`` best; the smallest of equal ones."""
    h, w = a.shape
    m = min(REACH, (min(h, w) - 1) // 4)
    inner = b[m : h - m, m : w - m]
    inner = inner - inner.mean()
    best, move = np.inf, (0, 0)
    moves = sorted(
        ((dy, dx) for dy in range(-m, m + 1) for dx in range(-m, m + 1)), key=lambda d: abs(d[0]) + abs(d[1])
    )
    for dy, dx in moves:
        moved = a[m - dy : h - m - dy, m - dx : w - m - dx]
        error = float(np.square(moved - moved.mean() - inner).mean())
        if error < best:
            best, move = error, (dy, dx)
    return move


def condition(columns: Iterable[str]) -> str:
    """The condition in SQL, for ``--where``, that patches meet which these columns' thresholds do not leave out.

    An image that was scored at several sizes is judged at each.
    """
    known = set(columns)
    over = f" OVER (PARTITION BY {'image, shrink' if 'shrink' in known else 'image'})"
    bad = [t.sql(over) for t in THRESHOLDS if t.column in known]
    return " AND ".join(f"NOT coalesce({b}, false)" for b in bad)


def reasons(columns: Mapping[str, Array], image: Array) -> dict[str, Array]:
    """Which patches each column, with NaN for null, leaves out, in the order of ``THRESHOLDS``, by the index of their
    image [n]; a patch may have several reasons."""
    return {
        t.column: t.against(np.asarray(columns[t.column], np.float64), image) for t in THRESHOLDS if t.column in columns
    }


def of_images(column: str, values: Array, image: Array) -> Array:
    """The value of each image, as the column's threshold defines it, or the mean if the column has none."""
    for t in THRESHOLDS:
        if t.column == column:
            return t.of_images(values, image)
    return image_means(values, image)


def image_means(values: Array, image: Array) -> Array:
    """The mean of each image's values without missing ones; NaN if there is no other."""
    known = ~np.isnan(values)
    n = int(image.max()) + 1 if len(image) else 0
    counts = np.bincount(image[known], minlength=n)
    with np.errstate(invalid="ignore"):
        return np.bincount(image[known], values[known], n) / counts


def _reached(values: Array, image: Array, share: float, low: bool) -> Array:
    """The greatest value (``low``: the least) that at least this share of each image's values reaches."""
    known = np.flatnonzero(~np.isnan(values))
    n = int(image.max()) + 1 if len(image) else 0
    counts = np.bincount(image[known], minlength=n)
    reached = np.full(n, np.nan)
    order = known[np.lexsort((values[known] if low else -values[known], image[known]))]
    some = np.flatnonzero(counts)
    needed = np.ceil(share * counts[some]).astype(np.int64)
    needed += needed / counts[some] < share  # as the counts of SQL are compared
    needed -= (needed > 1) & ((needed - 1) / counts[some] >= share)
    reached[some] = values[order[(np.cumsum(counts) - counts)[some] + np.maximum(needed, 1) - 1]]
    return reached


SIZES = ("1", "3/4", "1/2", "1/3")
"""Sizes that the rule chooses from, the largest first."""
SOFT = tuple(t for t in THRESHOLDS if t.column in ("blur", "upscaled"))
"""Thresholds of the means of an image from which on it is soft."""
RULE: dict[str, Any] = {"sizes": list(SIZES), **{t.column: t.image for t in SOFT}}
"""The rule as a table's metadata record it: a table of another rule is not continued."""

Measures = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Chosen:
    """The sizes at which an image is scored, and the figures they were chosen by."""

    sizes: tuple[str, ...]
    """The largest first; empty if the image is smaller than a patch."""
    tried: dict[str, dict[str, float]]
    """By size, the means of the columns that the rule looks at; a column that is known of no patch is missing."""


def is_soft(means: Mapping[str, float]) -> bool:
    """Whether an image with these means of its columns is larger than its detail; a missing mean does not count."""
    return any(bool(t.beyond(np.float64(means.get(t.column, np.nan)), t.image)) for t in SOFT)


def choose(measured: Callable[[str], Measures | None]) -> Chosen:
    """Chooses the sizes of one image: every one at which it is not soft, and the smallest if it is soft at each.

    ``measured`` gives the columns of defects of the patches of the image at a size, float32 [n] each with NaN for null,
    or None if it has no patch there, and so none at smaller sizes.
    """
    tried: dict[str, dict[str, float]] = {}
    for size in SIZES:
        columns = measured(size)
        if columns is None:
            break
        tried[size] = _means(columns)
    sharp = tuple(size for size, means in tried.items() if not is_soft(means))
    return Chosen(sharp or tuple(tried)[-1:], tried)


def _means(columns: Measures) -> dict[str, float]:
    known = {t.column: columns[t.column][~np.isnan(columns[t.column])] for t in SOFT}
    return {name: round(float(values.mean(dtype=np.float64)), 4) for name, values in known.items() if len(values)}
