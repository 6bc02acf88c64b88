"""What dedup finds of made copies, and what it finds that is none.

``python -m experiments.duplicates IMAGES [PATCHES]``

Every eighth image is copied: cropped by up to 90 pixels, flipped or turned, compressed as JPEG of quality 30 to 90. The
copies are the test images of ``find_duplicates``: a patch that lies inside a copy and is called a leak of it is found;
one of an image that was not copied is a false alarm. Then the time, at PATCHES
patches or a few more.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import srfast
from experiments.selection import many_patches, timed
from srfast.coreset.duplicates import find_duplicates


def copied(image: Image.Image, draw: np.random.Generator, path: Path) -> tuple[int, int, int, int]:
    """Writes a copy; returns the box of the original that it holds."""
    left, top = (int(v) for v in draw.integers(0, 91, 2))
    box = (left, top, image.width - int(draw.integers(0, 91)), image.height - int(draw.integers(0, 91)))
    copy = image.crop(box)
    turn = draw.integers(0, 8)
    if turn:
        copy = copy.transpose(list(Image.Transpose)[turn - 1])
    copy.save(path, quality=int(draw.integers(30, 91)))
    return box


def main(folder: str, patches: int = 0) -> None:
    draw = np.random.default_rng(0)
    table = srfast.score(folder, mode="dense", scorer="bicubic")
    image, x, y = (table[c] for c in ("image", "x", "y"))
    names = sorted(set(image))[::8]
    inside = np.zeros(len(table), bool)
    with tempfile.TemporaryDirectory() as made:
        for i, name in enumerate(names):
            path = Path(made, f"{i}.jpg")
            left, top, end, bottom = copied(Image.open(Path(folder, name)).convert("RGB"), draw, path)
            size = table["size"]
            inside |= (image == name) & (x >= left) & (y >= top) & (x + size <= end) & (y + size <= bottom)
        marked = find_duplicates(table, [made])
    leak = marked.table.table.column("leak").to_pylist()
    own = {name: f"{i}.jpg" for i, name in enumerate(names)}
    right = np.array(
        [one is not None and one.endswith(f"/{own.get(name)}") for one, name in zip(leak, image, strict=True)]
    )
    called = np.array([one is not None for one in leak])
    other = ~np.isin(image, names)
    print(
        f"{len(table):,} patches, {inside.sum():,} of them inside {len(names)} copies; {marked.flat:,} too flat to tell"
    )
    print(f"found {(inside & right).sum():,}: recall {(inside & right).sum() / inside.sum():.4f}")
    print(f"called {called.sum():,}, of the right image {right.sum():,}: precision {right.sum() / called.sum():.4f}")
    print(f"false alarms {(called & other).sum():,} of {other.sum():,} patches of images that were not copied")
    if patches:
        many = many_patches(folder, patches)
        wall, cpu, _ = timed(lambda: find_duplicates(many))
        print(f"{len(many):,} patches: {wall:.1f} s, {cpu:.1f} of processor time")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
