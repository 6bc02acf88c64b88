"""A core-set of existing pairs is exported with those LR images: every patch beside its own, under the same name."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError

SCALE, SIZE = 3, 48


@pytest.fixture
def pairs(tmp_path):
    """A core-set of three images, one in a folder, with LR images of noise; (image, x, y) -> pixels of LR and HR."""
    draw, hr, lr = np.random.default_rng(0), tmp_path / "HR", tmp_path / "LR"
    images = {}
    for name, h, w in (("a.png", 100, 151), ("b c.png", 97, 150), ("sub/a.png", 122, 98)):
        high, low = (draw.integers(0, 256, (n, m, 3), np.uint8) for n, m in ((h, w), (h // SCALE, w // SCALE)))
        for folder, image, stem in ((hr, high, Path(name).stem), (lr, low, Path(name).stem + "_lq")):
            path = (folder / name).with_name(f"{stem}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        images[name] = high, low
    scores = srfast.score(
        hr, lr_images=lr, lr_template="{}_lq", scale=SCALE, patch=SIZE, mode="dense", scorer="bicubic"
    )
    coreset = srfast.select(scores, keep=0.5)
    coreset.write(tmp_path / "coreset.parquet")
    expected = {}
    for name, x, y in zip(*(coreset[c] for c in ("image", "x", "y")), strict=True):
        high, low = images[name]
        x3, y3, small = x // SCALE, y // SCALE, SIZE // SCALE
        patch = high[y : y + SIZE, x : x + SIZE], low[y3 : y3 + small, x3 : x3 + small]
        expected[name, int(x), int(y)] = patch[1].tobytes(), patch[0].tobytes()
    return tmp_path / "coreset.parquet", expected


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_the_lr_that_was_scored_is_exported(to, pairs, tmp_path, pairs_of):
    coreset, expected = pairs
    done = srfast.export(coreset, tmp_path / "out", to=to, check=True)
    assert done.scale == SCALE
    assert done.compared == done.patches == len(expected) > 4
    written = pairs_of(tmp_path / "out", SCALE)
    assert sorted(written.values()) == sorted(expected.values())
    # NAME_x_y of the HR image, whatever the LR images are called.
    for (image, x, y), pair in expected.items():
        [name] = [n for n, one in written.items() if one == pair]
        assert Path(image).stem.replace(" ", "_") in name
        assert "lq" not in name
        assert all(str(n) in name for n in (x, y))


def test_lr_images_that_have_moved_are_named(pairs, tmp_path, pairs_of, refused):
    coreset, expected = pairs
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "LR", moved, copy_function=shutil.copyfile)  # other times of change, as after a copy
    shutil.rmtree(tmp_path / "LR")
    for how, message in (
        ({}, r"LR: no such folder of LR images; .*--lr-root"),
        ({"lr_root": "nowhere"}, r"lr_root: expected a folder of LR images, got 'nowhere'"),
        ({"lr": False, "lr_root": moved}, "lr_root: needs `lr` yes"),
    ):
        refused(message, srfast.export, coreset, tmp_path / "out", to="folder", **how)
    done = srfast.export(coreset, tmp_path / "out", to="folder", lr_root=moved, check=True)
    assert done.compared == len(expected)
    core = srfast.CorePatches(coreset, SCALE, lr_images=moved, lr_template="{}_lq")
    lows = {np.ascontiguousarray(low.permute(1, 2, 0).numpy()).tobytes() for low, _ in core}
    assert lows == {low for low, _ in expected.values()}
    assert sorted(pairs_of(tmp_path / "out", SCALE).values()) == sorted(expected.values())
    assert srfast.export(coreset, tmp_path / "alone", to="folder", lr=False, check=True).compared == len(expected)
    image = next(moved.rglob("*.png"))
    image.write_bytes(image.read_bytes() + b"0")
    refused("has changed since it was scored", srfast.export, coreset, tmp_path / "again", to="folder", lr_root=moved)
    made = srfast.select(srfast.score(tmp_path / "HR", scale=SCALE, patch=SIZE, scorer="bicubic"))
    with pytest.raises(InputError, match="lr_root: expected scores of given LR images"):
        srfast.export(made, tmp_path / "again", to="folder", lr_root=moved)


@pytest.mark.parametrize("change", ["folder", "template", "file"])
def test_other_lr_images_are_not_taken_for_those_of_the_export(change, pairs, tmp_path, refused):
    lr = tmp_path / "LR"

    def chosen(lr, template="{}_lq"):
        made = {"scale": SCALE, "patch": SIZE, "scorer": "bicubic"}
        return srfast.select(srfast.score(tmp_path / "HR", lr_images=lr, lr_template=template, **made), keep=1.0)

    srfast.export(chosen(lr), tmp_path / "out", to="hf")
    name = "lr_images"
    if change == "folder":
        shutil.copytree(lr, tmp_path / "other")
        now = chosen(tmp_path / "other")
    elif change == "template":
        for file in list(lr.rglob("*.png")):
            shutil.copy2(file, file.with_name(file.name.replace("_lq", "_q")))
        now = chosen(lr, "{}_q")
    else:
        file = lr / "a_lq.png"
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
        now, name = chosen(lr), "images"
    refused(f"{name}: .*out was begun with", srfast.export, now, tmp_path / "out", to="hf", resume=True)
    # Without LR images it is another export.
    srfast.export(now, tmp_path / "alone", to="hf", lr=False)
    assert srfast.export(now, tmp_path / "alone", to="hf", lr=False, resume=True, check=True).compared
