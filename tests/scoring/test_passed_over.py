"""What a run passes over is said: on stderr, in JSON, in the table and on the pages."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.scoring import pipeline

LINE = "srfast: images: passed over 3 files of other kinds, by their suffix: .heic 2, .exr 1\n"


@pytest.fixture
def photos(photo_folder: Path) -> Path:
    for name in ("a.heic", "sub/b.HEIC", "c.exr", "notes.txt"):
        (photo_folder / name).write_bytes(b"x")
    return photo_folder


@pytest.mark.parametrize("output", ["s.parquet", "scores/"])
def test_score_says_it(output, photos, tmp_path, run):
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


@pytest.mark.parametrize(("command", "page"), [("prune", "report.html"), ("audit", "audit.html")])
def test_prune_and_audit_say_it(command, page, photos, tmp_path, run):
    options = ("--patch", "48", "--scorer", "bicubic", "--json", "--skip-bad")
    code, out, err = run(command, photos, "-o", tmp_path / "out", *options)
    assert (code, err) == (0, LINE)
    assert json.loads(out)["passed_over"] == {".exr": 1, ".heic": 2}
    assert "Passed over: 3 files" in (tmp_path / "out" / page).read_text()


def test_damaged_counts_are_refused(photos):
    table = srfast.score(photos, patch=48, scorer="bicubic")
    for odd in ({".exr": "1"}, [1], {".exr": 1.5}):
        table.meta["passed_over"] = odd
        with pytest.raises(srfast.errors.InputError, match="passed_over: expected"):
            srfast.write_report(table, None, "r.html")


def test_what_reading_leaves_out_is_said_once(tmp_path, run):
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
    line = "srfast: images: reading leaves out the alpha channel of 2, all but the high 8 bits of 3\n"
    assert (code, err) == (0, line)
    assert json.loads(out)["reduced"] == {"alpha": 2, "bits": 3}
    table = srfast.ScoreTable.read(tmp_path / "s.parquet")
    assert table.meta["images"]["deep.png"]["reduced"] == "bits"
    assert "reduced" not in table.meta["images"]["plain.png"]
    assert run(*words, "--resume")[2] == line
    assert run("report", tmp_path / "s.parquet", "-o", tmp_path / "r.html")[0] == 0
    assert "Left out of the pixels" in (tmp_path / "r.html").read_text()


def test_dense_mode_is_proposed_once_where_patches_overlap_a_lot(photo_folder, monkeypatch, caplog):
    monkeypatch.setattr(pipeline, "WORTH_SAYING", 0.0)
    for options in ({"stride": 12}, {"stride": 24}, {"stride": 12, "mode": "dense"}):
        srfast.score(photo_folder, patch=48, scorer="bicubic", **options)
    assert caplog.messages == [
        "patch mode computes every pixel about 16 times, in overlapping patches; `mode` dense computes it once and "
        "ranks alike (docs/results/agreement.md)"
    ]


# Files that cannot be read are all named before anything is scored, with the option that goes on.


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two photographs, an empty file, a text and a PNG header without a body's length."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "z.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / name)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "head.png").write_bytes((folder / "a.png").read_bytes()[:20])
    return folder


@pytest.mark.parametrize("more", [0, 20])
def test_all_of_them_are_named_at_once_or_counted(more, mixed, tmp_path, monkeypatch):
    for i in range(more):
        (mixed / f"z{i:02d}.png").write_bytes(b"")
    monkeypatch.setattr(pipeline._Local, "outcomes", lambda *_: pytest.fail("something was scored"))
    with pytest.raises(InputError) as error:
        srfast.score(mixed, patch=32, output=tmp_path / "s.parquet", scorer="bicubic")
    text = str(error.value)
    assert text.startswith(f"{3 + more} of {5 + more} files cannot be read: ")
    assert all(str(mixed / name) in text for name in ("empty.png", "text.jpg", "head.png"))
    assert not any(str(mixed / name) in text for name in ("a.png", "z.jpg"))
    assert text.endswith(("; and 13 more" if more else "") + "; `skip_bad` leaves such files out")
    assert not (tmp_path / "s.parquet").exists()


def test_the_command_names_its_option_and_goes_on_by_it(mixed, tmp_path, run):
    words = ("score", mixed, "--patch", "32", "--scorer", "bicubic", "-o", tmp_path / "s.parquet")
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert "; --skip-bad leaves such files out" in err
    assert run(*words, "--skip-bad")[0] == 0
    table = srfast.ScoreTable.read(tmp_path / "s.parquet")
    assert sorted(set(table["image"])) == ["a.png", "z.jpg"]
    assert [s["image"] for s in table.meta["skipped"]] == ["empty.png", "head.png", "text.jpg"]
    assert all(s["reason"] for s in table.meta["skipped"])
