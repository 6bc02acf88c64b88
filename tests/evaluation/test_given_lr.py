"""LR images that are given to an evaluation, gray or RGB, beside HR images that are the other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError

data = pytest.importorskip("skimage.data", reason="needs the demo extra")


def saved(image: np.ndarray, folder: Path) -> Path:
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
