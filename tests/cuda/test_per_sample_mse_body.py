"""The body of the mse kernels, on the CPU, against the definition."""

import pytest
import torch

from srfast.ops import reference


def close(host, a, b):
    """2^-22 for the differences and the runs of four, 2^-24 for the result."""
    got = host.per_sample_mse(a, b)
    torch.testing.assert_close(got, reference.per_sample_mse(a, b).float(), rtol=4e-7, atol=0)
    assert torch.equal(host.per_sample_mse(a, b), got)


@pytest.mark.parametrize("length", [1, 3, 4, 131, 4096, 96 * 96, 2**15 + 1, 2**15 + 4, 2**16 + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_against_the_definition(host_kernels, length, dtype):
    generator = torch.Generator().manual_seed(length)
    a = (torch.rand(3, length, generator=generator) * 270 - 7).to(dtype)
    close(host_kernels, a, torch.randint(0, 256, (3, length), dtype=torch.uint8, generator=generator))
    if dtype == torch.float32:
        close(host_kernels, *torch.randn(2, 5, length, generator=generator).unbind())


def test_unaligned_arrays(host_kernels):
    a, b = torch.rand(1, 4097)[:, 1:], torch.rand(1, 4096)
    assert a.data_ptr() % 16 != b.data_ptr() % 16
    close(host_kernels, a, b)


def test_a_long_sum_keeps_small_terms(host_kernels):
    """One huge square and 2^16 small ones: a float32 running sum would lose the small ones."""
    a = torch.full((1, 2**16), 0.01)
    a[0, 0] = 4096.0
    close(host_kernels, a, torch.zeros(1, 2**16))
