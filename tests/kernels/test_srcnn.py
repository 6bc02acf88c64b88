"""The Triton SRCNN in the interpreter, in fp32 and fp16 (the interpreter's bf16 is wrong), against the definition."""

import pytest
import torch
from srfast.kernels import srcnn
from srfast.kernels.configs import Config

from srfast.ops import reference
from srfast.scoring.backends.fold import pack

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

pytestmark = pytest.mark.interpret

# Scale, images, LR size: the window is 9 (x2) or 7 pixels wide. Smaller in both directions, in one, larger by one and
# more. The interpreter pays by the program, and every class of pixels is one at least: up to 81 of four phases (x2),
# 49 of sixteen (x4).
SHAPES = [
    *((2, 2, (1, 1)), (2, 3, (2, 12)), (2, 2, (10, 11))),
    *((3, 2, (1, 1)), (3, 1, (2, 9)), (4, 1, (1, 1)), (4, 1, (1, 8))),
]
FEATURES = Config(128, 4, 3)
ERROR = Config(256, 4, 1)
# Largest error of a pixel in [0, 255]. fp32: about 4,000 products a pixel of the order of 255 make an error of
# sqrt(4,000) * 255 * 2^-24 or 1e-3. fp16 rounds weights, two feature maps and the products to 2^-11: four errors of
# 255 * 2^-11 or 0.5 in all.
PIXEL = {torch.float32: 1e-3, torch.float16: 0.5}


def problem(shape, scale):
    generator = torch.Generator().manual_seed(sum(shape))
    n, h, w = shape
    lr = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return lr, torch.randint(0, 256, (n, h * scale, w * scale), dtype=torch.uint8, generator=generator)


def expected(lr, weights, scale):
    """The reconstruction in [0, 255], float64."""
    up = reference.resample(lr.double(), scale)[:, None]
    return 255 * reference.srcnn(up / 255, weights)[:, 0]


def reconstruct(lr, truth, weights, scale, dtype, features=FEATURES, error=ERROR):
    packed = pack(weights, scale, dtype, "cpu")
    sr = torch.full(truth.shape, torch.nan)
    products = srcnn.launch_features(lr.to(dtype), packed, features)
    assert products.dtype == dtype
    assert products.isfinite().all()
    return sr, srcnn.launch_error(products, truth, packed, sr, error)


CASES = [
    *((scale, (n, *size), torch.float32, FEATURES, ERROR) for scale, n, size in SHAPES),
    *((scale, (2, 1, 10), torch.float16, FEATURES, ERROR) for scale in (2, 3, 4)),
    *(
        (2, (1, 2, 17), torch.float32, Config(block, 4, 2), Config(pixels, 4, 1))
        for block, pixels in ((16, 128), (32, 512), (256, 32))
    ),
]


@pytest.mark.parametrize(("scale", "shape", "dtype", "features", "error"), CASES)
def test_reconstruction_and_error(weights, scale, shape, dtype, features, error):
    lr, truth = problem(shape, scale)
    sr, loss = reconstruct(lr, truth, weights, scale, dtype, features, error)
    target = expected(lr, weights, scale)
    assert (sr - target).abs().max() <= PIXEL[dtype]
    # The loss of exactly this reconstruction: only its summation is left, float32 within a program.
    exact, rtol = (target, 5e-3) if dtype == torch.float16 else (sr, 1e-5)
    torch.testing.assert_close(loss, reference.per_sample_mse(exact, truth).float(), rtol=rtol, atol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_score_of_photographs(weights, scale):
    patches = torch.from_numpy(photographs.coffee()[100 : 100 + 4 * scale, : 3 * scale].copy())[None]
    y = reference.luma(patches)
    lr = reference.resample_uint8(y, 1 / scale)
    _, loss = reconstruct(lr, y.contiguous(), weights, scale, torch.float32)
    target = reference.score_patches(patches, weights, scale, torch.float64).float()
    torch.testing.assert_close(loss, target, rtol=1e-4, atol=0)


def test_groups_of_images_are_scored_as_one(weights, monkeypatch):
    """Three images in groups of two at most, two and one; the same where they share a group."""
    lr, truth = problem((3, 1, 2), 2)
    sr, loss = reconstruct(lr, truth, weights, 2, torch.float32)
    monkeypatch.setattr(srcnn, "GROUP", 2 * 4 * 25 * 2 * 4)
    assert srcnn.groups(3, 1, 2, 2, FEATURES, 4)[0] == 2
    again = reconstruct(lr, truth, weights, 2, torch.float32)
    assert torch.equal(again[0], sr)
    assert torch.equal(again[1], loss)
    assert (sr - expected(lr, weights, 2)).abs().max() <= PIXEL[torch.float32]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, in the interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("scale", [2, 3])
def test_what_overflows_is_no_number(weights, scale, dtype):
    """Infinite features of both signs cancel to NaN, which a maximum with 0 would make 0: the loss of a black image."""
    large = 3e38 if dtype == torch.float32 else 6e4
    weights["conv1.weight"] = torch.full_like(weights["conv1.weight"], large)
    weights["conv2.weight"] = weights["conv2.weight"].sign()
    lr, truth = problem((1, 9, 10), scale)
    packed = pack(weights, scale, dtype, "cpu")
    products = srcnn.launch_features(lr.to(dtype) + 1, packed, FEATURES)
    loss = srcnn.launch_error(products, truth, packed, None, ERROR)
    assert not loss.isfinite().any()
