"""The CUDA kernels on a GPU against the definition."""

import pytest
import torch

from srfast.ops import cuda, reference
from tests.ops.degraded import UNIT, assert_degraded

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _kernels():
    assert cuda.has_kernels(), "this build has no CUDA kernels"


def check_degrade(patches, scale, dtype=torch.float32):
    outputs = tuple(t.cpu() for t in torch.ops.srfast.degrade(patches.cuda(), scale, dtype))
    assert_degraded(outputs, patches, scale)


@pytest.mark.parametrize("dtype", list(UNIT))
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrade_photographs(photographs, scale, dtype):
    check_degrade(photographs, scale, dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (43, 21), (50, 101), (160, 120)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrade_odd_sizes(generator, scale, size, channels):
    shape = (3, size[0] * scale, size[1] * scale, channels)
    check_degrade(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), scale)


def test_degrade_of_a_view(photographs):
    view = photographs.cuda()[:, ::2].transpose(1, 2)
    y = torch.ops.srfast.degrade(view, 2, torch.float32)[0]
    assert torch.equal(y.cpu(), reference.luma(view.cpu()))


def test_degrade_of_an_unaligned_address(photographs):
    flat = torch.zeros(photographs[:2].numel() + 1, dtype=torch.uint8, device="cuda")
    flat[1:] = photographs[:2].flatten().cuda()
    y, lr, _, _ = torch.ops.srfast.degrade(flat[1:].view(2, 96, 96, 3), 2, torch.float32)
    assert torch.equal(y.cpu(), reference.luma(photographs[:2]))
    assert torch.equal(lr.cpu(), reference.resample_uint8(y.cpu(), 1 / 2))


def test_more_patches_than_a_grid_dimension(generator):
    patches = torch.randint(0, 256, (70_000, 4, 4, 3), dtype=torch.uint8, generator=generator)
    check_degrade(patches, 2)


@pytest.mark.parametrize("dtype", list(UNIT))
@pytest.mark.parametrize("length", [1, 3, 9216, 2**15 + 4, 10**6 + 1])
def test_per_sample_mse_against_y(generator, length, dtype):
    a = (torch.rand(5, length, generator=generator) * 270 - 7).to(dtype)
    b = torch.randint(0, 256, (5, length), dtype=torch.uint8, generator=generator)
    expected = reference.per_sample_mse(a, b).float()
    actual = torch.ops.srfast.per_sample_mse(a.cuda(), b.cuda()).cpu()
    # 2^-22 for the differences and the runs of four, 2^-24 for the result.
    torch.testing.assert_close(actual, expected, rtol=4e-7, atol=0)


@pytest.mark.parametrize("length", [7, 4096, 2**17 + 3])
def test_per_sample_mse_of_floats(generator, length):
    a, b = torch.randn(2, 9, length, generator=generator).unbind()
    expected = reference.per_sample_mse(a, b).float()
    torch.testing.assert_close(torch.ops.srfast.per_sample_mse(a.cuda(), b.cuda()).cpu(), expected, rtol=4e-7, atol=0)
    assert torch.ops.srfast.per_sample_mse(a[:0].cuda(), b[:0].cuda()).shape == (0,)


def test_the_current_stream_is_used(photographs):
    """The inputs are written on a side stream behind a long wait: another stream would read them too early."""
    stream = torch.cuda.Stream()
    patches = torch.zeros_like(photographs, device="cuda")
    source = photographs.cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)
        patches.copy_(source)
        y = torch.ops.srfast.degrade(patches, 2, torch.float32)[0]
    stream.synchronize()
    assert torch.equal(y.cpu(), reference.luma(photographs))


def test_repeats_are_identical(photographs):
    patches = photographs.cuda()
    first, second = (torch.ops.srfast.degrade(patches, 3, torch.float16) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_opcheck(photographs):
    torch.library.opcheck(torch.ops.srfast.degrade.default, (photographs[:2].cuda(), 2, torch.float16))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_a_tensor_on_another_gpu(photographs):
    y = torch.ops.srfast.degrade(photographs.to("cuda:1"), 2, torch.float32)[0]
    assert y.device == torch.device("cuda:1")
    assert torch.equal(y.cpu(), reference.luma(photographs))
