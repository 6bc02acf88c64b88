"""From images to the bytes of patches' files: an image is decoded once, every core is busy, and memory is bounded."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from srfast.coreset.pairs import cut, read_pair
from srfast.data.encoding import is_plain
from srfast.data.run_folder import RunFolder
from srfast.data.shrink import read_shrunk
from srfast.data.workers import ordered_map
from srfast.degradation import rows
from srfast.errors import InputError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.formats import Format, Writer
from srfast.runtime.progress import Progress
from srfast.scoring.scored import check_inside
from srfast.scoring.table import write_parquet

_BATCH_PIXELS = 1 << 18
"""HR pixels that are filtered and encoded together: 28 patches of 96 x 96, whose arrays stay in a core's cache."""
_BUDGET = 128 << 20
"""Bytes of decoded images in flight, apart from one image."""


@dataclass(frozen=True)
class EncodedPair:
    """An encoded patch and its LR patch."""

    row: int
    hr: bytes
    lr: bytes | None
    file: Path | None = None
    """The source file, if ``hr`` is its content."""


_Opened: TypeAlias = "tuple[np.ndarray, np.ndarray | None, Path | None]"
"""A decoded image [C, H, W], its LR image, and the file, if it can stand for the patch that is the whole image."""


def write(how: Format, run: RunFolder, plan: Arrangement, threads: int, progress: Progress) -> int:
    """Writes what is not finished yet, and returns the number of links. degradation.parquet is written last; images
    that an interrupted run has finished are read again for it."""
    p, total = plan.patches, len(plan.images)
    writer: Writer = how.part("writer")(run.path, plan, run.rows)
    with closing(writer):
        before = writer.written
        images = sum(last <= before for _, last in plan.images)
        if how.pixels:
            with closing(encoded(plan, before, threads)) as batches:
                for pairs in batches:
                    writer.add(pairs)
                    run.rows = writer.written
                    while images < total and plan.images[images][1] <= pairs[-1].row + 1:
                        images += 1
                    progress(images, total, pairs[-1].row + 1 - before)
        writer.finish()
    if p.draws is not None:
        drawn = []
        for first, _ in plan.images:
            if first not in plan.drawn:
                read_pair(p.source(p.image[first], float(p.factor[first])), plan.scale, **plan.drawing(first))
            pixels, size, steps = plan.drawn[first]
            drawn += rows.rows(p.image[first], pixels, size, p.draw_of(first), steps)
        about = {**rows.metadata(p.draws, plan.scale), "draws": plan.draws}
        path = run.path / f"{'.' * how.all_tables}{rows.NAME}"
        write_parquet(path, [rows.table(drawn)], rows.SCHEMA, about)
    return int(getattr(writer, "linked", 0))


def encoded(plan: Arrangement, first: int, workers: int) -> Generator[list[EncodedPair], None, None]:
    """Yields the pairs from row ``first`` on, in the order of the plan, a few at a time. Raises InputError if an image
    cannot be read, has changed since it was scored, or is too small for its patches."""
    groups = [(max(a, first), b) for a, b in plan.images if b > first]

    def batches(opened: Iterator[tuple[tuple[int, int], _Opened]]) -> Iterator[tuple[_Opened, range]]:
        for (a, b), image in opened:
            step = max(1, _BATCH_PIXELS // int(plan.patches.size[a:b].max()) ** 2)
            yield from ((image, range(i, min(i + step, b))) for i in range(a, b, step))

    decoded = ordered_map(lambda group: _open(plan, *group), groups, workers, budget=_BUDGET)
    with closing(decoded), closing(ordered_map(lambda b: _encode(plan, *b), batches(decoded), workers)) as out:
        for _, pairs in out:
            yield pairs


def _open(plan: Arrangement, first: int, last: int) -> _Opened:
    p = plan.patches
    image, factor = p.image[first], float(p.factor[first])
    if plan.lr:
        lr, hr = read_pair(p.source(image, factor), plan.scale, **plan.drawing(first))
    else:
        lr, hr = None, read_shrunk(p.root / image, factor, p.depth).transpose(2, 0, 1)
    if plan.channels == 1:
        for name, pixels in (("HR", hr), ("LR", lr)):
            if pixels is not None and (pixels != pixels[:1]).any():
                raise InputError(
                    f"{p.root / image}: expected a gray image with `channels` 1, got an {name} with colours"
                )
        hr, lr = hr[:1], None if lr is None else lr[:1]
    path = p.images.check(image)  # after decoding: a file that changed meanwhile is noticed
    check_inside(path, p.x[first:last], p.y[first:last], p.size[first:last], hr.shape[2], hr.shape[1])
    whole = factor == 1 and last == first + 1 and hr.shape[1:] == (p.size[first], p.size[first])
    return hr, lr, path if whole and is_plain(path, hr, plan.suffix) else None


def _encode(plan: Arrangement, image: _Opened, chosen: range) -> list[EncodedPair]:
    p = plan.patches
    corners = [(int(p.x[i]), int(p.y[i]), int(p.size[i])) for i in chosen]

    def files(pixels: np.ndarray, scale: int) -> list[bytes]:
        patches = [cut(pixels, x, y, n, n, scale).transpose(1, 2, 0) for x, y, n in corners]
        encode = ENCODERS[plan.suffix]
        if len({p.shape for p in patches}) == 1:
            return encode(np.stack(patches))
        return [encode(p[None])[0] for p in patches]

    high, low, file = image
    hr = files(high, 1) if file is None else [file.read_bytes()]
    lr: list[Any] = [None] * len(chosen) if low is None else files(low, plan.scale)
    return [EncodedPair(i, h, low, file) for i, h, low in zip(chosen, hr, lr, strict=True)]


Encoder = Callable[[np.ndarray], list[bytes]]
"""[N, H, W, 3] RGB or [N, H, W, 1] gray, uint8 or (PNG only) uint16 -> the files' bytes."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_AVERAGE = 3
"""The PNG filter of every row."""


def encode_png(patches: np.ndarray) -> list[bytes]:
    """PNG (W3C, third edition): the Average filter on every row, for all patches at once, then deflate.

    On 96 x 96 crops of photographs, beside OpenCV at level 1 (as BasicSR's LMDB) on the same core: igzip takes 0.3 of
    the time at 1.04 of the bytes; zlib with run lengths only takes 0.8 at 1.05. OpenCV at level 3 takes 1.3 at 0.99,
    Pillow at level 1 1.4 at 1.0, fpng 0.1 at 1.19; Paeth instead of Average gains 3 % of the bytes and costs more than
    igzip itself.
    """
    n, h, w, channels = patches.shape
    depth, kind = 8 * patches.itemsize, 2 if channels == 3 else 0
    if depth == 16:  # the high byte first
        patches = patches.astype(">u2").view(np.uint8).reshape(n, h, w, 2 * channels)
        channels *= 2
    rows = patches.reshape(n, h, w * channels)
    left, up = np.zeros_like(rows), np.zeros_like(rows)
    left[:, :, channels:] = rows[:, :, :-channels]
    up[:, 1:] = rows[:, :-1]
    filtered = np.empty((n, h, 1 + w * channels), np.uint8)
    filtered[:, :, 0] = _AVERAGE
    # floor((left + up) / 2) in 8 bits: (left & up) + ((left ^ up) >> 1)
    np.bitwise_xor(left, up, out=filtered[:, :, 1:])
    filtered[:, :, 1:] >>= 1
    left &= up
    filtered[:, :, 1:] += left
    np.subtract(rows, filtered[:, :, 1:], out=filtered[:, :, 1:])
    deflate = _deflate()
    head = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0))
    end = _chunk(b"IEND", b"")
    return [head + _chunk(b"IDAT", deflate(lines)) + end for lines in filtered]


def encode_webp(patches: np.ndarray) -> list[bytes]:
    """Lossless WebP: 0.70 of the bytes of PNG in 5 times the time; more effort saves 5 % for 2 to 15 times the time."""
    files = []
    for patch in patches:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "WEBP", lossless=True, method=0, quality=20)
        files.append(file.getvalue())
    return files


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


@lru_cache(maxsize=1)
def _deflate() -> Callable[[np.ndarray], bytes]:
    """Compresses contiguous bytes to a zlib stream, by igzip if it is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return _zlib_runs
    return lambda data: isal_zlib.compress(data, 1)


def _zlib_runs(data: np.ndarray) -> bytes:
    stream = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return stream.compress(data.data) + stream.flush()


ENCODERS: dict[str, Encoder] = {"png": encode_png, "webp": encode_webp}
"""By the suffix of the files."""
