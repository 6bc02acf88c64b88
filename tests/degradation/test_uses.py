"""Degradations in exports, trainings and evaluations."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.hashing import of_pixels
from srfast.data.images import read_rgb
from srfast.degradation.plan import Degradation, Draws, written
from srfast.errors import RunError

SIZES = {"a.png": (97, 80), "b.png": (64, 99)}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "hr"
    folder.mkdir()
    for i, (name, (h, w)) in enumerate(SIZES.items()):
        y, x = np.mgrid[:h, :w]
        waves = [128 + 100 * np.sin(x / (5 + i) + c) * np.cos(y / 7) for c in range(3)]
        Image.fromarray(np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def coreset(images):
    table = srfast.score(images, scale=2, patch=32, stride=24, scorer="bicubic", shrink="1,1/2", progress=None)
    return srfast.select(table, keep=0.5)


def expected(images, name, draw, factor, preset, seed):
    rgb = read_rgb(images / name)
    hr = rgb if factor == 1 else srfast.imresize(rgb, factor)
    hr = hr[: hr.shape[0] // 2 * 2, : hr.shape[1] // 2 * 2]
    draws = Draws(Degradation.read(preset), seed)
    return draws.lr(hr, 2, draw=draw, pixels=of_pixels(rgb), size="1" if factor == 1 else "1/2")[0]


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset"])
def test_every_format_holds_every_draw_and_is_checked(coreset, images, tmp_path, to):
    how = {"to": "hf", "embed": True} if to == "hf-embedded" else {"to": to}
    done = srfast.export(coreset, tmp_path / "out", degradation="realesrgan", draws=3, seed=4, check=True, **how)
    assert done.patches == 3 * len(coreset)
    assert done.compared == done.patches
    table = pq.read_table(tmp_path / "out" / ((".") * (how["to"] == "hf") + "degradation.parquet"))
    assert {(r["image"], r["shrink"], r["draw"]) for r in table.to_pylist()} == {
        (image, "1" if size == 1 else "1/2", draw)
        for image, size in zip(coreset.table["image"].to_pylist(), coreset.table["shrink"].to_pylist(), strict=True)
        for draw in range(3)
    }


def test_the_patches_are_those_of_the_whole_degraded_image(coreset, images, tmp_path):
    srfast.export(coreset, tmp_path / "out", degradation="neosr", draws=2, seed=7)
    listed = pq.read_table(tmp_path / "out" / "patches.parquet").to_pylist()
    assert len(listed) == 2 * len(coreset)
    for row in listed:
        whole = expected(images, row["image"], row["draw"], row["shrink"], "neosr", 7)
        x, y, n = (row[k] // 2 for k in ("x", "y", "size"))
        assert np.array_equal(read_rgb(tmp_path / "out" / "LRx2" / f"{row['name']}.png"), whole[y : y + n, x : x + n])
    first, second = (tmp_path / "out" / "HR" / f"{listed[0]['name'][:-1]}{k}.png" for k in (0, 1))
    assert first.samefile(second)


def test_one_draw_keeps_the_names_and_check_finds_another_seed(coreset, tmp_path, refused):
    srfast.export(coreset, tmp_path / "plain")
    srfast.export(coreset, tmp_path / "made", degradation="realesrgan")
    names = [sorted(p.name for p in (tmp_path / d / "LRx2").iterdir()) for d in ("plain", "made")]
    assert names[0] == names[1]
    refused("degradation", srfast.export, coreset, tmp_path / "made", degradation="realesrgan", seed=1, resume=True)
    low = tmp_path / "made" / "LRx2" / names[1][0]
    pixels = read_rgb(low).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(low)
    with pytest.raises(RunError, match="LR patch differs"):
        srfast.export(coreset, tmp_path / "made", degradation="realesrgan", resume=True, check=True)


@pytest.mark.parametrize("how", [{"to": "list"}, {"lr": False}, {"draws": 2, "degradation": None}])
def test_what_cannot_go_together_is_refused(coreset, tmp_path, how, refused):
    refused(r"degradation|draws", srfast.export, coreset, tmp_path / "out", **{"degradation": "neosr", **how})
    assert not (tmp_path / "out").exists()


def test_a_pass_has_a_fresh_draw_of_the_whole_image(images):
    from srfast.training.sources import open_store
    from srfast.training.store import CROPS_STREAMED, Batches

    draws = Draws(Degradation.read("neosr"), 5)
    for cache in (2 << 30, 20_000):
        store, _ = open_store([images], 2, color="rgb", patch=32, draws=draws, cache_bytes=cache)
        batches = Batches(store, batch=2, patch=32, seed=5)
        seen = []
        for step in range(3 if store.fits else 40):
            crops = 2 if store.fits else 2 * CROPS_STREAMED
            passed = {(2 * step + place) // crops for place in range(2)}
            lr, hr = (t.numpy() for t in batches[step])
            for i in range(2):
                matches = [
                    (n, draw)
                    for n in SIZES
                    for draw in passed
                    if _within(expected(images, n, draw, 1, "neosr", 5), lr[i], read_rgb(images / n), hr[i])
                ]
                assert len(matches) == 1, (step, i, matches)
                seen.append(matches[0])
        if store.fits:  # two images: each step is a pass
            assert sorted(seen) == [(n, k) for n in sorted(SIZES) for k in range(3)]
        assert np.array_equal(batches[1][0], batches[1][0])


def _within(lr, small, hr, large):
    """Whether aligned crops of the two images are these, turned by one of the 8 flips and rotations."""
    from srfast.coreset.pairs import turn

    n = small.shape[1]
    for y in range(lr.shape[0] - n + 1):
        for x in range(lr.shape[1] - n + 1):
            crop = lr[y : y + n, x : x + n].transpose(2, 0, 1)
            if crop.sum() != small.sum(dtype=np.int64):
                continue
            big = hr[2 * y : 2 * (y + n), 2 * x : 2 * (x + n)].transpose(2, 0, 1)
            if any(np.array_equal(turn(crop, k), small) and np.array_equal(turn(big, k), large) for k in range(8)):
                return True
    return False


def test_a_training_resumes_to_the_same_bits(images, tmp_path, monkeypatch, refused):
    how = {"scale": 2, "steps": 12, "batch": 2, "lr_patch": 12, "degradation": "realesrgan", "save_every": 4}
    whole = srfast.train("fsrcnn", images, tmp_path / "whole", **how)
    with monkeypatch.context() as patch:
        left = iter(range(6))

        def crash(*_, **options):
            assert options["degradation"] == "realesrgan"
            if next(left) == 5:
                raise InterruptedError
            return srfast.evaluate("bicubic", images)

        patch.setattr("srfast.workflows.training.evaluate", crash)
        with pytest.raises(InterruptedError):
            srfast.train("fsrcnn", images, tmp_path / "parts", **how, eval_data=[images], eval_every=1)
    refused("degradation", srfast.train, output=tmp_path / "parts", resume=True, degradation="neosr")
    done = srfast.train(output=tmp_path / "parts", resume=True, eval_data=())
    assert done.weights.read_bytes() == whole.weights.read_bytes()


def test_a_changed_file_does_not_resume(images, tmp_path, refused):
    file = tmp_path / "mine.toml"
    text = written(Degradation.read("neosr").content())
    file.write_text(text)
    how = {"scale": 2, "batch": 2, "lr_patch": 12, "degradation": file}
    srfast.train("fsrcnn", images, tmp_path / "run", steps=2, **how)
    file.write_text("# another comment\n" + text)
    srfast.train(output=tmp_path / "run", resume=True, steps=3)
    file.write_text(text.replace("[40, 95]", "[41, 95]"))
    refused("degradation", srfast.train, output=tmp_path / "run", resume=True, steps=4)


def test_an_evaluation_takes_draw_0(images, tmp_path, refused):
    srfast.degrade(images, tmp_path / "lr", degradation="realesrgan", scale=2, seed=6)
    for protocol in ("classic", "rgb"):
        made = srfast.evaluate("bicubic", images, scale=2, degradation="realesrgan", seed=6, protocol=protocol)
        given = srfast.evaluate("bicubic", images, scale=2, lr_images=tmp_path / "lr", protocol=protocol)
        assert made.images == given.images
    assert made.to_dict()["degradation"]["seed"] == 6
    assert "degradation" not in given.to_dict()
    plain = srfast.evaluate("bicubic", images, scale=2, protocol="rgb")
    same = srfast.evaluate("bicubic", images, scale=2, protocol="rgb", degradation="bicubic")
    assert plain.images == same.images
    refused("degradation", srfast.evaluate, "bicubic", images, degradation="neosr", lr_images=tmp_path / "lr")
    refused("seed", srfast.evaluate, "bicubic", images, seed=1)


def test_a_gray_image_stays_gray(tmp_path):
    Image.radial_gradient("L").resize((64, 48)).save(tmp_path / "g.png")
    for protocol in ("classic", "rgb"):
        made = srfast.evaluate("bicubic", tmp_path / "g.png", scale=2, degradation="realesrgan", protocol=protocol)
        assert 5 < made.psnr < 40


@pytest.mark.filterwarnings("ignore:scale")
def test_lr_as_large_as_hr(coreset, images, tmp_path):
    done = srfast.export(coreset, tmp_path / "out", scale=1, degradation="realesrgan", draws=2, seed=3, check=True)
    assert done.compared == 2 * len(coreset)
    low = next((tmp_path / "out" / "LRx1").iterdir())
    assert read_rgb(low).shape == read_rgb(tmp_path / "out" / "HR" / low.name).shape == (32, 32, 3)
    how = {"scale": 1, "steps": 2, "batch": 2, "lr_patch": 24, "degradation": "realesrgan"}
    trained = srfast.train("fsrcnn", images, tmp_path / "run", **how)
    made = srfast.evaluate(trained.weights, images, scale=1, degradation="realesrgan", seed=2)
    assert {i.image for i in made.images} == set(SIZES)
    srfast.degrade(images, tmp_path / "lr", degradation="realesrgan", scale=1, seed=2)
    assert made.images == srfast.evaluate(trained.weights, images, scale=1, lr_images=tmp_path / "lr").images
