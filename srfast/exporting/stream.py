"""From images to encoded pairs: each image is decoded once, every core is busy, and memory is bounded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from srfast.coreset.pairs import cut, read_pair
from srfast.data.images import FORMATS
from srfast.data.shrink import read_shrunk
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.encode import ENCODERS, Encoder
from srfast.scoring.scored import check_inside

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


@dataclass(frozen=True)
class _Opened:
    """A decoded image [C, H, W] and its LR image."""

    hr: np.ndarray
    lr: np.ndarray | None
    file: Path | None
    """The file, if it can stand for the patch that is the whole image."""

    @property
    def nbytes(self) -> int:
        return self.hr.nbytes + (0 if self.lr is None else self.lr.nbytes)


def encoded(plan: Arrangement, first: int, workers: int) -> Generator[list[EncodedPair], None, None]:
    """Yields the pairs from row ``first`` on, in the order of the plan, a few at a time. Raises InputError if an image
    cannot be read, has changed since it was scored, or is too small for its patches."""
    encode = ENCODERS[plan.suffix]
    groups = [(max(a, first), b) for a, b in plan.images if b > first]

    def batches(opened: Iterator[tuple[tuple[int, int], _Opened]]) -> Iterator[tuple[_Opened, range]]:
        for (a, b), image in opened:
            step = max(1, _BATCH_PIXELS // int(plan.patches.size[a:b].max()) ** 2)
            yield from ((image, range(i, min(i + step, b))) for i in range(a, b, step))

    decoded = ordered_map(lambda group: _open(plan, *group), groups, workers, budget=_BUDGET)
    with closing(decoded), closing(ordered_map(lambda b: _encode(plan, encode, *b), batches(decoded), workers)) as out:
        for _, pairs in out:
            yield pairs


def _open(plan: Arrangement, first: int, last: int) -> _Opened:
    p = plan.patches
    image, factor = p.image[first], float(p.factor[first])
    if plan.lr:
        how: dict[str, Any] = {} if p.draws is None else {"draw": p.draw_of(first), "note": plan.noting(first)}
        lr, hr = read_pair(p.source(image, factor), plan.scale, **how)
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
    return _Opened(hr, lr, path if whole and _stands_for_itself(path, hr, plan.suffix) else None)


def _encode(plan: Arrangement, encode: Encoder, image: _Opened, rows: range) -> list[EncodedPair]:
    p, s = plan.patches, plan.scale
    corners = [(int(p.x[i]), int(p.y[i]), int(p.size[i])) for i in rows]
    if image.file is not None:
        hr = [image.file.read_bytes()]
    else:
        hr = _encode_all(encode, [cut(image.hr, x, y, n, n) for x, y, n in corners])
    lr: list[bytes] | list[None] = [None] * len(rows)
    if image.lr is not None:
        lr = _encode_all(encode, [cut(image.lr, x, y, n, n, s) for x, y, n in corners])
    return [EncodedPair(i, h, low, image.file) for i, h, low in zip(rows, hr, lr, strict=True)]


def _encode_all(encode: Encoder, patches: list[np.ndarray]) -> list[bytes]:
    patches = [p.transpose(1, 2, 0) for p in patches]
    if len({p.shape for p in patches}) == 1:
        return encode(np.stack(patches))
    return [encode(p[None])[0] for p in patches]


def _stands_for_itself(path: Path, pixels: np.ndarray, suffix: str) -> bool:
    """Whether every trainer reads the file as srfast does: a file of that depth and those channels in the wanted
    format, and nothing else.

    Palettes, alpha and 16 bits (which KAIR keeps), colour profiles (which traiNNer-redux applies) and orientations
    differ.
    """
    if path.suffix.lower() != f".{suffix}":
        return False
    with open(path, "rb") as file:
        head = file.read(26)
    # PNG: depth, and colour type 2 (RGB) or 0 (gray); Pillow shows 16 bits as RGB too.
    mode = "RGB" if pixels.shape[0] == 3 else "L"
    if suffix == "png" and head[24:26] != bytes([8 * pixels.itemsize, 2 if mode == "RGB" else 0]):
        return False
    if path.stat().st_size > pixels.nbytes + 4096:
        return False
    with Image.open(path, formats=FORMATS) as image:
        plain = (
            image.format == suffix.upper()
            and (image.mode == mode or pixels.itemsize > 1)
            and not getattr(image, "is_animated", False)
        )
        return bool(plain and not {"icc_profile", "transparency", "exif"} & image.info.keys() and not image.getexif())
