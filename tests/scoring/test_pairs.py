"""Scores of LR images that exist already, and the pairs that training and exports take from them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from scipy import ndimage

import srfast
from srfast.coreset.dataset import CorePatches
from srfast.errors import InputError
from srfast.scoring.backends import upscaling
from srfast.scoring.defect_columns import pair_columns
from srfast.scoring.network import load_network
from srfast.training.sources import open_store


def picture(seed: int, h: int, w: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    field = draw.normal(size=(h + 8, w + 8, 3)).cumsum(0).cumsum(1)
    field = (field - field.min((0, 1))) / np.ptp(field, axis=(0, 1)) * 200 + draw.normal(0, 12, field.shape)
    return np.clip(field[8:, 8:], 0, 255).astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """HR images of odd sizes, one in a folder, and LR images of another degradation, named after them."""
    hr, lr = tmp_path / "HR ä", tmp_path / "LR"
    for i, (name, h, w) in enumerate([("a.png", 131, 150), ("sub/b c.png", 97, 203)]):
        image = picture(i, h, w)
        (hr / name).parent.mkdir(parents=True, exist_ok=True)
        (lr / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(hr / name)
        small = Image.fromarray(image[: h // 2 * 2, : w // 2 * 2]).resize((w // 2, h // 2), Image.Resampling.NEAREST)
        small.save((lr / name).with_name(Path(name).stem + "x2.jpg"), quality=95)
    return hr, lr


def plain(hr: np.ndarray, lr: np.ndarray, weights: dict[str, torch.Tensor] | None) -> np.ndarray:
    """The error map in float64, as the definition says."""
    y = srfast.reference.luma(torch.from_numpy(hr))
    up = srfast.reference.resample(srfast.reference.luma(torch.from_numpy(lr)).double(), 2)
    if weights is not None:
        doubles = {k: v.double() for k, v in weights.items()}
        up = 255 * srfast.reference.srcnn(up[None, None] / 255, doubles)[0, 0]
    return (up - y.double()).square().numpy()


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def test_against_the_definition_in_float64(pairs):
    hr, lr = pairs
    weights = load_network("srcnn", 2).weights
    dense = srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48, stride=30, mode="dense")
    patch = srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48, stride=30)
    assert patch.meta["lr"] == str(lr)
    for image in ("a.png", "sub/b c.png"):
        big = read(hr / image)
        big = big[: len(big) // 2 * 2, : big.shape[1] // 2 * 2]
        small = read((lr / image).with_name(Path(image).stem + "x2.jpg"))
        loss, bicubic = plain(big, small, weights), plain(big, small, None)
        for table, whole in ((dense, True), (patch, False)):
            rows = table[table["image"] == image]
            for x, y, got, plainly in zip(rows["x"], rows["y"], rows["loss"], rows["bicubic"], strict=True):
                at = (slice(y, y + 48), slice(x, x + 48))
                half = (slice(y // 2, y // 2 + 24), slice(x // 2, x // 2 + 24))
                one = loss[at] if whole else plain(big[at], small[half], weights)
                two = bicubic[at] if whole else plain(big[at], small[half], None)
                # The tolerance of every fp32 backend.
                assert got == pytest.approx(one.mean(), rel=1e-4)
                assert plainly == pytest.approx(two.mean(), rel=1e-4)


def test_a_band_at_a_time_is_the_whole(pairs, monkeypatch):
    hr, lr = pairs
    ways = [{"mode": "dense"}, {"stride": 12}]
    options = {"lr_images": lr, "lr_template": "{}x2", "patch": 48}
    whole = [srfast.score(hr, **options, **way) for way in ways]
    monkeypatch.setattr(upscaling, "_PIXELS", 4000)
    for want, way in zip(whole, ways, strict=True):
        got = srfast.score(hr, **options, **way)
        # Convolutions of other sizes may sum in another order.
        assert np.allclose(got["loss"], want["loss"], rtol=1e-5)
        assert np.allclose(got["bicubic"], want["bicubic"], rtol=1e-6)


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_a_network_of_colours(pairs, mode):
    hr, lr = pairs

    class Nearest(torch.nn.Module):
        color = "rgb"

        def forward(self, x):
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    table = srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48, mode=mode, scorer=Nearest())
    row = table[table["image"] == "a.png"]
    x, y = int(row["x"][1]), int(row["y"][1])
    big, small = read(hr / "a.png"), read(lr / "ax2.jpg").astype(np.float64)
    sr = small.repeat(2, 0).repeat(2, 1)[y : y + 48, x : x + 48]
    sr_y = sr @ [65.481, 128.553, 24.966] / 255 + 16
    target = srfast.reference.luma(torch.from_numpy(big)).numpy()[y : y + 48, x : x + 48].astype(np.float64)
    assert row["loss"][1] == pytest.approx(((sr_y - target) ** 2).mean(), rel=1e-4)


def test_core_sets_train_and_export_on_the_same_pairs(pairs, tmp_path):
    hr, lr = pairs
    srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48, mode="dense").write(tmp_path / "s.parquet")
    coreset = srfast.select(tmp_path / "s.parquet", keep=0.5)
    coreset.write(tmp_path / "c.parquet")
    dataset = CorePatches(tmp_path / "c.parquet", 2)
    small = {n: read((lr / n).with_name(Path(n).stem + "x2.jpg")) for n in ("a.png", "sub/b c.png")}
    for i in range(len(dataset)):
        low, high = dataset[i]
        p = dataset.patches
        x, y = int(p.x[i]), int(p.y[i])
        assert np.array_equal(low.permute(1, 2, 0), small[p.image[i]][y // 2 : y // 2 + 24, x // 2 : x // 2 + 24])
        assert high.shape == (3, 48, 48)
    store, _ = open_store([tmp_path / "c.parquet"], 2, color="rgb", patch=48)
    first, _ = store.crop(0, 0, 0, 48)
    assert np.array_equal(first, dataset[0][0])
    made = srfast.score(hr, patch=48, mode="dense")
    elsewhere = CorePatches(made, 2, lr_images=lr, lr_template="{}x2")
    assert not torch.equal(elsewhere[0][0], CorePatches(made, 2)[0][0])
    from srfast.exporting.job import export

    export(tmp_path / "c.parquet", tmp_path / "out", to="folder")
    written = sorted((tmp_path / "out" / "LRx2").iterdir())
    assert len(written) == len(coreset)
    assert any(np.array_equal(read(path), dataset[0][0].permute(1, 2, 0)) for path in written)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr_images": "nowhere"}, r"lr_images: .*nowhere"),
        *(({"lr_template": template}, "lr_template: expected one") for template in ("x2", "{}{}", "a/{}")),
        ({"lr_template": "{}"}, r"a\.png: no LR image of a\.png"),
        ({"backend": "native"}, "lr_images: existing pairs are scored by torch"),
        ({"scale": 3}, r"ax2\.jpg: expected 50 x 43 pixels, 1/3 of .*a\.png \(150 x 131\), got 75 x 65"),
    ],
)
def test_what_is_refused(options, words, pairs):
    hr, lr = pairs
    with pytest.raises(InputError, match=words):
        srfast.score(hr, **{"lr_images": lr, "lr_template": "{}x2", "patch": 48, **options})


def test_missing_lr_images(pairs):
    hr, lr = pairs
    table = srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48)
    shutil.rmtree(lr / "sub")
    skipped = srfast.score(hr, lr_images=lr, lr_template="{}x2", patch=48, skip_bad=True)
    assert [s["image"] for s in skipped.meta["skipped"]] == ["sub/b c.png"]
    with pytest.raises(InputError, match=r"no LR image of sub/b c\.png"):
        CorePatches(table[table["image"] == "sub/b c.png"], 2)[0]


# ``shift`` and ``colour``: whether LR images lie on their HR images.


def moved(dy: float, dx: float, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph, and its LR image moved by LR pixels."""
    hr = skimage.data.coffee()[: 96 * 4, : 96 * 4]
    whole = ndimage.shift(hr.astype(np.float64), (dy * scale, dx * scale, 0), order=3, mode="reflect")
    return hr, srfast.imresize(np.clip(np.rint(whole), 0, 255).astype(np.uint8), 1 / scale)


STARTS = np.array([0, 96, 192, 288])


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (0.25, 0), (0.5, 0), (0, -0.75), (1.5, -1.5), (-3, 2)])
def test_how_far_it_was_moved(scale, dy, dx):
    columns = pair_columns(*moved(dy, dx, scale), STARTS, STARTS, 96, scale)["shift"]
    assert columns.dtype == np.float32
    # One step of Lucas and Kanade: what is a fraction of a pixel is met to a third of it.
    assert np.nanmedian(columns) == pytest.approx(np.hypot(dy, dx), abs=0.02 + 0.3 * max(abs(dy) % 1, abs(dx) % 1))


def test_a_flat_patch_has_no_shift_and_a_tint_is_told():
    hr = np.full((96, 192, 3), 100, np.uint8)
    lr = srfast.imresize(hr, 0.5)
    lr[..., 2] += 7
    columns = pair_columns(hr, lr, np.array([0, 96]), np.array([0]), 96, 2)
    assert np.isnan(columns["shift"]).all()
    assert np.allclose(columns["colour"], 7)


def test_through_score(tmp_path):
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    for name, shift in (("good.png", 0), ("bad.png", 1)):
        hr, lr = moved(shift, 0, 2)
        Image.fromarray(hr).save(tmp_path / "hr" / name)
        Image.fromarray(lr).save(tmp_path / "lr" / name)
    table = srfast.score(tmp_path / "hr", lr_images=tmp_path / "lr", defects=True, scorer="bicubic")
    assert table.columns[-2:] == ["shift", "colour"]
    kept = srfast.select(table, keep=1.0, clean=True)
    assert kept.meta["selection"]["rejected"]["shift"] == (table["image"] == "bad.png").sum()
