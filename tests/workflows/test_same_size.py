"""Scale 1: LR images of the size of HR, in scores, core-sets, exports, trainings and evaluations."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import srfast
from srfast import models
from srfast.errors import InputError
from srfast.ops import reference


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """HR images of odd sizes, and JPEG files of the same sizes."""
    hr, lr = (tmp_path_factory.mktemp(name) for name in ("HR", "LR"))
    for i, (name, h, w) in enumerate([("a", 97, 131), ("b", 120, 101)]):
        draw = np.random.default_rng(i)
        field = draw.normal(size=(h, w, 3)).cumsum(0).cumsum(1)
        image = np.uint8((field - field.min()) / np.ptp(field) * 200 + draw.uniform(0, 40, field.shape))
        Image.fromarray(image).save(hr / f"{name}.png")
        Image.fromarray(image).save(lr / f"{name}.jpg", quality=30)
    return hr, lr


def read(path):
    return np.array(Image.open(path).convert("RGB"))


def y_of(path):
    return reference.luma(torch.from_numpy(read(path))).double()


class Restorer(nn.Module):
    """Repairs nothing, but says what it was given."""

    color = "rgb"

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, lr):
        return lr


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_bicubic_is_the_lr_image_itself(pairs, mode):
    hr, lr = pairs
    size = {"patch": 33, "stride": 31, "mode": mode, "scale": 1, "lr_images": lr}
    table = srfast.score(hr, scorer="bicubic", **size)
    error = {n: (y_of(hr / f"{n}.png") - y_of(lr / f"{n}.jpg")).square().numpy() for n in "ab"}
    want = [error[r["image"][0]][r["y"] : r["y"] + 33, r["x"] : r["x"] + 33].mean() for r in table.table.to_pylist()]
    assert {r["x"] for r in table.table.to_pylist()} >= {0, 31, 62, 131 - 33}
    np.testing.assert_allclose(table["loss"], want, rtol=1e-6)
    np.testing.assert_allclose(table["bicubic"], want, rtol=1e-6)
    own = srfast.score(hr, scorer=Restorer, **size)
    if mode == "patch":  # Y of the colours, not rounded, is within 0.5 of the rounded one
        assert np.abs(np.sqrt(own["loss"]) - np.sqrt(want)).max() < 0.5
    assert own.meta["scorer"]["name"] == "Restorer"


def test_pairs_exports_and_evaluations_are_the_files(pairs, tmp_path):
    hr, lr = pairs
    table = srfast.score(hr, scale=1, lr_images=lr, scorer="bicubic", patch=32, stride=32, defects=True)
    coreset = srfast.select(table, keep=0.5)
    first = coreset.table.to_pylist()[0]
    cut = np.s_[first["y"] : first["y"] + 32, first["x"] : first["x"] + 32]
    low, high = srfast.CorePatches(coreset, cache=tmp_path / "packed")[0]
    small, large = read(lr / first["image"].replace(".png", ".jpg"))[cut], read(hr / first["image"])[cut]
    assert np.array_equal(low.permute(1, 2, 0), small)
    assert np.array_equal(high.permute(1, 2, 0), large)
    for to in ("basicsr", "lmdb"):
        done = srfast.export(coreset, tmp_path / to, to=to, check=True)
        assert done.scale == 1
        assert done.compared == len(coreset)
    names = [{p.name for p in (tmp_path / "basicsr" / side).iterdir()} for side in ("LRx1", "HR")]
    assert names[0] == names[1]
    assert "scale: 1" in (tmp_path / "basicsr" / "redux.yml").read_text()
    result = srfast.evaluate("bicubic", hr, scale=1, lr_images=lr, protocol="rgb")
    inner = np.s_[1:-1, 1:-1]
    want = srfast.psnr(read(lr / "a.jpg")[inner], read(hr / "a.png")[inner], shave=0, protocol="rgb")
    assert result.images[0].psnr == pytest.approx(want, abs=1e-9)
    classic = srfast.evaluate("bicubic", hr, scale=1, lr_images=lr, protocol="classic")
    a, b = (np.clip(y_of(p).numpy()[inner], 16, 235) for p in (lr / "a.jpg", hr / "a.png"))
    assert classic.images[0].psnr == pytest.approx(10 * np.log10(255**2 / np.square(a - b).mean()), abs=1e-9)


def test_a_training_restores(pairs, tmp_path):
    hr, lr = pairs
    how = {"scale": 1, "batch": 4, "lr_patch": 24, "threads": 1}
    done = srfast.train("srcnn", hr, tmp_path / "given", steps=60, lr_images=lr, eval_data=hr, eval_lr_images=lr, **how)
    plain = srfast.evaluate(str(tmp_path / "given"), hr, lr_images=lr)
    assert plain.scale == 1
    assert done.psnr == pytest.approx(plain.psnr, abs=1e-6)
    made = srfast.train("fsrcnn", hr, tmp_path / "made", steps=3, degradation="realesrgan", eval_data=hr, **how)
    assert made.psnr is not None
    table = srfast.score(hr, scale=1, lr_images=lr, scorer=tmp_path / "given", patch=32, stride=32)
    assert table.meta["scale"] == 1
    assert np.isfinite(table["loss"]).all()
    of_table = srfast.train("srcnn", table, tmp_path / "table", steps=2, threads=1)
    assert of_table.step == 2


@pytest.mark.parametrize("name", [n for n in models.names() if n not in ("rdn", "san", "han", "nlsn", "ignn")])
def test_networks_of_the_same_size(name, sizes):
    planes = 1 if models.describe(name).color == "y" else 3
    net = models.create(name, 1, **sizes(name))
    x = torch.rand(1, planes, 17, 20)
    assert net(x).shape == x.shape
    assert models.rgb(net)(torch.rand(1, 3, 17, 20)).shape == (1, 3, 17, 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda hr, lr, out: srfast.score(hr, scale=1, scorer="bicubic"), "scale: expected `lr_images` with 1"),
        (lambda hr, lr, out: srfast.score(hr, scale=1, lr_images=lr), "scorer: expected bicubic or a network of yours"),
        (lambda hr, lr, out: srfast.score_patches(np.zeros((1, 8, 8, 3), np.uint8), scale=1), "scale: expected 2, 3"),
        (lambda hr, lr, out: srfast.evaluate("bicubic", hr, scale=1), "scale: expected `lr_images` or `degradation`"),
        (lambda hr, lr, out: srfast.train("srcnn", hr, out, **SHORT), "scale: expected `lr_images` or `degradation`"),
        (lambda hr, lr, out: srfast.train("srcnn", hr, out, **SHORT, lr_images=lr, eval_data=hr),
         "scale: expected `eval_lr_images` with `eval_data`, or `degradation`, with 1"),
        (lambda hr, lr, out: models.create("srcnn", 1, pretrained=True), "scale: expected 2, 3 or 4, got 1"),
        (lambda hr, lr, out: srfast.export(plain(hr), out, scale=1), "scale: expected scores of `lr_images`"),
        (lambda hr, lr, out: srfast.CorePatches(plain(hr), scale=1), "scale: expected `lr_images` with 1"),
        (lambda hr, lr, out: srfast.influence(plain(hr, scale=1, lr_images=lr), hr), ".*a table of given LR images"),
    ],
)  # fmt: skip
def test_where_it_means_nothing(call, message, pairs, tmp_path, refused):
    refused(f"^{message}", call, *pairs, tmp_path / "out")


SHORT = {"steps": 1, "scale": 1, "lr_patch": 24}


def plain(hr, **how):
    return srfast.score(hr, **{"scale": 2, "scorer": "bicubic", "patch": 32, **how})


def test_lr_files_of_another_size(pairs, tmp_path):
    for name, side in (("a", (96, 130)), ("b", (101, 120))):
        Image.new("RGB", side).save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="expected an LR file of 131 x 97 at scale 1"):
        srfast.evaluate("bicubic", pairs[0], scale=1, lr_images=tmp_path)
