"""Training on LR images that exist already, beside a folder of HR images."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import srfast
from srfast.data.lowres import LowRes
from srfast.errors import InputError
from srfast.training.sources import open_store
from srfast.training.store import Batches

SIZES = {"a.png": (40, 31), "sub/b c.png": (33, 50)}
"""Of the LR images; HR is three times that, and a pixel or two more at the right and the bottom."""


def blocks(seed: int, h: int, w: int, scale: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """LR noise and the HR image that repeats its pixels: only exactly aligned crops keep the relation."""
    lr = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    hr = lr.repeat(scale, 0).repeat(scale, 1)
    return lr, np.pad(hr, ((0, seed % 3), (0, 2 - seed % 3), (0, 0)), mode="edge")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    hr, lr = tmp_path / "HR ä", tmp_path / "LR"
    for i, (name, (h, w)) in enumerate(SIZES.items()):
        small, large = blocks(i, h, w)
        for folder, image, stem in ((hr, large, Path(name).stem), (lr, small, Path(name).stem + "x3")):
            path = (folder / name).with_name(stem + ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return hr, lr


@pytest.mark.parametrize("cache", [2 << 30, 10_000])
@pytest.mark.parametrize("quantise", [True, False])
def test_crops_of_a_batch_stay_aligned_however_they_are_turned(pairs, quantise, cache):
    """Images that are smaller than a crop need no LR image."""
    hr, lr = pairs
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(hr / "tiny.png")
    store, left_out = open_store(
        [hr], 3, color="rgb", patch=24, quantise=quantise, cache_bytes=cache, lr=LowRes.open(lr, "{}x3")
    )
    assert left_out == 1
    assert store.fits == (cache > 10_000)
    batches = Batches(store, batch=16, patch=24, seed=5)
    turned: set[int] = set()
    for step in range(6):
        low, high = (t.numpy() for t in batches[step])
        pixels = low if quantise else np.rint(low * 255)
        assert np.array_equal(pixels.repeat(3, 2).repeat(3, 3), high)
        draws = np.random.default_rng((5, 0, step))
        draws.random((16, 2))
        turned |= set(draws.integers(0, 8, 16).tolist())
    assert turned == set(range(8))


def test_a_core_set_takes_other_lr_images(pairs, tmp_path):
    hr, lr = pairs
    srfast.score(hr, scale=3, patch=24, scorer="bicubic").write(tmp_path / "s.parquet")
    made, _ = open_store([tmp_path / "s.parquet"], 3, color="rgb", patch=24)
    given, _ = open_store([tmp_path / "s.parquet"], 3, color="rgb", patch=24, lr=LowRes.open(lr, "{}x3"))
    low, high = given.crop(0, 0, 0, 24)
    assert np.array_equal(low.repeat(3, 1).repeat(3, 2), high)
    assert not np.array_equal(made.crop(0, 0, 0, 24)[0], low)


def test_what_does_not_fit_is_named(pairs):
    hr, lr = pairs
    with pytest.raises(InputError, match=r"rescale: expected LR images that are made"):
        open_store([hr], 3, color="y", patch=24, factors=(1.0, 0.9), lr=LowRes.open(lr, "{}x3"))
    with pytest.raises(InputError, match=r"LR/a\.png: no LR image of a\.png"):
        open_store([hr], 3, color="y", patch=24, lr=LowRes.open(lr))
    odd = lr / "sub" / "b cx3.png"
    Image.fromarray(np.zeros((33, 49, 3), np.uint8)).save(odd)
    expected = r"b cx3\.png: expected 50 x 33 pixels, 1/3 of .*b c\.png \(151 x 100\), got 49 x 33"
    with pytest.raises(InputError, match=expected):
        open_store([hr], 3, color="y", patch=24, lr=LowRes.open(lr, "{}x3"))
    shutil.rmtree(lr / "sub")
    with pytest.raises(InputError, match=r"no LR image of sub/b c\.png"):
        open_store([hr], 3, color="y", patch=24, lr=LowRes.open(lr, "{}x3"))


def test_the_command(pairs, tmp_path, srfast_command):
    """Trains, goes on where the LR images have moved, and differs from training on LR that is made."""
    hr, lr = pairs
    command = ["train", "fsrcnn", "--data", hr, "--scale", "3", "--steps", "2", "--batch", "2", "--lr-patch", "10"]
    command += ["--loss-border", "0", "--threads", "1", "-o", tmp_path / "run"]
    done = srfast_command(*command, "--lr-images", lr, "--lr-template", "{}x3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    moved = lr.rename(lr.with_name("moved"))
    resume = ["train", "--resume", "-o", tmp_path / "run", "--steps", "3"]
    failed = srfast_command(*resume, cwd=tmp_path)
    line = f"--lr-images: expected a folder of LR images, got {str(lr)!r}, which is not a folder"
    assert failed.stderr == f"srfast: error: {line}\n"
    more = srfast_command(*resume, "--lr-images", moved, cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    without = srfast_command(*command[:-1], tmp_path / "other", cwd=tmp_path)
    assert without.returncode == 0, without.stderr
    weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("run", "other")]
    assert weights[0] != weights[1]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--lr-images", "LR", "--lr-template", "x3"], "lr-template: expected one {}"),
        (["--lr-template", "{}x3"], "lr-template: needs --lr-images"),
        (["--lr-images", "none"], "lr-images: expected a folder"),
        (["--lr-images", "LR", "--lr-template", "{}x3", "--rescale", "0.9"], "rescale: expected LR images"),
        (["--lr", "LR"], "a folder of LR images is --lr-images"),
    ],
)
def test_bad_words(pairs, tmp_path, srfast_command, options, line):
    command = ["train", "fsrcnn", "--data", pairs[0], "--scale", "3", "--steps", "1", "-o", tmp_path / "run"]
    done = srfast_command(*command, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_core_set_whose_images_have_moved(pairs, tmp_path):
    hr, lr = pairs
    scores = srfast.score(hr, lr_images=lr, lr_template="{}x3", scale=3, patch=36, scorer="bicubic")
    srfast.select(scores, keep=0.5).write(tmp_path / "coreset.parquet")
    options = {"scale": 3, "batch": 2, "lr_patch": 12, "model_options": {"features": 8, "shrunk": 4, "mappings": 1}}

    def train(out: str, **more: Any) -> dict[str, torch.Tensor]:
        given: Any = {**options, **more}
        srfast.train("fsrcnn", tmp_path / "coreset.parquet", tmp_path / out, **{"epochs": 1, **given})
        return load_file(tmp_path / out / "model.safetensors")

    there = train("before", match_steps=True)
    shutil.move(hr, tmp_path / "new HR")
    shutil.move(lr, tmp_path / "new LR")
    with pytest.raises(InputError, match=r"no such folder of LR images; .*train --lr-images"):
        train("after")
    moved = {"root": tmp_path / "new HR", "lr_images": tmp_path / "new LR", "lr_template": "{}x3", "match_steps": True}
    here = train("after", **moved)
    assert all(torch.equal(here[name], value) for name, value in there.items())
    with pytest.raises(InputError, match=r"root: expected the folder of the core-set's images, got '/.*nowhere'"):
        train("again", root="nowhere")
    with pytest.raises(InputError, match="root: expected data to be a core-set"):
        srfast.train("fsrcnn", tmp_path / "new HR", tmp_path / "again", steps=1, root=tmp_path / "new HR")
