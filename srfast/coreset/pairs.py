"""LR-HR training pairs: the LR image of the whole image, then aligned crops."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from srfast.coreset.condition import check_selection
from srfast.coreset.limits import by_value
from srfast.data.grid import cropped
from srfast.data.hashing import of_file, of_pixels
from srfast.data.lowres import LowRes, read_lr
from srfast.data.packed import Packed, StoreLayout, Write, packed
from srfast.data.shrink import factors, read_at, shrunk
from srfast.data.workers import ordered_map
from srfast.degradation.operations import Step
from srfast.degradation.plan import Draws
from srfast.errors import InputError
from srfast.ops.checks import check_integer
from srfast.ops.color import rounded_y
from srfast.ops.functional import imresize
from srfast.runtime.progress import Progress, shown
from srfast.runtime.threads import cores
from srfast.scoring.metadata import checked_shards
from srfast.scoring.scored import ScoredImages, check_inside
from srfast.scoring.table import PLACES, checked, rows_of
from srfast.settings import PAIR_SCALE, PAIR_SCALES

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable

log = logging.getLogger(__name__)
KEPT_IMAGES = 16


@dataclass(frozen=True)
class Source:
    """An image file, or a shrunk copy of it: imresize(image, factor)."""

    path: Path
    factor: float = 1.0
    lr: Path | None = None
    """Its given LR image, if there is one."""
    draws: Draws | None = None
    """The degradation that makes its LR image; None is MATLAB's bicubic."""
    depth: int = 8
    """Bits in which it is read, 8 or 16."""


@dataclass(frozen=True)
class Patches:
    """The patches of a core-set or a score table, with their positions."""

    images: ScoredImages
    image: list[str]
    """POSIX paths relative to the root."""
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    factor: np.ndarray
    """float64: the factor by which ``srfast.imresize`` makes the image of a row from its file."""
    meta: dict[str, Any]
    draws: Draws | None = None
    """The degradation that makes the LR images, in place of given ones."""
    draw: np.ndarray | None = None
    """Number of the draw of each row; None: 0."""
    depth: int = 8
    """Bits in which the images are read, 8 or 16."""

    @property
    def root(self) -> Path:
        return self.images.root

    @property
    def lr(self) -> LowRes | None:
        """The given LR images, if there are any."""
        return self.images.lr

    def draw_of(self, row: int) -> int:
        return 0 if self.draw is None else int(self.draw[row])

    def source(self, image: str, factor: float = 1.0) -> Source:
        """The file of an image of the table, at one of its sizes."""
        if factor != 1 and self.lr:
            raise InputError("lr_images: given LR images are of whole images, but the table has patches of shrunk ones")
        if self.draws is not None:
            return Source(self.root / image, factor, draws=self.draws)
        return Source(self.root / image, factor, self.lr.find(image) if self.lr else None, depth=self.depth)

    def places(self) -> tuple[list[tuple[str, float]], list[int]]:
        """The images with their factors, each once, and the index of each row's."""
        rows = list(zip(self.image, self.factor.tolist(), strict=True))
        number = {place: i for i, place in enumerate(dict.fromkeys(rows))}
        return list(number), [number[place] for place in rows]

    def check_grid(self, scale: int) -> None:
        """Checks that every patch has an aligned LR patch at this scale. Raises InputError if one does not."""
        for name, column in (("x", self.x), ("y", self.y), ("size", self.size)):
            odd = np.flatnonzero(column % scale)
            if len(odd):
                row = int(odd[0])
                raise InputError(
                    f"scale: expected one that divides the grid of the patches (scored at "
                    f"x{self.meta.get('scale', '?')}), got {scale}: "
                    f"row {row} ({self.image[row]}) has {name} = {int(column[row])}"
                )


def read_rows(coreset: CoreSet | ScoreTable | pa.Table | str | Path) -> tuple[str, pa.Table, dict[str, Any]]:
    """The name (for messages), the rows and the metadata of a core-set or a score table. Raises InputError if it is not
    a Parquet file, a column is missing or occurs twice, there are no rows, shards of a score table are missing, a path
    leads outside the root, or a patch lies in no image."""
    name, table, meta = rows_of(coreset, "coreset")
    if table.num_rows == 0:
        raise InputError(f"{name}: expected at least one patch, got an empty table")
    checked_shards([meta])
    check_selection(name, meta.get("selection"))
    checked(name, table, meta, PLACES, exact=False)
    return name, table, meta


def name_of(coreset: object) -> str:
    """The name of a table in those of files that are made from it."""
    return Path(coreset).stem if isinstance(coreset, (str, Path)) else "coreset"


def scale_of(requested: int | None, meta: dict[str, Any]) -> int:
    """The scale of the pairs of a table: the one requested, or else that of the scores, or else 2.

    A scale other than that of the scores is allowed, with a warning, since patches are ranked for the scale at which
    they were scored.

    Raises:
        InputError: the scale is not 1, 2, 3 or 4.
    """
    own = meta.get("scale")
    known = own in PAIR_SCALES and not isinstance(own, bool)
    scale = requested if requested is not None else own if known else 2
    scale = PAIR_SCALE.check("scale", scale)
    if known and scale != own:
        log.warning("scale: pairs are made at x%d, but the patches were scored at x%d", scale, own)
    return int(scale)


def read_patches(
    coreset: CoreSet | ScoreTable | pa.Table | str | Path, root: str | Path | None = None, lr: LowRes | None = None
) -> Patches:
    """Reads the positions of the patches of a core-set or a score table. None for the ``root`` or the LR images takes
    those of the metadata. Raises InputError if ``read_rows`` refuses the table, there is no root, or the folder of LR
    images does not exist."""
    name, table, meta = read_rows(coreset)
    scored = lr is None
    return place(table, ScoredImages.of(meta, root, name, LowRes.of(meta) if scored else lr, False if scored else None))


def place(table: pa.Table, images: ScoredImages) -> Patches:
    """``read_patches`` of the result of ``read_rows``."""
    x, y, size = (table[c].to_numpy().astype(np.int64) for c in ("x", "y", "size"))
    factor = factors(table, images.meta, "coreset")
    return Patches(images, table["image"].to_pylist(), x, y, size, factor, dict(images.meta))


def read_pair(
    source: Source, scale: int, *, color: str = "rgb", quantise: bool = True, draw: int = 0,
    note: Callable[[str, str, list[Step]], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Reads an image, cropped right and bottom to a multiple of the scale, and its LR image.

    With ``color`` "y" both are Y of BT.601, rounded, in one plane. With ``quantise`` LR is uint8, bit for bit MATLAB's
    imresize of the uint8 image; without, float32 in [0, 1], not rounded (the classic protocol). A given LR image is
    read as it is, and a degraded one has 8 bits; scale 1 needs one of these. A source of 16 bits has uint16 in place of
    uint8. ``note`` is called with the hash of the pixels, the size and what was drawn by a degradation. Returns LR [C,
    h, w] and HR [C, scale * h, scale * w], views of arrays with channels last. Raises InputError if the file cannot be
    read, or the image is smaller than the scale.
    """
    whole = read_at(source.path, source.depth)
    lr, hr = None, cropped(shrunk(whole, source.factor), scale, source.path)
    if source.draws is not None:
        pixels, size = of_pixels(whole), str(Fraction(source.factor).limit_denominator(1000))
        lr, steps = source.draws.lr(hr, scale, draw=draw, pixels=pixels, size=size)
        if note is not None:
            note(pixels, size, steps)
    elif source.lr is not None:
        lr = read_lr(source.lr, hr, source.path, scale, source.depth)
    if color == "y":
        hr = rounded_y(hr)[..., None]
    if lr is None:
        lr = imresize(hr if quantise else hr.astype(np.float32) / np.float32(np.iinfo(hr.dtype).max), 1 / scale)
    else:
        lr = rounded_y(lr)[..., None] if color == "y" else lr
        lr = lr if quantise else lr.astype(np.float32) / np.float32(np.iinfo(lr.dtype).max)
    return lr.transpose(2, 0, 1), hr.transpose(2, 0, 1)


def turn(planes: np.ndarray, k: int) -> np.ndarray:
    """One of the 8 flips and rotations of [C, H, W] planes, as a view."""
    if k & 1:
        planes = planes[:, :, ::-1]
    if k & 2:
        planes = planes[:, ::-1]
    return planes.transpose(0, 2, 1) if k & 4 else planes


def cut(image: np.ndarray, x: int, y: int, width: int, height: int, scale: int = 1) -> np.ndarray:
    """A rectangle of HR pixels of an image [C, H, W], or at a scale the same of its LR image, as a view."""
    return image[:, y // scale : (y + height) // scale, x // scale : (x + width) // scale]


def turned_crop(
    lr: np.ndarray, hr: np.ndarray, scale: int, x: int, y: int, size: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """An aligned crop of a pair [C, h, w], [C, H, W], in one of the 8 flips and rotations, as views."""
    return turn(cut(lr, x, y, size, size, scale), k), turn(cut(hr, x, y, size, size), k)


class Pairs:
    """Patches as aligned pairs of arrays: ``CorePatches`` without PyTorch.

    Item i is (lr, hr): [C, size / scale, size / scale] and [C, size, size], as ``read_pair`` gives them.
    """

    def __init__(
        self, patches: Patches, scale: int, keep_images: int = KEPT_IMAGES, *, color: str = "rgb",
        quantise: bool = True, name: str = "coreset",
    ) -> None:  # fmt: skip
        patches.check_grid(scale)
        self.patches, self.scale, self.color, self.quantise, self.name = patches, scale, color, quantise, name
        hr = np.dtype(f"u{patches.depth // 8}")
        self.layout = StoreLayout(
            patches.size, scale, {"y": 1, "rgb": 3}[color], hr if quantise else np.dtype("f4"), hr
        )
        self.keep_images = check_integer("keep_images", keep_images, 1)
        self._planes = lru_cache(self.keep_images)(self._checked)

    def __len__(self) -> int:
        return len(self.patches.image)

    def __repr__(self) -> str:
        sizes = [f"{n // self.scale} x {n // self.scale} and {n} x {n}" for n in np.unique(self.patches.size)]
        return f"{type(self).__name__}({len(self)} pairs of {', '.join(sizes)}, x{self.scale}, {self.patches.root})"

    def arrays(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair of a row, as views of the image."""
        index, p = self.row(index), self.patches
        return self._cut(index, *self._planes(p.image[index], float(p.factor[index]), p.draw_of(index)))

    def row(self, index: int) -> int:
        """The row of an index, which may count from the end; raises IndexError if there is none."""
        try:
            return range(len(self))[index]
        except IndexError:
            raise IndexError(f"index {index} out of range for {len(self)} patches") from None

    def _cut(self, index: int, lr: np.ndarray, hr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = self.patches
        x, y, size = int(p.x[index]), int(p.y[index]), int(p.size[index])
        check_inside(p.root / p.image[index], x, y, size, hr.shape[2], hr.shape[1])
        return cut(lr, x, y, size, size, self.scale), cut(hr, x, y, size, size)

    def _checked(self, image: str, factor: float, draw: int) -> tuple[np.ndarray, np.ndarray]:
        self.patches.images.check(image)
        return self._read(self.patches.source(image, factor), draw)

    def _read(self, source: Source, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        return read_pair(source, self.scale, color=self.color, quantise=self.quantise, draw=draw)

    def pack(self, folder: Path | None, progress: Progress | bool, threads: int | None = None) -> Packed | None:
        """The pixels of all patches in one file, packed now if they were not before (``srfast.data.packed``).

        Without ``folder`` it lies in the cache folder; without ``threads``, all cores read images.

        Raises:
            InputError: an image cannot be read, or has changed since it was scored, or ``folder`` cannot be written to.
        """
        p = self.patches
        places, number = p.places()
        rows = [group.tolist() for group in by_value(np.array(number))]

        def read(place: int) -> tuple[np.ndarray, np.ndarray]:
            return self._read(p.source(*places[place]))

        def fill(write: Write) -> None:
            with (
                shown(progress, "packing pairs", "patches") as step,
                closing(ordered_map(read, range(len(places)), threads or cores())) as pairs,
            ):
                done = 0
                for place, (lr, hr) in pairs:
                    for row in rows[place]:
                        write(row, *self._cut(row, lr, hr))
                    done += len(rows[place])
                    step(place + 1, len(places), done)

        form = f"x{self.scale}-{self.color}" + ("" if p.depth == 8 else str(p.depth)) + "-float" * (not self.quantise)
        return packed(folder, f"{self.name}-{form}", self._digest(places, form), self.layout, fill)

    def _digest(self, places: list[tuple[str, float]], form: str) -> str:
        """SHA-256 of all that the pixels of the pairs depend on: files by their hashes, places and form."""
        p, total = self.patches, sha256()
        p.images.check_all(p.image)
        for image, factor in places:
            source = p.source(image, factor)
            hashes = [of_file(file) for file in (source.path, source.lr) if file is not None]
            total.update(repr((image, factor, hashes)).encode())
        names, number = np.unique(p.image, return_inverse=True)
        total.update(repr((form, names.tolist())).encode())
        for column in (number, p.x, p.y, p.size, p.factor):
            total.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
        return total.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers start with an empty cache instead of a copy of the parent's images.
        return {k: v for k, v in self.__dict__.items() if k != "_planes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._planes = lru_cache(self.keep_images)(self._checked)
