"""per_sample_mse against float64."""

import pytest
import torch

import srfast
from srfast.ops import reference


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 1, 9, 11), (2, 3, 64, 64), (4, 8), (1, 100_003)])
def test_against_float64(shape):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(shape, generator=generator) * 255 for _ in range(2))
    got = srfast.per_sample_mse(a, b)
    assert got.dtype == torch.float32
    assert got.shape == shape[:1]
    # float64 sums rounded once to float32: half an ulp.
    torch.testing.assert_close(got.double(), reference.per_sample_mse(a, b), rtol=1e-7, atol=0)


def test_a_small_error_on_large_values_survives():
    """2^22 squared errors of 1e-4: a float32 running sum would stop growing."""
    a = torch.full((1, 1 << 22), 200.0)
    b = a + 2**-7
    assert srfast.per_sample_mse(a, b).item() == pytest.approx(2**-14, rel=1e-7)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_and_strides_do_not_change_a_bit(threads):
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.randn(6, 3, 17, 19, generator=generator) for _ in range(2))
    want = srfast.per_sample_mse(a, b)
    torch.set_num_threads(threads)
    assert torch.equal(srfast.per_sample_mse(a, b), want)
    padded = torch.zeros(6, 3, 17, 40)
    padded[..., :19] = a
    assert torch.equal(srfast.per_sample_mse(padded[..., :19], b), want)
    assert torch.equal(srfast.per_sample_mse(a[::2], b[::2]), want[::2])


def test_zeros_nothing_nan_and_infinity():
    same = torch.randn(3, 5, 5)
    assert torch.equal(srfast.per_sample_mse(same, same), torch.zeros(3))
    assert srfast.per_sample_mse(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)
    a = torch.zeros(3, 4)
    a[0, 1], a[1, 2] = float("nan"), float("inf")
    out = srfast.per_sample_mse(a, torch.zeros(3, 4))
    assert torch.isnan(out[0])
    assert torch.isinf(out[1])
    assert out[2] == 0


def test_opcheck():
    torch.library.opcheck(torch.ops.srfast.per_sample_mse.default, (torch.randn(3, 4, 5), torch.randn(3, 4, 5)))


def test_gradients_are_those_of_plain_pytorch():
    """It gave none, and a training on it learned nothing."""
    a, b = torch.rand(3, 2, 5, 7, requires_grad=True), torch.rand(3, 2, 5, 7, requires_grad=True)
    weight = torch.tensor([1.0, 2.0, 0.5])
    got = torch.autograd.grad((srfast.per_sample_mse(a, b) * weight).sum(), (a, b))
    want = torch.autograd.grad(((a - b).square().mean((1, 2, 3)) * weight).sum(), (a, b))
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w)
    empty = torch.rand(0, 3, requires_grad=True)
    srfast.per_sample_mse(empty, empty.detach()).sum().backward()
    assert empty.grad.shape == (0, 3)
