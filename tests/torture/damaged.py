"""Damaged files: mutated images through ``score --skip-bad``, damaged score tables and core-sets."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from fuzzed import mutate
from harness import Tally, finish
from PIL import Image


def seeds() -> list[tuple[str, bytes]]:
    """Small valid files of six formats, several kinds of each."""
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).resize((64, 48), Image.BICUBIC)
    kinds: list[tuple[str, str, Image.Image, dict[str, Any]]] = [
        *(("png", "PNG", i, {}) for i in (photo, photo.convert("L"), photo.convert("RGBA"), photo.convert("I;16"))),
        ("png", "PNG", photo.quantize(64), {"transparency": 3}),
        *(("jpg", "JPEG", photo, o) for o in ({"quality": 90}, {"quality": 60, "progressive": True})),
        ("jpg", "JPEG", photo.convert("CMYK"), {}),
        *(("webp", "WEBP", photo, o) for o in ({"lossless": True}, {"quality": 70})),
        ("webp", "WEBP", photo.convert("RGBA"), {"lossless": True}),
        *(("tif", "TIFF", photo, {"compression": c}) for c in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "raw")),
        *(("bmp", "BMP", i, {}) for i in (photo, photo.quantize(16), photo.convert("1"))),
        *(("gif", "GIF", i, {}) for i in (photo, photo.convert("L"))),
        ("gif", "GIF", photo, {"save_all": True, "append_images": [photo.rotate(90)]}),
    ]
    out = []
    for suffix, name, image, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        out.append((suffix, buffer.getvalue()))
    return out


def mutated(work: Path, wanted: int, rng: random.Random, at_once: int = 1000) -> Tally:
    """Mutated images through ``score --skip-bad``, so many a run."""
    tally, valid = Tally("mutated images"), seeds()
    done = 0
    while done < wanted:
        count = min(at_once, wanted - done)
        folder = work / f"mutated {done}"
        folder.mkdir(parents=True)
        for i in range(count):
            suffix, data = valid[i % len(valid)]
            (folder / f"{i:04d}.{suffix}").write_bytes(mutate(data, rng.choice(valid)[1], rng))
        output = work / f"{done}.parquet"
        line = ["score", str(folder), "-o", str(output), "--patch", "24", "--scorer", "bicubic", "--skip-bad"]
        code, err = finish(work, line)
        lines = err.splitlines()
        skipped = sum(e.startswith("srfast: skipped ") for e in lines)
        if code or not output.exists():
            tally.lose(f"{folder.name}: {code} {err[-600:]}")
        if stray := [e for e in lines if not e.startswith("srfast: ")]:
            tally.blame(f"{folder.name}: {stray[:3]}")
        for outcome, n in (("refused with its name", skipped), ("read", count - skipped)):
            tally.count(outcome, n)
        done += count
        shutil.rmtree(folder)
    return tally.finish()


def tables(work: Path, wanted: int, rng: random.Random) -> Tally:
    """Damaged score tables and core-sets: refused, or read as they were."""
    from srfast.coreset.selection import CoreSet, select
    from srfast.errors import InputError
    from srfast.scoring.pipeline import score
    from srfast.scoring.table import ScoreTable

    tally = Tally("damaged tables")
    folder = work / "few"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}.png").write_bytes(seeds()[0][1])
    scores = score(folder, patch=24, stride=6, scorer="bicubic", output=work / "table.parquet")
    chosen = select(scores)
    chosen.write(work / "chosen.parquet")
    for i in range(wanted):
        read, name, right = ((ScoreTable.read, "table", scores), (CoreSet.read, "chosen", chosen))[i % 2]
        data = (work / f"{name}.parquet").read_bytes()
        path = work / "damaged.parquet"
        changed = bytearray(data)
        if i % 4 < 2:
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            changed = bytearray(mutate(data, (work / "chosen.parquet").read_bytes(), rng))
        path.write_bytes(changed)
        try:
            stored = read(path)
        except InputError:
            tally.count("refused")
        except BaseException as error:
            tally.count("other error")
            tally.blame(f"{type(error).__name__}: {error}")
        else:
            other = chosen if stored.table.num_rows == chosen.table.num_rows else right
            same = any(stored.table.equals(t.table) and stored.meta == t.meta for t in (right, other))
            tally.count("read as it was" if same else "read wrongly")
            if not same:
                tally.lose(f"table {i}")
    return tally.finish()
