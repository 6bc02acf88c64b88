"""PSNR and SSIM beside scikit-image."""

import math

import numpy as np
import pytest
import torch

import srfast
from srfast.errors import InputError
from srfast.ops import reference
from srfast.ops.color import to_y

data = pytest.importorskip("skimage.data", reason="needs the demo extra")
metrics = pytest.importorskip("skimage.metrics", reason="needs the demo extra")


@pytest.fixture(scope="module", params=["astronaut", "coffee", "chelsea"])
def pair(request):
    """A photograph, and itself degraded: bicubic down and up."""
    hr = getattr(data, request.param)()[:240, :300]
    return srfast.imresize(srfast.imresize(hr, 1 / 3), 3), np.ascontiguousarray(hr)


def luma(rgb):
    return 16 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def rounded(y):
    return np.floor(y + 0.5)


@pytest.mark.parametrize("protocol", ["rgb", "classic"])
@pytest.mark.parametrize("shave", [0, 3])
def test_psnr_is_scikit_images_on_luma(pair, protocol, shave):
    sr, hr = (luma(image[shave : 240 - shave, shave : 300 - shave]) for image in pair)
    if protocol == "classic":
        sr, hr = rounded(sr), rounded(hr)
    expected = metrics.peak_signal_noise_ratio(hr, sr, data_range=255)
    assert srfast.psnr(*pair, shave=shave, protocol=protocol) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("protocol", "window"), [("rgb", "wang"), ("classic", "wang"), ("rgb", "skimage")])
def test_ssim_is_scikit_images(pair, protocol, window):
    sr, hr = (luma(image[2:-2, 2:-2]) for image in pair)
    if protocol == "classic":
        sr, hr = rounded(sr), rounded(hr)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if window == "wang" else {}
    expected = metrics.structural_similarity(hr, sr, data_range=255, **wang)
    # float64 sums in another order
    assert srfast.ssim(*pair, shave=2, protocol=protocol, window=window) == pytest.approx(expected, abs=1e-9)


def test_classic_luma_is_the_packages():
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(to_y(rgb, "classic"), reference.luma(torch.from_numpy(rgb)).numpy())


def test_two_dimensional_arrays_are_luma(pair):
    sr, hr = (rounded(luma(image)).astype(np.uint8) for image in pair)
    for protocol in ("rgb", "classic"):
        assert srfast.psnr(sr, hr, shave=4, protocol=protocol) == srfast.psnr(*pair, shave=4, protocol="classic")
        assert srfast.ssim(sr, hr, shave=4, protocol=protocol) == srfast.ssim(*pair, shave=4, protocol="classic")


def test_equal_images_and_borders(pair):
    hr = pair[1]
    marked = hr.copy()
    marked[:2] = marked[-2:] = 255 - marked[:2]
    marked[:, :2] = marked[:, -2:] = 0
    assert srfast.psnr(hr, hr, shave=0) == math.inf
    assert srfast.ssim(hr, hr, shave=0) == pytest.approx(1, abs=1e-12)
    assert srfast.psnr(marked, hr, shave=2) == math.inf
    assert srfast.psnr(marked, hr, shave=1) < 40


IMAGE, BATCH = np.zeros((16, 16, 3), np.uint8), torch.zeros(2, 3, 16, 16)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"protocol": "y"}, InputError, "protocol"),
        ({"shave": -1}, InputError, "shave"),
        ({"shave": 8}, InputError, "shave"),
        ({"shave": 1.5}, InputError, "shave"),
        ({"sr": np.zeros((16, 17, 3), np.uint8)}, InputError, "shape"),
        ({"sr": np.zeros((16, 16, 4), np.uint8)}, InputError, "shape"),
        ({"hr": np.zeros((16,), np.uint8)}, InputError, "shape"),
        ({"sr": IMAGE.astype(np.float32)}, TypeError, "uint8"),
        ({"sr": IMAGE.tolist()}, TypeError, "uint8"),
        ({"sr": BATCH[0], "hr": BATCH}, InputError, "shape"),
        ({"sr": BATCH[:, :2], "hr": BATCH}, InputError, "shape"),
        ({"sr": BATCH[:1], "hr": BATCH}, InputError, "shape of hr"),
        ({"sr": BATCH * math.nan, "hr": BATCH}, InputError, "finite"),
        ({"sr": BATCH.long(), "hr": BATCH}, TypeError, "uint8"),
        ({"sr": BATCH.numpy(), "hr": BATCH}, TypeError, "type"),
    ],
)
def test_bad_arguments(change, error, word):
    for metric in (srfast.psnr, srfast.ssim):
        with pytest.raises(error, match=word):
            metric(**{"sr": IMAGE, "hr": IMAGE, "shave": 0, **change})


@pytest.mark.parametrize(("change", "word"), [({"window": "box"}, "window"), ({"shave": 3}, "11 x 11")])
def test_bad_windows(change, word, refused):
    refused(word, srfast.ssim, IMAGE, IMAGE, **{"shave": 0, **change})


def test_batches_give_one_value_an_image(pair):
    sr, hr = pair
    for planes in (
        (sr, hr),
        (luma(sr).round().astype(np.uint8)[..., None], luma(hr).round().astype(np.uint8)[..., None]),
    ):
        one, two = (np.stack([p, 255 - p]).transpose(0, 3, 1, 2) for p in planes)
        whole = [[p, 255 - p] if p.shape[2] == 3 else [p[..., 0], 255 - p[..., 0]] for p in planes]
        for metric in (srfast.psnr, srfast.ssim):
            expected = [metric(a, b, shave=2) for a, b in zip(*whole, strict=True)]
            assert metric(one, two, shave=2).tolist() == expected
            a, b = torch.from_numpy(one.copy()), torch.from_numpy(two.copy())
            assert metric(a, b, shave=2).tolist() == expected
            # 0.4 grey levels away are rounded back, values beyond the range are clamped.
            noisy = (a.double() + 0.4 * torch.sign(a.double() - 127)) / 255
            values = metric(noisy, b.float() / 255, shave=2)
            assert values.dtype == torch.float64
            assert values.tolist() == expected
