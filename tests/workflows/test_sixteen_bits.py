"""16 bits a channel, and gray as one channel: reading, exports, trainings and evaluations."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import srfast
from srfast.data.shrink import WIDENED, read_deep
from srfast.errors import InputError

cv2 = pytest.importorskip("cv2")


def picture(seed, h=64, w=80, channels=3):
    draw = np.random.default_rng(seed)
    field = draw.normal(size=(h, w, channels)).cumsum(0).cumsum(1)
    return np.uint16((field - field.min()) / np.ptp(field) * 60000 + draw.uniform(0, 5000, field.shape))


def write(path, image, *options):
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image, list(options))
    return path


def read(path):
    """As OpenCV reads a file unchanged, [H, W] or [H, W, 3] RGB."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


@pytest.mark.parametrize(
    "name", ["a.png", "a.tif", "plain.tif", "gray.png", "gray.tif", "alpha.png", "eight.png", "eight.jpg"]
)
def test_files_are_read_as_they_are(tmp_path, name):
    image = picture(0, 13, 17)
    if name.startswith("gray"):
        image = image[..., 0]
    if name.startswith("eight"):
        image = (image >> 8).astype(np.uint8)
    options = {"plain.tif": (cv2.IMWRITE_TIFF_COMPRESSION, 1)}.get(name, ())
    stored = np.dstack([image, image[..., 0]]) if name.startswith("alpha") else image
    path = tmp_path / name
    if name.startswith("alpha"):
        assert cv2.imwrite(str(path), stored[..., [2, 1, 0, 3]])
    else:
        write(path, image, *options)
    want = read(path).astype(np.uint16) * WIDENED if name.startswith("eight") else image
    got = read_deep(path, colours=False)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, want)
    assert read_deep(path).shape == (13, 17, 3)


def test_orientation_is_applied_and_others_are_refused(tmp_path, refused):
    image = picture(1, 12, 9)
    data = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    plain = write(tmp_path / "plain.png", image).read_bytes()
    Image.new("RGB", (1, 1)).save(data, "PNG", exif=exif.tobytes())
    at = data.getvalue().index(b"eXIf") - 4
    length = int.from_bytes(data.getvalue()[at : at + 4], "big") + 12
    (tmp_path / "turned.png").write_bytes(plain[:33] + data.getvalue()[at : at + length] + plain[33:])
    np.testing.assert_array_equal(read_deep(tmp_path / "turned.png"), np.rot90(image, -1))
    write(tmp_path / "deep.ppm", image)
    refused(r"deep\.ppm: expected a PNG or TIFF file of more than 8 bits, got PPM", read_deep, tmp_path / "deep.ppm")
    (tmp_path / "cut.png").write_bytes(plain[: len(plain) // 2])
    refused(r"cut\.png: ", read_deep, tmp_path / "cut.png")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(2):
        write(folder / f"{i}.png", picture(i))
    return folder


@pytest.mark.parametrize("to", ["basicsr", "lmdb"])
def test_an_export_holds_all_bits(images, tmp_path, to):
    table = srfast.score(images, scorer="bicubic", patch=32)
    out = tmp_path / "out"
    done = srfast.export(table, out, to=to, depth=16, check=True)
    assert done.compared == len(table)
    if to == "lmdb":
        return
    name = sorted(p.name for p in (out / "HR").iterdir())[0]
    row = table.table.to_pylist()[0]
    hr = read_deep(images / row["image"])
    cut = np.s_[row["y"] : row["y"] + 32, row["x"] : row["x"] + 32]
    half = np.s_[row["y"] // 2 : row["y"] // 2 + 16, row["x"] // 2 : row["x"] // 2 + 16]
    np.testing.assert_array_equal(read(out / "HR" / name), hr[cut])
    np.testing.assert_array_equal(read(out / "LRx2" / name), srfast.imresize(hr, 0.5)[half])
    assert (read(out / "HR" / name) & 255).any()
    eight = srfast.export(table, tmp_path / "eight", to=to)
    assert read(eight.path / "HR" / name).dtype == np.uint8


@pytest.mark.parametrize("depth", [8, 16])
def test_gray_stays_one_channel_where_it_is_wanted(tmp_path, images, depth):
    folder = tmp_path / "gray"
    folder.mkdir()
    write(folder / "a.png", picture(3)[..., 0])
    table = srfast.score(folder, scorer="bicubic", patch=32)
    done = srfast.export(table, tmp_path / "out", to="basicsr", channels=1, depth=depth, check=True)
    files = [*(done.path / "HR").iterdir(), *(done.path / "LRx2").iterdir()]
    assert {(read(f).ndim, read(f).dtype.itemsize) for f in files} == {(2, depth // 8)}
    assert "(32,32,1)" in (done.path / "meta_info.txt").read_text()
    with pytest.raises(InputError, match=r"0\.png: expected a gray image with `channels` 1, got an HR with colours"):
        srfast.export(srfast.score(images, scorer="bicubic", patch=32), tmp_path / "no", channels=1)


def test_evaluations_keep_all_bits(images, tmp_path):
    """Bicubic in exact 16 bits against the float64 definition; at 8 bits the value differs."""
    result = srfast.evaluate("bicubic", images, scale=2, protocol="rgb", depth=16)
    hr = read_deep(images / "0.png")
    sr = srfast.imresize(srfast.imresize(hr, 0.5), 2.0)
    weights = np.array([65.481, 128.553, 24.966]) / 65535
    error = ((sr.astype(np.float64) - hr) @ weights)[2:-2, 2:-2]
    assert result.images[0].psnr == pytest.approx(10 * np.log10(255**2 / np.square(error).mean()), abs=1e-9)
    assert result.to_dict()["depth"] == 16
    eight = srfast.evaluate("bicubic", images, scale=2, protocol="rgb")
    assert eight.images[0].psnr != result.images[0].psnr
    assert "depth" not in eight.to_dict()
    own = srfast.evaluate("srcnn", images, scale=2, protocol="rgb", depth=16)
    assert own.psnr > 20


def test_a_training_reads_all_bits(images, tmp_path):
    from srfast.training.sources import open_store
    from srfast.training.store import Batches

    store, _ = open_store([images], 2, color="rgb", patch=16, depth=16)
    lr, hr = Batches(store, batch=4, patch=16, seed=0)[0]
    assert lr.numpy().dtype == hr.numpy().dtype == np.uint16
    assert (hr.numpy() & 255).any()
    how = {"scale": 2, "batch": 2, "lr_patch": 12, "threads": 1, "eval_data": images, "steps": 4}
    a, b = (srfast.train("fsrcnn", images, tmp_path / str(depth), depth=depth, **how) for depth in (8, 16))
    assert a.loss != b.loss
    assert b.loss == pytest.approx(a.loss, rel=0.05)
    assert b.psnr == pytest.approx(srfast.evaluate(b.weights, images, protocol="rgb", depth=16).psnr)


def test_pairs_have_all_bits(images, tmp_path, monkeypatch):
    monkeypatch.setenv("SRFAST_CACHE", str(tmp_path / "cache"))
    table = srfast.score(images, scorer="bicubic", patch=32, stride=32)
    deep, plain = (srfast.CorePatches(table, 2, depth=16, cache=cache) for cache in (None, False))
    loaders = (DataLoader(pairs, 4, num_workers=workers) for pairs in (deep, plain) for workers in (0, 1))
    first, *others = ([x.numpy() for batch in loader for x in batch] for loader in loaders)
    for other in others:
        assert all(map(np.array_equal, first, other))
    assert len(list((tmp_path / "cache").iterdir())) == 1
    row = table[0]
    whole = read_deep(images / row["image"])
    x, y = row["x"], row["y"]
    small = srfast.imresize(whole, 0.5)[y // 2 : y // 2 + 16, x // 2 : x // 2 + 16]
    for got, want in zip(deep[0], (small, whole[y : y + 32, x : x + 32]), strict=True):
        assert got.dtype == torch.uint16
        np.testing.assert_array_equal(got.numpy().transpose(1, 2, 0), want)
    eight = srfast.CorePatches(table, 2).prepare(False)
    assert eight[0][1].dtype == torch.uint8
    assert len(list((tmp_path / "cache").iterdir())) == 2
    turned = srfast.CorePatches(table, 2, depth=16, crop=16, flip=True)
    assert [tuple(x.shape) for x in next(iter(DataLoader(turned, 5)))] == [(5, 3, 8, 8), (5, 3, 16, 16)]


def test_what_does_not_go_together(images, tmp_path):
    table = srfast.score(images, scorer="bicubic", patch=32)
    refused = [
        ({"depth": 12}, "depth: expected 8 or 16, got 12"),
        ({"depth": 16, "format": "webp"}, "depth: expected 8 with `format` webp, got 16"),
        ({"channels": 1, "to": "list"}, "channels: expected 3 with `to` list, got 1"),
        ({"depth": 16, "degradation": "realesrgan"}, "depth: expected 8 with `degradation`"),
    ]
    for options, message in refused:
        with pytest.raises(InputError, match=f"^{message}"):
            srfast.export(table, tmp_path / "out", **options)
    with pytest.raises(InputError, match=r"^depth: expected 8 with `protocol` classic, which rounds Y to 8 bits"):
        srfast.evaluate("bicubic", images, scale=2, depth=16)
    with pytest.raises(TypeError, match="expected the dtype of hr, got uint16 and uint8"):
        srfast.psnr(np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.uint8), shave=0)
