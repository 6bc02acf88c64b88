"""The plan of an export: what is written, in which order, under which names."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from srfast.coreset.pairs import Patches, place, read_rows, scale_of
from srfast.data.lowres import LowRes
from srfast.data.shrink import factors, fractions
from srfast.degradation.operations import Step
from srfast.degradation.plan import Degradation, Draws
from srfast.errors import InputError
from srfast.exporting.formats import Format
from srfast.exporting.settings import ExportArguments
from srfast.scoring.metadata import encode_meta
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages
from srfast.settings import check_same_size

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable

Coreset: TypeAlias = "CoreSet | ScoreTable | pa.Table | str | Path"
SHARD_BYTES = 256 << 20
"""Bytes of the pixels in a file that holds many patches, about 150 MB of files."""


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
    settings: dict[str, Any] = field(default_factory=dict)
    """What a resumed export compares, as JSON values."""
    channels: int = 3
    """Channels of the files, 3 or 1."""
    draws: int = 1
    """Number of draws of each patch."""
    drawn: dict[int, tuple[str, str, list[Step]]] = field(default_factory=dict)
    """What was drawn for images that were read, by the first row of each: hash of the pixels, size and steps."""

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
        p, factor = self.patches, self.patches.factor.tolist()
        exact = dict(zip(factor, fractions(self.table, p.meta), strict=True))
        images = sorted({(image, -f) for image, f in zip(p.image, factor, strict=True)})
        plain = image_names([image for image, _ in images], [exact[-f] for _, f in images])
        name_of = dict(zip(images, plain, strict=True))
        names = [name_of[i, -f] for i, f in zip(p.image, factor, strict=True)]
        if len(images) * self.draws != len(self) or p.x.any() or p.y.any():
            digits = len(str(max(int(p.x.max()), int(p.y.max()))))
            rows = zip(names, p.y.tolist(), p.x.tolist(), strict=True)
            names = [f"{name}_{y:0{digits}d}_{x:0{digits}d}" for name, y, x in rows]
        if self.draws > 1:
            digits = len(str(self.draws - 1))
            names = [f"{name}_d{p.draw_of(row):0{digits}d}" for row, name in enumerate(names)]
        return names

    def first_draw(self, row: int) -> str | None:
        """The name of draw 0 of the same patch, if this is another draw."""
        name, mark, draw = self.names[row].rpartition("_d")
        return f"{name}{mark}{'0' * len(draw)}" if self.patches.draw_of(row) else None

    def drawing(self, row: int) -> dict[str, Any]:
        """How ``read_pair`` draws for the image of a row, the first of its image, and notes it in ``drawn``."""
        if self.patches.draws is None:
            return {}
        return {"draw": self.patches.draw_of(row), "note": lambda *drawn: self.drawn.update({row: drawn})}

    @property
    def sides(self) -> list[tuple[str, bool]]:
        """The folders of an export, each with whether it is the LR one."""
        return [("HR", False), (self.lr_folder, True)] if self.lr else [("HR", False)]

    def side(self, row: int, lr: bool) -> int:
        """Pixels of the side of a file."""
        return int(self.patches.size[row]) // (self.scale if lr else 1)

    def shape(self, row: int, *, lr: bool) -> str:
        """(H,W,C) as written in meta_info.txt."""
        return f"({self.side(row, lr)},{self.side(row, lr)},{self.channels})"

    @property
    def lr_folder(self) -> str:
        return f"LRx{self.scale}"

    @property
    def shard_rows(self) -> int:
        """Number of patches in a file that holds many."""
        side = int(self.patches.size.max())
        pair = self.channels * self.patches.depth // 8 * (side**2 + (side // self.scale) ** 2)
        return max(1, SHARD_BYTES // pair)


def make_plan(coreset: Coreset, s: ExportArguments, how: Format) -> Arrangement:
    """Plans an export by its settings. Raises InputError if it is not a core-set, two patches begin at one place, the
    scale does not divide the grid, an image is missing or has changed, or a column has a name that the format takes."""
    name, table, meta = read_rows(coreset)
    scale = scale_of(s.scale, meta)
    shuffled = how.shuffled and not s.sources
    table = table.take(_order(table, factors(table, meta, name), shuffled))
    if s.lr_root is not None and not s.lr:
        raise InputError("lr_root: needs `lr` yes, got no")
    low = LowRes.of(meta, s.lr_root) if s.lr and s.degradation is None else None
    images = ScoredImages.of(meta, s.root, name, low, s.lr_root is not None)
    patches = dataclasses.replace(place(table, images), depth=s.depth)
    patches.check_grid(scale)
    _check_unique(name, patches)
    images.check_all(patches.image, contents=False)  # each is compared by contents when it is decoded
    for column in (*how.columns, *["draw"] * (s.degradation is not None)):
        if column in table.column_names:
            writer = s.to if column in how.columns else "an export with a degradation"
            raise InputError(f"{name}: column {column!r}: {writer} writes one of that name", hint="rename it")
    degradation = None if s.degradation is None else Draws(Degradation.read(s.degradation), s.seed)
    some = not s.lr or degradation is not None or s.existing_lr is not None or patches.lr is not None
    check_same_size(scale, some, "scores of `lr_images`, or `degradation`,")
    plan = Arrangement(table, patches, scale, s.lr, s.format, channels=s.channels)
    if degradation is not None:
        plan = _degraded(plan, degradation, s.draws)
    plan.settings.update(_compared(plan, s, how))
    if shuffled:
        plan.settings["shard"] = plan.shard_rows
    return plan


def _compared(plan: Arrangement, s: ExportArguments, how: Format) -> dict[str, Any]:
    p = plan.patches
    compared: dict[str, Any] = {
        "to": s.layout, "scale": plan.scale, "lr": s.lr, "format": s.format, "patches": _of_patches(p),
        "existing": [str(path) for path in s.sources] or None,
    }  # fmt: skip
    compared |= {name: value for name, value in (("depth", s.depth), ("channels", s.channels)) if value not in (8, 3)}
    if p.draws is not None:
        compared["degradation"] = {**p.draws.settings(), "draws": s.draws}
    if how.reader is not None:
        compared["lr_images"] = [p.meta.get("lr"), p.meta.get("lr_template") or "{}"] if p.lr else None
        compared["images"], compared["columns"] = _of_images(p, s.lr), _of_columns(plan.table)
    return compared


def _of_patches(p: Patches) -> str:
    """SHA-256 that identifies the patches."""
    rows = hashlib.sha256("\0".join(p.image).encode())
    factor = p.factor if (p.factor != 1).any() else None
    for column in (p.x, p.y, p.size, factor, p.draw):
        rows.update(b"" if column is None else column.tobytes())
    return rows.hexdigest()


def _of_images(p: Patches, lr: bool) -> str:
    """SHA-256 of the states in which the images were scored, and their LR images if LR files are written.

    They are those of the table's metadata, so that images which have moved since keep them.
    """
    known = p.meta.get("images") or {}
    states = {}
    for image in set(p.image):
        state = known.get(image, {})
        noted = ("sha256", "lr_sha256") if state.get("sha256") else ("size", "mtime_ns", "lr")
        states[image] = [state.get(key) for key in noted if lr or not key.startswith("lr")]
    return hashlib.sha256(encode_meta(states)).hexdigest()


def _of_columns(table: pa.Table) -> str:
    """SHA-256 of the names, types and values of all columns, whether they come from a file or from memory."""
    plain = pa.table(table.combine_chunks().columns, names=table.column_names)
    rows = hashlib.sha256(str(plain.schema).encode())
    for batch in plain.to_batches():
        rows.update(batch.serialize())
    return rows.hexdigest()


def _degraded(plan: Arrangement, degradation: Draws, draws: int) -> Arrangement:
    """The plan with each image's rows once for each draw; the column ``draw`` has its number."""
    rows = np.concatenate([np.tile(np.arange(first, last), draws) for first, last in plan.images])
    draw = np.concatenate([np.repeat(np.arange(draws), last - first) for first, last in plan.images])
    table = plan.table.take(pa.array(rows)).append_column("draw", pa.array(draw))
    patches = dataclasses.replace(place(table, plan.patches.images), draws=degradation, draw=draw)
    return dataclasses.replace(plan, table=table, patches=patches, draws=draws)


def _order(table: pa.Table, factor: np.ndarray, shuffled: bool) -> pa.Array:
    """The rows in the order of export. ``shuffled`` images come in an order drawn with seed 0 instead of that of their
    paths."""
    names, code = coded(table["image"])
    paths = np.array(names, object)
    place_of = np.empty(len(paths), np.int64)
    place_of[np.argsort(paths, kind="stable")] = np.arange(len(paths))
    if shuffled:
        place_of = np.random.default_rng(0).permutation(len(paths))[place_of]
    size, x, y = (table[c].to_numpy() for c in ("size", "x", "y"))
    return pa.array(np.lexsort((size, x, y, -factor, place_of[code])))


def _check_unique(name: str, p: Patches) -> None:
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
