"""What a run passes over is said: on stderr, in JSON, in the table and on the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import srfast

LINE = "srfast: images: passed over 3 files of other kinds, by their suffix: .heic 2, .exr 1\n"


@pytest.fixture
def photos(photo_folder: Path) -> Path:
    for name in ("a.heic", "sub/b.HEIC", "c.exr", "notes.txt"):
        (photo_folder / name).write_bytes(b"x")
    return photo_folder


@pytest.mark.parametrize("output", ["s.parquet", "scores/"])
def test_score_says_it(output: str, photos: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    options = ("--patch", "48", "--scorer", "bicubic", "--json")
    code, out, err = run("score", photos, "-o", f"{tmp_path}/{output}", *options)
    assert (code, err) == (0, LINE)
    assert json.loads(out)["passed_over"] == {".exr": 1, ".heic": 2}
    assert srfast.ScoreTable.read(tmp_path / output).meta["passed_over"] == {".exr": 1, ".heic": 2}
    (photos / "d.exr").write_bytes(b"x")
    Image.new("RGB", (64, 64)).save(photos / "more.png")
    assert run("score", photos, "-o", f"{tmp_path}/{output}", *options, "--resume")[0] == 0
    table = srfast.ScoreTable.read(tmp_path / output)
    assert table.meta["passed_over"] == {".exr": 2, ".heic": 2}
    assert "more.png" in table.meta["images"]
    assert run("report", tmp_path / output, "-o", tmp_path / "r.html")[0] == 0
    assert "Passed over: 4 files" in (tmp_path / "r.html").read_text()


def test_prune_and_audit_say_it(photos: Path, tmp_path: Path, run: Callable[..., Any]) -> None:
    options = ("--patch", "48", "--scorer", "bicubic", "--json")
    code, out, err = run("prune", photos, "-o", tmp_path / "out", *options)
    assert (code, err) == (0, LINE)
    assert json.loads(out)["passed_over"] == {".exr": 1, ".heic": 2}
    assert "Passed over: 3 files" in (tmp_path / "out" / "report.html").read_text()
    code, out, err = run("audit", photos, "-o", tmp_path / "audit", *options, "--skip-bad")
    assert (code, err) == (0, LINE)
    assert json.loads(out)["passed_over"] == {".exr": 1, ".heic": 2}
    assert "Passed over: 3 files" in (tmp_path / "audit" / "audit.html").read_text()


def test_damaged_counts_are_refused(photos: Path) -> None:
    table = srfast.score(photos, patch=48, scorer="bicubic")
    for odd in ({".exr": "1"}, [1], {".exr": 1.5}):
        table.meta["passed_over"] = odd
        with pytest.raises(srfast.errors.InputError, match="passed_over: expected"):
            srfast.write_report(table, None, "r.html")


def test_what_reading_leaves_out_is_said_once(tmp_path: Path, run: Callable[..., Any]) -> None:
    """Alpha was dropped and 16 bits were reduced without a word."""
    (photos := tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 1 << 16, (64, 64), np.uint16)
    Image.fromarray(deep).save(photos / "deep.png")
    Image.fromarray(deep).save(photos / "deep.tif")
    Image.fromarray(rng.integers(0, 256, (64, 64, 4), np.uint8)).save(photos / "alpha.png")
    Image.fromarray(rng.integers(0, 256, (64, 64, 4), np.uint8)).save(photos / "alpha.webp", lossless=True)
    for name in ("plain.png", "plain.jpg"):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(photos / name)
    (photos / "deep.ppm").write_bytes(b"P6 64 64 65535\n" + rng.bytes(64 * 64 * 6))
    words = ("score", photos, "-o", tmp_path / "s.parquet", "--patch", "48", "--scorer", "bicubic", "--json")
    code, out, err = run(*words)
    line = "srfast: images: left out of 2 the alpha channel, 3 all but the high 8 of more bits\n"
    assert (code, err) == (0, line)
    assert json.loads(out)["reduced"] == {"alpha": 2, "bits": 3}
    table = srfast.ScoreTable.read(tmp_path / "s.parquet")
    assert table.meta["images"]["deep.png"]["reduced"] == "bits"
    assert "reduced" not in table.meta["images"]["plain.png"]
    assert run(*words, "--resume")[2] == line
    assert run("report", tmp_path / "s.parquet", "-o", tmp_path / "r.html")[0] == 0
    assert "Left out of the pixels" in (tmp_path / "r.html").read_text()
