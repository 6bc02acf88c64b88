"""The plan of an export: what is written, in which order, under which names."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from srfast.coreset.pairs import Patches, place, read_rows, scale_of
from srfast.data.lowres import LowRes
from srfast.data.shrink import factors, fractions
from srfast.degradation.operations import Step
from srfast.degradation.plan import Draws
from srfast.degradation.rows import rows
from srfast.errors import InputError
from srfast.scoring.metadata import encode_meta
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages
from srfast.settings import PathLike

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable


@dataclass(frozen=True)
class Arrangement:
    """The rows of a core-set in the order of export: image by image, the largest size first, then by y, then x."""

    table: pa.Table
    """All columns of the core-set."""
    patches: Patches
    """The positions of the patches of these rows."""
    scale: int
    lr: bool
    """Whether LR files are written."""
    suffix: str
    """Suffix of the files: png or webp."""
    given_names: list[str] | None = None
    """Names of the patches, if they have names already."""
    draws: int = 1
    """Number of draws of each patch."""
    channels: int = 3
    """Channels of the files, 3 or 1."""
    drawn: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of degradation.parquet of images that were read, by the first row of each."""

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def images(self) -> list[tuple[int, int]]:
        """[first, last) rows of each image at each of its sizes, and of each of its draws."""
        _, codes = coded(self.table["image"])
        factor = self.patches.factor
        draw = self.patches.draw if self.patches.draw is not None else np.zeros(len(codes), np.int64)
        new = (codes[1:] != codes[:-1]) | (factor[1:] != factor[:-1]) | (draw[1:] != draw[:-1])
        first = np.flatnonzero(np.r_[True, new])
        return list(zip(first.tolist(), [*first[1:].tolist(), len(codes)], strict=True))

    @cached_property
    def names(self) -> list[str]:
        """A unique name per row: IMAGE_Y_X, of letters, digits, ``_`` and ``-``, zero-padded, so that names sort by
        position.

        The name is just IMAGE if no image has more than one patch and all begin at (0, 0), as for files that are
        patches already.
        """
        if self.given_names is not None:
            return self.given_names
        if self.draws > 1:
            names = self._one_draw().names
            draw, place = cast(np.ndarray, self.patches.draw), self._places()
            digits = len(str(self.draws - 1))
            return [f"{names[i]}_d{d:0{digits}d}" for i, d in zip(place.tolist(), draw.tolist(), strict=True)]
        p, images = self.patches, self.images
        size = fractions(self.table, p.meta)
        in_order = sorted(range(len(images)), key=lambda i: (p.image[images[i][0]], -size[images[i][0]]))
        plain = image_names([p.image[images[i][0]] for i in in_order], [size[images[i][0]] for i in in_order])
        name = dict(zip(in_order, plain, strict=True))
        if len(images) == len(self) and not p.x.any() and not p.y.any():
            return [name[i] for i in range(len(images))]
        digits = len(str(max(int(p.x.max()), int(p.y.max()))))
        out = []
        for i, (first, last) in enumerate(images):
            xy = zip(p.y[first:last].tolist(), p.x[first:last].tolist(), strict=True)
            out += [f"{name[i]}_{y:0{digits}d}_{x:0{digits}d}" for y, x in xy]
        return out

    def _places(self) -> np.ndarray:
        """The row of each row's patch among those of draw 0, which are in the same order."""
        draw = cast(np.ndarray, self.patches.draw)
        place, rank = np.empty(len(draw), np.int64), 0
        for first, last in self.images:
            if draw[first] == 0:
                begin, rank = rank, rank + last - first
            place[first:last] = np.arange(begin, rank)
        return place

    def _one_draw(self) -> Arrangement:
        """The plan of draw 0 alone."""
        rows = np.flatnonzero(self.patches.draw == 0)
        p = self.patches
        image = [p.image[i] for i in rows.tolist()]
        patches = dataclasses.replace(
            p, image=image, x=p.x[rows], y=p.y[rows], size=p.size[rows], factor=p.factor[rows], draw=None
        )
        return Arrangement(self.table.take(pa.array(rows)), patches, self.scale, self.lr, self.suffix)

    def first_draw(self, row: int) -> int | None:
        """The row of draw 0 of the same patch, if this is another draw."""
        if self.draws == 1 or self.patches.draw_of(row) == 0:
            return None
        return self._zeroth[row]

    @cached_property
    def _zeroth(self) -> list[int]:
        rows = np.flatnonzero(self.patches.draw == 0)
        return [int(rows[i]) for i in self._places()]

    def noting(self, row: int) -> Callable[[str, str, list[Step]], None]:
        """Notes in ``drawn`` what ``read_pair`` drew for the image of a row, the first of its image."""

        def note(pixels: str, size: str, steps: list[Step]) -> None:
            self.drawn[row] = rows(self.patches.image[row], pixels, size, self.patches.draw_of(row), steps)

        return note

    @property
    def lr_folder(self) -> str:
        return f"LRx{self.scale}"

    def pair_bytes(self) -> int:
        """Bytes of the pixels of the largest pair."""
        side = int(self.patches.size.max())
        return self.channels * self.patches.depth // 8 * (side**2 + (side // self.scale) ** 2)

    def digest(self) -> str:
        """SHA-256 that identifies the patches."""
        rows = hashlib.sha256("\0".join(self.patches.image).encode())
        for column in (self.patches.x, self.patches.y, self.patches.size):
            rows.update(column.tobytes())
        if (self.patches.factor != 1).any():
            rows.update(self.patches.factor.tobytes())
        if self.patches.draw is not None:
            rows.update(self.patches.draw.tobytes())
        return rows.hexdigest()

    def images_digest(self) -> str:
        """SHA-256 of the states in which the images were scored, and their LR images if LR files are written.

        They are those of the table's metadata, so that images which have moved since keep them.
        """
        known = self.patches.meta.get("images") or {}
        states = {}
        for image in set(self.patches.image):
            state = known.get(image, {})
            noted = ("sha256", "lr_sha256") if state.get("sha256") else ("size", "mtime_ns", "lr")
            states[image] = [state.get(key) for key in noted if self.lr or not key.startswith("lr")]
        return hashlib.sha256(encode_meta(states)).hexdigest()

    def columns_digest(self) -> str:
        """SHA-256 of the names, types and values of all columns, whether they come from a file or from memory."""
        plain = pa.table(self.table.combine_chunks().columns, names=self.table.column_names)
        rows = hashlib.sha256(str(plain.schema).encode())
        for batch in plain.to_batches():
            rows.update(batch.serialize())
        return rows.hexdigest()


def make_plan(
    coreset: CoreSet | ScoreTable | pa.Table | str | Path,
    scale: int | None,
    *,
    lr: bool,
    suffix: str,
    root: PathLike | None,
    lr_root: PathLike | None = None,
    shuffled: bool = False,
    degradation: Draws | None = None,
    draws: int = 1,
    depth: int = 8,
    channels: int = 3,
) -> Arrangement:
    """Plans an export by its settings. ``shuffled`` images come in an order drawn with seed 0 instead of that of their
    paths. Raises InputError if it is not a core-set, two patches begin at one place, the scale does not divide the
    grid, or an image is missing or has changed."""
    name, table, meta = read_rows(coreset)
    scale = scale_of(scale, meta)
    table = table.take(_order(table, factors(table, meta, name), shuffled))
    if lr_root is not None and not lr:
        raise InputError("lr_root: needs `lr` yes, got no")
    low = LowRes.of(meta, lr_root) if lr and degradation is None else None
    images = ScoredImages.of(meta, root, name, low, lr_root is not None)
    patches = dataclasses.replace(place(table, images), depth=depth)
    plan = Arrangement(table, patches, scale, lr, suffix, channels=channels)
    plan.patches.check_grid(scale)
    _check_unique(name, plan)
    images.check_all(plan.patches.image, contents=False)  # each is compared by contents when it is decoded
    return plan if degradation is None else _degraded(name, plan, degradation, draws)


def _degraded(name: str, plan: Arrangement, degradation: Draws, draws: int) -> Arrangement:
    """The plan with each image's rows once for each draw; the column ``draw`` has its number."""
    if "draw" in plan.table.column_names:
        raise InputError(
            f"{name}: column 'draw': an export with a degradation writes one of that name", hint="rename it"
        )
    parts = [(np.arange(first, last), k) for first, last in plan.images for k in range(draws)]
    rows = np.concatenate([part for part, _ in parts])
    draw = np.concatenate([np.full(len(part), k, np.int64) for part, k in parts])
    p = plan.patches
    patches = dataclasses.replace(
        p, image=[p.image[i] for i in rows.tolist()], x=p.x[rows], y=p.y[rows], size=p.size[rows],
        factor=p.factor[rows], draws=degradation, draw=draw,
    )  # fmt: skip
    table = plan.table.take(pa.array(rows)).append_column("draw", pa.array(draw))
    return dataclasses.replace(plan, table=table, patches=patches, draws=draws)


def _order(table: pa.Table, factor: np.ndarray, shuffled: bool) -> pa.Array:
    names, code = coded(table["image"])
    paths = np.array(names, object)
    place_of = np.empty(len(paths), np.int64)
    place_of[np.argsort(paths, kind="stable")] = np.arange(len(paths))
    if shuffled:
        place_of = np.random.default_rng(0).permutation(len(paths))[place_of]
    size, x, y = (table[c].to_numpy() for c in ("size", "x", "y"))
    return pa.array(np.lexsort((size, x, y, -factor, place_of[code])))


def _check_unique(name: str, plan: Arrangement) -> None:
    p = plan.patches
    same = (p.x[1:] == p.x[:-1]) & (p.y[1:] == p.y[:-1]) & (p.factor[1:] == p.factor[:-1])
    for row in np.flatnonzero(same):
        if p.image[row] == p.image[row + 1]:
            at = f"of {p.image[row]} at x = {p.x[row]}, y = {p.y[row]}"
            if p.size[row] != p.size[row + 1]:
                raise InputError(
                    f"{name}: expected one patch {at}, got sizes {p.size[row]} and {p.size[row + 1]}",
                    hint="export each size by itself",
                )
            raise InputError(f"{name}: the patch {at} occurs twice")


_LONGEST = 120
"""Largest number of characters of an image's part of a name: a file name has at most 255 bytes, an LMDB key 511."""


def image_names(images: Sequence[str], sizes: Sequence[Fraction] | None = None) -> list[str]:
    """A name for each image path, made of letters, digits, ``_`` and ``-``, and unique even without regard to case.

    Folders are part of the name; accents are dropped, and any other character becomes ``_``. The second image with a
    name gets ``-2``, and so on, in the order of ``images``. The name of a shrunk image ends in ``_1of2`` (half),
    ``_3of4``, ...
    """
    taken: set[str] = set()
    names = []
    for image, size in zip(images, sizes or [Fraction(1)] * len(images), strict=True):
        plain = unicodedata.normalize("NFKD", PurePosixPath(image).with_suffix("").as_posix())
        plain = "".join(c for c in plain if not unicodedata.combining(c))
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", plain)[-_LONGEST:].strip("_-") or "image"
        if size != 1:
            plain += f"_{size.numerator}of{size.denominator}"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
