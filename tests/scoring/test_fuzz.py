"""Ten thousand damaged image files through ``srfast score --skip-bad``: no crash, no hang, no growing memory."""

from __future__ import annotations

import io
import json
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

COUNT = 10_000


def seeds(photographs: dict[str, np.ndarray]) -> list[tuple[str, bytes]]:
    """Small valid files of every kind of PNG and JPEG."""
    photo = Image.fromarray(photographs["chelsea"][100:148, 100:164])
    exif = Image.Exif()
    exif[0x0112] = 6
    variants: list[tuple[str, Image.Image, dict]] = [
        ("png", photo, {}),
        ("png", photo.convert("L"), {}),
        ("png", photo.convert("RGBA"), {}),
        ("png", photo.quantize(64), {"transparency": 3}),
        ("png", photo.convert("1"), {}),
        ("png", photo.convert("I;16"), {}),
        ("jpg", photo, {"quality": 90}),
        ("jpg", photo, {"quality": 60, "progressive": True}),
        ("jpg", photo, {"subsampling": 0, "exif": exif}),
        ("jpg", photo.convert("L"), {}),
        ("jpg", photo.convert("CMYK"), {}),
    ]
    out = []
    for suffix, image, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if suffix == "jpg" else "PNG", **options)
        out.append((suffix, buffer.getvalue()))
    return out


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to five damages: flipped bits, set bytes, cuts, repeats, insertions, splices."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        if not out:
            break
        at, length = rng.randrange(len(out)), rng.randint(1, 64)
        kind = rng.randrange(7)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + length]
        elif kind == 4:
            out[at:at] = out[at : at + length] * rng.randint(1, 8)
        elif kind == 5:
            out[at : at + length] = rng.randbytes(length)
        else:
            out[at:] = other[rng.randrange(len(other)) :]
    return bytes(out)


def score(folder: Path, output: Path) -> dict:
    command = [
        *(
            sys.executable,
            "-m",
            "srfast",
            "score",
            str(folder),
            "-o",
            str(output),
            "--patch",
            "24",
            "--scorer",
            "bicubic",
        ),
        *("--skip-bad", "--json", "--workers", "2"),
    ]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    summary = json.loads(done.stdout)
    for line in done.stderr.splitlines():
        assert line.startswith("srfast: "), line
    return summary


def test_damaged_files(
    photographs: dict[str, np.ndarray], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(0)
    valid = seeds(photographs)
    peaks = []
    for count in (COUNT // 10, COUNT):
        folder = tmp_path / f"{count} files"
        folder.mkdir()
        for i in range(count):
            suffix, data = valid[i % len(valid)]
            (folder / f"{i:05d}.{suffix}").write_bytes(mutate(data, rng.choice(valid)[1], rng))
        summary = score(folder, tmp_path / f"{count}.parquet")
        assert summary["images"] == count
        assert 0 < len(summary["skipped"]) < count
        assert all(e["image"] in e["reason"] for e in summary["skipped"])
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    record_property("skipped", len(summary["skipped"]))
    # The list of skipped files and its JSON are about 1 KB a file.
    assert peaks[1] - peaks[0] < 60_000, f"{peaks} KiB"
