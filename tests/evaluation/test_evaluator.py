"""``srfast.evaluate`` and ``srfast eval``: the published tables, the two protocols, tiling, files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import srfast
from srfast import models
from srfast.errors import InputError
from srfast.models.tiling import Descriptor, super_resolve
from srfast.training.checkpoint import save_weights

data = pytest.importorskip("skimage.data", reason="needs the demo extra")

# Every published row of bicubic: what the classic protocol prints, to the last digit.
PUBLISHED = {
    "Set5": (("33.66", "0.9299"), ("30.39", "0.8682"), ("28.42", "0.8104")),
    "Set14": (("30.24", "0.8688"), ("27.55", "0.7742"), ("26.00", "0.7027")),
    "BSD100": (("29.56", "0.8431"), ("27.21", "0.7385"), ("25.96", "0.6675")),
    "Urban100": (("26.88", "0.8403"), ("24.46", "0.7349"), ("23.14", "0.6577")),
}
SLOW = "Urban100"  # 16 s of CPU time


@pytest.fixture
def photographs(tmp_path):
    """A colour image and a gray one, sizes that no scale divides."""
    folder = tmp_path / "hr"
    folder.mkdir()
    Image.fromarray(data.astronaut()[100:185, 150:247]).save(folder / "astronaut.png")
    Image.fromarray(data.camera()[100:191, 150:253]).save(folder / "camera.png")
    return folder


class Nearest(nn.Module):
    """Up-samples by repetition."""

    def __init__(self, color, scale=2):
        super().__init__()
        self.color = color
        self.scale = scale

    def forward(self, lr):
        return lr.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == SLOW else n for n in PUBLISHED])
def test_bicubic_prints_the_published_values(name, scale, run, data_folder):
    code, out, _ = run("eval", "bicubic", "--data", data_folder(name), "--scale", scale)
    assert code == 0
    mean = next(line for line in out.splitlines() if "mean" in line)
    psnr, ssim = (w for w in mean.replace("│", " ").split() if w != "mean")
    published = PUBLISHED[name][scale - 2]
    assert psnr == published[0]
    # Of Urban100 at x3 the last digit of SSIM is one less than in the papers' tables.
    assert abs(float(ssim) - float(published[1])) < (1.5e-4 if (name, scale) == ("Urban100", 3) else 5e-5)


@pytest.mark.parametrize(
    ("scale", "psnr", "ssim"), [(2, 30.3246, 0.86985), (3, 27.6311, 0.77588), (4, 26.0884, 0.70480)]
)
def test_bicubic_under_rgb(scale, psnr, ssim, data_folder):
    # Computed from MATLAB's formulas apart from this package, on Set14 with its gray image as RGB.
    result = srfast.evaluate("bicubic", data_folder("Set14"), scale, "rgb")
    assert result.psnr == pytest.approx(psnr, abs=6e-5)
    assert result.ssim == pytest.approx(ssim, abs=6e-6)


@pytest.mark.parametrize(("scale", "least"), [(2, 36.34), (3, 32.39), (4, 30.09)])
def test_shipped_srcnn_reaches_the_published_psnr(scale, least, data_folder):
    result = srfast.evaluate("srcnn", data_folder("Set5"), scale)
    assert (result.protocol, result.scale, len(result.images)) == ("classic", scale, 5)
    assert result.psnr >= least


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matlabs_lr_files_score_as_ours(scale, data_folder):
    # Bit-exact LR: a paired evaluation and one that makes its LR under rgb are the same.
    root = data_folder("matlab/symmetric/Set5")
    made = srfast.evaluate("bicubic", root / "HR", scale, "rgb")
    paired = srfast.evaluate("bicubic", root / "HR", scale, "rgb", lr_images=root / f"x{scale}")
    assert [i.image for i in made.images] == [i.image for i in paired.images]
    assert made.images == paired.images


def test_classic_step_by_step(photographs):
    result = srfast.evaluate(Nearest("y"), photographs, 2, "classic")
    camera = np.array(Image.open(photographs / "camera.png"))[:90, :102]
    low = srfast.imresize(camera / 255, 0.5)
    up = np.clip(np.floor(255 * low.astype(np.float32).repeat(2, 0).repeat(2, 1) + 0.5), 0, 255).astype(np.uint8)
    # The gray values are Y themselves.
    assert result.images[1].image == "camera.png"
    assert result.images[1].psnr == pytest.approx(srfast.psnr(up, camera, shave=2, protocol="classic"), abs=1e-9)
    assert result.psnr == np.mean([i.psnr for i in result.images])


def test_rgb_step_by_step(photographs):
    result = srfast.evaluate(Nearest("rgb", 3), photographs, 3)
    astronaut = np.array(Image.open(photographs / "astronaut.png"))[:84, :96]
    up = srfast.imresize(astronaut, 1 / 3).repeat(3, 0).repeat(3, 1)
    assert result.images[0].psnr == srfast.psnr(up, astronaut, shave=3, protocol="rgb")
    assert result.images[0].ssim == srfast.ssim(up, astronaut, shave=3, protocol="rgb")


@pytest.mark.parametrize(("color", "own", "other"), [("y", "classic", "rgb"), ("rgb", "rgb", "classic")])
def test_a_model_of_either_colour_space_under_either_protocol(photographs, color, own, other):
    """Repetition works plane by plane: both colour spaces agree but for the chroma's bicubic and rounding."""
    assert srfast.evaluate(Nearest(color), photographs, 2).protocol == own
    result = srfast.evaluate(Nearest(color), photographs, 2, other)
    assert result.protocol == other
    theirs = srfast.evaluate(Nearest("rgb" if color == "y" else "y"), photographs, 2, other)
    assert result.psnr == pytest.approx(theirs.psnr, abs=0.1)


def test_json(photographs, tmp_path, run):
    line = ("eval", "bicubic", "--data", photographs, "--scale", "2", "--protocol", "rgb", "--json")
    code, out, _ = run(*line, "-")
    got = json.loads(out)
    assert {"psnr", "ssim", "protocol", "scale", "images"} <= got.keys()
    assert (code, got["protocol"], got["scale"]) == (0, "rgb", 2)
    assert [i["image"] for i in got["images"]] == ["astronaut.png", "camera.png"]
    assert got["psnr"] == pytest.approx(np.mean([i["psnr"] for i in got["images"]]))
    code, out, _ = run(*line, tmp_path / "out.json")
    assert (code, "mean" in out) == (0, True)
    assert got == json.loads((tmp_path / "out.json").read_text())
    # A perfect reconstruction is null.
    Image.new("RGB", (40, 40), (90, 120, 30)).save(tmp_path / "flat.png")
    got = json.loads(run("eval", "bicubic", "--data", tmp_path / "flat.png", "--json", "-")[1])
    assert (got["psnr"], got["ssim"]) == (None, pytest.approx(1))


def test_large_images_are_tiled_by_themselves():
    sizes = []

    class Watched(Nearest):
        receptive = 3

        def forward(self, lr):
            sizes.append(lr.shape[-2:])
            return super().forward(lr)

    lr = torch.rand(1, 1, 400, 420)
    assert torch.equal(super_resolve(Descriptor.of(Watched("y"), 2), lr), Nearest("y")(lr))
    assert len(sizes) == 9
    assert max(max(s) for s in sizes) <= 192 + 2 * 3
    sizes.clear()
    Watched.receptive = None
    super_resolve(Descriptor.of(Watched("y"), 2), lr)
    assert sizes == [(400, 420)]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "absent.pth"}, "absent.pth"),
        ({"model": 3}, "model: expected a name, .*, got 3"),
        ({"model": Nearest("y", 3)}, "output"),
        ({"scale": 5}, "scale"),
        ({"scale": True}, "scale"),
        ({"protocol": "y"}, "protocol"),
        ({"data": "no/such/folder"}, "no/such/folder"),
        ({"data": 3}, "images: expected paths"),
        ({"data": [".", None]}, "images: expected paths"),
        ({"data": None}, "images: expected paths"),
        ({"window": "box"}, "window"),
        ({"tile": -1, "model": Nearest("y")}, "tile"),
    ],
)
def test_bad_arguments(photographs, arguments, word, refused):
    refused(word, srfast.evaluate, **{"model": "bicubic", "data": photographs, "scale": 2, **arguments})


def test_bad_files(photographs, tmp_path, refused):
    low = tmp_path / "lr"
    low.mkdir()
    Image.new("RGB", (48, 42)).save(low / "astronautx2.png")
    refused(r"no LR image of camera\.png", srfast.evaluate, "bicubic", photographs, 2, lr_images=low)
    Image.new("L", (20, 20)).save(low / "camera_LR.png")
    refused(r"camera\.png.*51 x 45.*20 x 20", srfast.evaluate, "bicubic", photographs, 2, lr_images=low)
    (photographs / "broken.png").write_bytes(b"not an image")
    Image.new("RGB", (12, 12)).save(low / "small.png")
    for name, folder in (("broken", photographs), ("small", low / "small.png")):
        refused(rf"{name}\.png", srfast.evaluate, "bicubic", folder, 2)


def test_lr_images_are_paired_by_folder_and_name(photographs, tmp_path, refused):
    high, low = tmp_path / "two folders", tmp_path / "low"
    for folder, crop in (("a", (0, 0, 64, 64)), ("b", (20, 30, 84, 94))):
        (high / folder).mkdir(parents=True)
        (low / folder).mkdir(parents=True)
        with Image.open(sorted(photographs.glob("*.png"))[0]) as image:
            hr = np.asarray(image.convert("RGB").crop(crop))
        Image.fromarray(hr).save(high / folder / "0001.png")
        Image.fromarray(srfast.imresize(hr, 0.5)).save(low / folder / "0001x2.png")
    made = srfast.evaluate("bicubic", high, 2, "rgb")
    assert srfast.evaluate("bicubic", high, 2, "rgb", lr_images=low).images == made.images
    assert srfast.evaluate("bicubic", high, 2, "rgb", lr_images=low, lr_template="{}x2").images == made.images
    (low / "0001.png").write_bytes((low / "a" / "0001x2.png").read_bytes())
    (low / "b" / "0001x2.png").unlink()
    refused(r"no LR image of b/0001\.png", srfast.evaluate, "bicubic", high, 2, "rgb", lr_images=low)
    for name in ("0001x3.png", "0001_LR.png"):
        (low / "b" / name).write_bytes((low / "0001.png").read_bytes())
    with pytest.raises(InputError, match=r"0001_LR\.png and 0001x3\.png may both be the LR image of b/0001\.png"):
        srfast.evaluate("bicubic", high, 2, "rgb", lr_images=low)
    (low / "b" / "0001x3.png").unlink()
    (high / "b" / "0001_HR.png").write_bytes((high / "b" / "0001.png").read_bytes())
    with pytest.raises(InputError, match=r"is the LR image of b/0001\.png and of b/0001_HR\.png"):
        srfast.evaluate("bicubic", high, 2, "rgb", lr_images=low)


def test_the_scale_is_that_of_the_model(photographs, tmp_path, refused):
    model = srfast.models.create("fsrcnn", 3)
    about = {"model": "fsrcnn", "scale": 3}
    (tmp_path / "run").mkdir()
    save_weights(tmp_path / "run" / "model.safetensors", model.state_dict(), about)
    for source in (tmp_path / "run", tmp_path / "run" / "model.safetensors", model):
        assert srfast.evaluate(source, photographs).scale == 3
    assert srfast.evaluate("bicubic", photographs).scale == 2
    refused("x3 fsrcnn", srfast.evaluate, tmp_path / "run", photographs, 2)


def test_a_name_that_is_a_network_and_a_run(photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "srcnn").mkdir()
    assert srfast.evaluate("srcnn", photographs).psnr > 25
    about = {"model": "fsrcnn", "scale": 3}
    save_weights(Path("srcnn/model.safetensors"), models.create("fsrcnn", 3).state_dict(), about)
    with pytest.raises(InputError, match=r"^model: .*, got 'srcnn', which is both; write \./srcnn for the folder$"):
        srfast.evaluate("srcnn", photographs)
    for run in ("./srcnn", Path("srcnn")):
        assert srfast.evaluate(run, photographs).scale == 3


def test_every_part_of_a_network_trains_or_not_as_before(photographs):
    frozen = nn.BatchNorm2d(1)
    model = nn.Sequential(frozen, nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2)).train()
    frozen.eval()
    before = [part.training for part in model.modules()]
    srfast.evaluate(model, photographs)
    assert [part.training for part in model.modules()] == before == [True, False, True, True]


def saved(image, folder):
    folder.mkdir(exist_ok=True)
    Image.fromarray(image).save(folder / "a.png")
    return folder


@pytest.mark.parametrize("model", ["bicubic", "srcnn"])
def test_under_classic_lr_is_gray_or_rgb_as_its_hr_is(model, tmp_path):
    gray = data.camera()[100:190, 150:252]
    rgb = gray[..., None].repeat(3, 2)
    low = srfast.imresize(gray, 0.5)
    lows = [saved(low, tmp_path / "lr gray"), saved(low[..., None].repeat(3, 2), tmp_path / "lr rgb")]
    for hr in (saved(gray, tmp_path / "gray"), saved(rgb, tmp_path / "rgb")):
        one, other = (srfast.evaluate(model, hr, scale=2, protocol="classic", lr_images=lr).images for lr in lows)
        assert one == other
        made = srfast.evaluate(model, hr, scale=2, protocol="classic").psnr
        assert one[0].psnr == pytest.approx(made, abs=0.2)  # LR in 8 bits or not


def test_a_gray_image_has_no_lr_with_colours(tmp_path):
    hr = saved(data.camera()[100:190, 150:252], tmp_path / "hr")
    lr = saved(data.astronaut()[100:145, 150:201], tmp_path / "lr")
    with pytest.raises(InputError, match=r"lr/a\.png: expected a gray LR image, as its HR image is gray, got one with"):
        srfast.evaluate("bicubic", hr, scale=2, protocol="classic", lr_images=lr)
    assert srfast.evaluate("bicubic", hr, scale=2, protocol="rgb", lr_images=lr).psnr > 0
