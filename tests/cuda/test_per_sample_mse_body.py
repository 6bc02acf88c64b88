"""The body of the mse kernels, on the CPU, against the definition."""

import pytest
import torch

from srfast.ops import reference

# 2^-22 for the differences and the runs of four, 2^-24 for the result.
RTOL = 4e-7


@pytest.mark.parametrize("length", [1, 3, 4, 131, 96 * 96, 2**15, 2**15 + 4, 2**16 + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_against_y(host_kernels, length, dtype):
    generator = torch.Generator().manual_seed(length)
    a = (torch.rand(3, length, generator=generator) * 270 - 7).to(dtype)
    b = torch.randint(0, 256, (3, length), dtype=torch.uint8, generator=generator)
    expected = reference.per_sample_mse(a, b).float()
    torch.testing.assert_close(host_kernels.per_sample_mse(a, b), expected, rtol=RTOL, atol=0)


@pytest.mark.parametrize("length", [1, 7, 4096, 2**15 + 1])
def test_float_pairs(host_kernels, length):
    generator = torch.Generator().manual_seed(length)
    a, b = torch.randn(2, 5, length, generator=generator).unbind()
    expected = reference.per_sample_mse(a, b).float()
    torch.testing.assert_close(host_kernels.per_sample_mse(a, b), expected, rtol=RTOL, atol=0)


def test_unaligned_arrays(host_kernels):
    a = torch.rand(1, 4097)[:, 1:]
    b = torch.rand(1, 4096)
    assert a.data_ptr() % 16 != b.data_ptr() % 16
    expected = reference.per_sample_mse(a, b).float()
    torch.testing.assert_close(host_kernels.per_sample_mse(a, b), expected, rtol=RTOL, atol=0)


def test_repeats_are_identical(host_kernels):
    a, b = torch.randn(2, 4, 40_000).unbind()
    assert torch.equal(host_kernels.per_sample_mse(a, b), host_kernels.per_sample_mse(a, b))


def test_a_long_sum_keeps_small_terms(host_kernels):
    """One huge square and 2^16 small ones: a float32 running sum would lose the small ones."""
    a = torch.full((1, 2**16), 0.01)
    a[0, 0] = 4096.0
    b = torch.zeros(1, 2**16)
    expected = reference.per_sample_mse(a, b).float()
    torch.testing.assert_close(host_kernels.per_sample_mse(a, b), expected, rtol=RTOL, atol=0)
