"""Searching folders for images: what is found, by which name, and in which part of the work."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.data import limits
from srfast.data.images import counted, find_images, read_rgb, shard_of
from srfast.data.lowres import LowRes
from srfast.errors import InputError
from srfast.scoring.settings import ScoreArguments

NAMES = ("b.png", "b.jpg", "a/z.JPG", "a/é ü.webp", "a-b.png", "Z.tiff", "a/c/x.bmp", "a/b.png")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(*inputs: Path) -> list[str]:
    return [f.name for f in find_images(inputs)]


def test_folders_are_searched_in_sorted_path_order(tmp_path):
    touch(*(tmp_path / n for n in NAMES))
    touch(tmp_path / "notes.txt", tmp_path / ".hidden.png", tmp_path / ".cache" / "x.png", tmp_path / "scores.parquet")
    files = find_images(tmp_path)
    assert [f.name for f in files] == sorted(NAMES)
    assert all(f.root == tmp_path and f.path.is_file() and f.size == 1 for f in files)


def test_files_and_folders_share_the_closest_root_and_no_image_counts_twice(tmp_path):
    touch(tmp_path / "one" / "a.png", tmp_path / "two" / "b.png", tmp_path / "two" / "raw")
    assert names(tmp_path / "one", tmp_path / "two" / "b.png") == ["one/a.png", "two/b.png"]
    assert names(tmp_path / "one", tmp_path / "one" / "a.png", tmp_path / "one" / ".." / "one") == ["a.png"]
    assert names(tmp_path / "two" / "raw") == ["raw"]


def test_a_folder_given_by_two_names_is_searched_once(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "photos" / name)
    (tmp_path / "link").symlink_to("photos", target_is_directory=True)
    photos, link, sub = (tmp_path / name for name in ("photos", "link", "photos/sub"))
    for given in ([photos, link], [photos, link / "sub"], [sub, photos], [photos, sub, link]):
        assert [f.name for f in find_images(given)] == [
            (f"photos/{n}" if link in given or link / "sub" in given else n) for n in ("a.png", "sub/b.png")
        ]
    assert [f.name for f in find_images([link, photos])] == ["link/a.png", "link/sub/b.png"]


def test_an_empty_name_is_not_the_working_folder(tmp_path, monkeypatch):
    """As of a variable of a shell that was not set; with -o it replaced an empty working folder by the table."""
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "a.png")
    assert [f.name for f in find_images(".")] == ["a.png"]
    for images in ("", ["a.png", ""]):
        with pytest.raises(InputError, match="images: expected paths of files and folders, got"):
            find_images(images)
    for name in ("output", "lr_images"):
        with pytest.raises(InputError, match=f"{name}: expected a path, got ''"):
            ScoreArguments.of({name: ""})


def test_missing_and_empty(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no image files found"):
        find_images(tmp_path / "empty")
    with pytest.raises(InputError, match="at least one"):
        find_images([])


def test_files_that_are_passed_over_are_counted(tmp_path):
    touch(*(tmp_path / n for n in ("a.png", "b.heic", "sub/c.HEIC", "d.exr", "e", "notes.txt", ".f.heic", ".g/h.heic")))
    passed: Counter[str] = Counter()
    assert [f.name for f in find_images([tmp_path, tmp_path / "d.exr"], passed)] == ["a.png", "d.exr"]
    assert passed == {".heic": 2, ".exr": 1, "": 1}
    assert counted(passed) == ".heic 2, none 1, .exr 1"
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"no image files found .*; passed over \.heic 2, none 1, \.exr 1$"):
        find_images(tmp_path)


def test_a_symbolic_link_that_loops_is_followed_once(tmp_path):
    touch(tmp_path / "data" / "a.png", tmp_path / "data" / "sub" / "b.png", tmp_path / "elsewhere" / "c.png")
    (tmp_path / "data" / "sub" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "more").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "data") == ["a.png", "more/c.png", "sub/b.png"]


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"C:x.png", b"a\\..\\x.png", b"\\x.png"])
def test_names_that_a_table_cannot_hold_are_refused(name, tmp_path):
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"x")
    with pytest.raises(InputError, match="rename the file"):
        find_images(tmp_path)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
def test_shards_are_disjoint_and_cover(n, tmp_path):
    touch(*(tmp_path / f"{i:02d}.png" for i in range(23)))
    files = find_images(tmp_path)
    parts = [shard_of(files, (i, n)) for i in range(n)]
    assert sorted(f.name for p in parts for f in p) == [f.name for f in files]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert shard_of(files, (n, n)) == parts[0]
    assert shard_of(files, None) == files
    for wrong in ((n + 1, n), (-1, n), (0, 0), (1, -1)):
        with pytest.raises(InputError, match=r"^shard: expected"):
            shard_of(files, wrong)


def test_two_lr_images_of_one_name_are_refused(tmp_path):
    """One of them was taken without a word."""
    touch(tmp_path / "a.png", tmp_path / "a.bmp", tmp_path / "b.JPG", tmp_path / "a.txt", tmp_path / "c.png")
    pairs = LowRes(tmp_path)
    assert pairs.find("b.png") == tmp_path / "b.JPG"
    assert pairs.find("c.png") == tmp_path / "c.png"
    for name in ("a.png", "a.tif"):
        with pytest.raises(InputError, match=rf"a\.bmp and a\.png may both be the LR image of {name}"):
            pairs.find(name)
    (tmp_path / "a.bmp").unlink()
    assert pairs.find("a.tif") == tmp_path / "a.png"


# The largest image that is read, and how more is allowed.


def test_more_pixels_are_read_where_they_are_allowed(tmp_path, monkeypatch, run):
    """As they come, twice Pillow's own limit, beyond which Pillow would warn."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    monkeypatch.setattr(limits, "PIXELS", 4000)
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    Image.new("RGB", (50, 80)).save(tmp_path / "most.png")
    assert read_rgb(tmp_path / "most.png").shape == (80, 50, 3)
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.bmp"
    Image.new("RGB", (100, 50)).save(path)
    words = ("score", tmp_path / "photos", "--patch", "48", "--scorer", "bicubic", "-o", tmp_path / "s.parquet")
    code, _, err = run(*words)
    assert code == 2
    assert "too many pixels: expected at most 4,000, got 100 x 50; allow more by --max-pixels N or SRFAST_MAX" in err
    code, _, err = run(*words, "--max-pixels", "5000")
    assert code == 0
    assert "a.bmp: has 0 million pixels; decoding it takes about 0.0 GB\n" in err
    with pytest.raises(InputError, match="too many pixels"):
        read_rgb(path)
    monkeypatch.setenv(limits.VARIABLE, "x")
    with pytest.raises(InputError, match="SRFAST_MAX_PIXELS: expected a whole number of at least 1, got 'x'"):
        read_rgb(path)
    monkeypatch.setenv(limits.VARIABLE, "4999")
    assert run("eval", "bicubic", "--data", tmp_path / "photos", "--scale", "2")[0] == 2
    assert run("eval", "bicubic", "--data", tmp_path / "photos", "--scale", "2", "--max-pixels=5000")[0] == 0
