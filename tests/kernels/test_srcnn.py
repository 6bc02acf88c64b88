"""The Triton SRCNN in the interpreter, in fp32 and fp16 (the interpreter's bf16 is wrong), against the definition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from srfast.kernels import srcnn
from srfast.kernels.configs import Config

from srfast.ops import reference

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

pytestmark = pytest.mark.interpret

# Runs and tiles are 16 pixels wide and 2 to 8 high; (24, 40) and (13, 36) have tiles that need no clamp.
SHAPES = [(2, 6, 10), (1, 17, 33), (3, 1, 1), (1, 24, 40), (2, 13, 36), (1, 2, 47)]
# Few, large steps: the interpreter pays by the step. test_every_cut covers the small ones.
FEATURES = Config(128, 4, 3)
ERROR = Config(64, 4, 4, depth=4)
# Largest error of a pixel in [0, 255]. fp32: about 4,000 products a pixel of the order of 255 make an error of
# sqrt(4,000) * 255 * 2^-24 or 1e-3. fp16 rounds inputs, weights and two feature maps to 2^-11: four errors of
# 255 * 2^-11 or 0.5 in all.
PIXEL = {torch.float32: 1e-3, torch.float16: 0.5}


def problem(shape, dtype):
    generator = torch.Generator().manual_seed(sum(shape))
    up = (torch.rand(shape, generator=generator) * 270 - 7).to(dtype)
    return up, torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def expected_features(up, weights):
    w = {name: value.double() for name, value in weights.items()}
    x = F.pad(up.double()[:, None] / 255, (4, 4, 4, 4), mode="replicate")
    x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"]))
    return 255 * F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"])).permute(0, 2, 3, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features(weights, shape, dtype):
    up, _ = problem(shape, dtype)
    features = srcnn.launch_features(up, srcnn.pack(weights, dtype, "cpu"), FEATURES)
    assert features.dtype == dtype
    assert features.shape == (*shape, 32)
    assert (features.double() - expected_features(up, weights)).abs().max() <= PIXEL[dtype]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_reconstruction_and_error(weights, shape, dtype):
    up, truth = problem(shape, dtype)
    packed = srcnn.pack(weights, dtype, "cpu")
    sr = torch.full(shape, torch.nan)
    loss = srcnn.launch_error(srcnn.launch_features(up, packed, FEATURES), truth, packed, sr, ERROR)
    expected = 255 * reference.srcnn(up.double()[:, None] / 255, weights)[:, 0]
    assert (sr - expected).abs().max() <= PIXEL[dtype]
    # The loss of exactly this reconstruction: only its summation is left, float32 within a program.
    torch.testing.assert_close(loss, reference.per_sample_mse(sr, truth).float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        loss, reference.per_sample_mse(expected, truth).float(), rtol=1e-5 if dtype == torch.float32 else 5e-3, atol=0
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_score_of_photographs(weights, scale):
    patches = torch.from_numpy(photographs.coffee()[100:124, :72].copy()).reshape(24, 2, 36, 3).transpose(0, 1)
    y = reference.luma(patches)
    up = reference.degrade(y, scale, torch.float32)[:, 0]
    packed = srcnn.pack(weights, torch.float32, "cpu")
    loss = srcnn.launch_error(srcnn.launch_features(up, packed, FEATURES), y.contiguous(), packed, config=ERROR)
    expected = reference.score_patches(patches, weights, scale, torch.float64).float()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("block", "depth"), [(16, 1), (32, 2), (64, 1)])
def test_every_cut_gives_the_same_answer(weights, block, depth):
    up, truth = problem((1, 11, 37), torch.float32)
    packed = srcnn.pack(weights, torch.float32, "cpu")
    features = srcnn.launch_features(up, packed, Config(block, 4, 2))
    loss = srcnn.launch_error(features, truth, packed, config=Config(block, 4, 2, depth))
    expected = reference.per_sample_mse(255 * reference.srcnn(up.double()[:, None] / 255, weights)[:, 0], truth)
    torch.testing.assert_close(loss, expected.float(), rtol=1e-5, atol=0)


def test_no_patches(weights):
    packed = srcnn.pack(weights, torch.float32, "cpu")
    features = srcnn.launch_features(torch.zeros(0, 8, 8), packed)
    assert features.shape == (0, 8, 8, 32)
    assert srcnn.launch_error(features, torch.zeros(0, 8, 8, dtype=torch.uint8), packed).shape == (0,)
