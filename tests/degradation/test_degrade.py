"""``srfast degrade``: LR images, their table, and the sheet."""

import os
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.hashing import of_pixels
from srfast.data.images import read_rgb
from srfast.degradation import rows
from srfast.degradation.carrying_out import carry_out
from srfast.degradation.chance import key_of


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "hr"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(2)
    for name, shape in (("a.png", (61, 80)), ("sub/b.png", (50, 47)), ("c.png", (96, 64))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)).save(folder / name)
    return folder


def test_the_same_bytes_at_any_number_of_threads_and_of_images(images, tmp_path):
    done = srfast.degrade(images, tmp_path / "one", degradation="realesrgan", scale=2, seed=3, draws=2, threads=1)
    assert (done.images, done.written) == (3, 6)
    srfast.degrade(images, tmp_path / "seven", degradation="realesrgan", scale=2, seed=3, draws=2, threads=7)
    srfast.degrade(images / "sub" / "b.png", tmp_path / "alone", degradation="realesrgan", scale=2, seed=3, threads=2)
    names = sorted(p.relative_to(tmp_path / "one").as_posix() for p in (tmp_path / "one").rglob("*.png"))
    assert names == ["a-0.png", "a-1.png", "c-0.png", "c-1.png", "sub/b-0.png", "sub/b-1.png"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "seven" / name).read_bytes()
    assert (tmp_path / "alone" / "b.png").read_bytes() == (tmp_path / "one" / "sub" / "b-0.png").read_bytes()
    assert read_rgb(tmp_path / "one" / "a-0.png").shape == (30, 40, 3)


def test_the_table_makes_the_images_again(images, tmp_path):
    done = srfast.degrade(images, tmp_path / "lr", degradation="neosr", scale=2, seed=9)
    table = pq.read_table(done.table)
    assert table.schema.names == rows.SCHEMA.names
    for name in ("a.png", "sub/b.png"):
        rgb = read_rgb(images / name)
        steps = [row for row in table.to_pylist() if row["image"] == name]
        assert {row["pixels"] for row in steps} == {of_pixels(rgb)}
        h, w = (n // 2 * 2 for n in rgb.shape[:2])
        lr = carry_out(rgb[:h, :w], steps, key_of(9, of_pixels(rgb), "1", 0))
        assert np.array_equal(lr, read_rgb(tmp_path / "lr" / name))


def test_bicubic_is_the_default_and_imresize(images, tmp_path, run):
    assert run("degrade", images, "-o", tmp_path / "lr", "--scale", 3)[0] == 0
    expected = srfast.imresize(read_rgb(images / "c.png")[:, :63], 1 / 3)
    assert np.array_equal(read_rgb(tmp_path / "lr" / "c.png"), expected)


def test_a_sheet_shows_draws_in_words(images, tmp_path, run):
    page = tmp_path / "page.html"
    assert run("degrade", images, "--degradation", "realesrgan", "--show", page, "--scale", 2)[0] == 0
    text = page.read_text()
    assert text.count("<img") == 3 * 7
    assert all(word in text for word in ("JPEG", "noise", "sub/b.png"))
    assert run("degrade", images, "--show", page)[0] == 0  # its own page is replaced
    page.write_text("mine")
    assert run("degrade", images, "--show", page)[0] == 2


def test_wrong_input_is_one_line(images, tmp_path, run):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("x")
    Image.new("RGB", (9, 9)).save(images / "a.jpg")
    for argv, words in (
        ([images], "--output: expected a folder"),
        ([tmp_path / "none", "-o", "lr"], "no such file or folder"),
        ([images / "c.png", "-o", full], "exists; choose another output"),
        ([images, "-o", tmp_path / "lr"], "would have one name"),
        ([images / "c.png", "-o", tmp_path / "lr", "--degradation", "realesrgn"], "did you mean realesrgan?"),
        ([images / "c.png", "-o", tmp_path / "lr", "--scale", "9"], "--scale"),
        ([images / "c.png", "-o", tmp_path / "lr", "--show", "page.png"], "--show: expected a name ending in .html"),
        ([images / "c.png", "-o", tmp_path / "lr", "--seed", "-1"], "--seed"),
    ):
        code, _, error = run("degrade", *argv)
        assert (code, error.count("\n"), words in error) == (2, 1, True), error
    assert not (tmp_path / "lr").exists()
    assert not (tmp_path / "lr.parts").exists()


def test_an_image_that_cannot_be_read_leaves_no_output(images, tmp_path, refused):
    (images / "z.png").write_bytes(b"not an image")
    refused(r"z\.png", srfast.degrade, images, tmp_path / "lr", degradation="redux")
    assert not (tmp_path / "lr").exists()
    (images / "z.png").unlink()
    srfast.degrade(images, tmp_path / "lr", degradation="redux")
    assert not (tmp_path / "lr.parts").exists()


@pytest.mark.hostile
def test_the_same_bytes_after_a_kill_and_without_instructions(images, tmp_path):
    """The switches of OpenCV and NumPy change what these make of filters and sums; here they change nothing."""
    how = ["--degradation", "realesrgan", "--seed", "3", "--draws", "60"]
    command = [sys.executable, "-m", "srfast", "degrade", images, "-o", tmp_path / "lr", *how, "--threads", "2"]
    switches = {"OPENCV_IPP": "disabled", "OPENCV_CPU_DISABLE": "AVX2,FMA3", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as run:
        while not list((tmp_path / "lr.parts").glob("*.png")):
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    assert not (tmp_path / "lr").exists()
    subprocess.run(command, check=True, env={**os.environ, **switches}, capture_output=True)
    done = srfast.degrade(images, tmp_path / "again", degradation="realesrgan", seed=3, draws=60, threads=1)
    assert done.written == 180
    for path in (tmp_path / "again").rglob("*.p*"):
        assert (tmp_path / "lr" / path.relative_to(tmp_path / "again")).read_bytes() == path.read_bytes()
