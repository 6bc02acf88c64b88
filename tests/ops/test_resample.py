"""downsample and upsample against the float64 reference."""

import pytest
import torch

import srfast
from srfast.errors import RunError
from srfast.ops import reference


@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 130), (12, 12), (37, 23), (64, 96), (61, 17), (300, 75)])
def test_against_the_reference(size, scale, boundary):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 200
    h, w = size
    for function, factor, shape in (
        (srfast.downsample, 1 / scale, (2, 3, -(-h // scale), -(-w // scale))),
        (srfast.upsample, float(scale), (2, 3, h * scale, w * scale)),
    ):
        got = function(x, float(scale), boundary=boundary)  # a whole float is a scale, too
        want = reference.resample(x.double(), factor, boundary)
        assert got.dtype == torch.float32
        assert got.shape == want.shape == shape
        # Computed in float64 and rounded once to float32: half an ulp of values up to 1e3.
        torch.testing.assert_close(got.double(), want, rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("function", [srfast.downsample, srfast.upsample])
def test_threads_and_layout_do_not_change_a_bit(function, threads):
    x = torch.randn(7, 5, 181, 101, generator=torch.Generator().manual_seed(1))  # enough work for several threads
    torch.set_num_threads(1)
    want = function(x, 3)
    torch.set_num_threads(threads)
    assert torch.equal(function(x, 3), want)
    assert torch.equal(function(x.contiguous(memory_format=torch.channels_last), 3), want)
    assert torch.equal(function(x.transpose(2, 3).contiguous().transpose(2, 3), 3), want)


@pytest.mark.parametrize("function", [srfast.downsample, srfast.upsample])
def test_an_empty_batch(function):
    assert function(torch.zeros(0, 3, 8, 8), 2).shape[:2] == (0, 3)
    assert function(torch.zeros(2, 0, 8, 8), 2).shape[:2] == (2, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: srfast.downsample(x, 2),
        lambda x: srfast.upsample(x, 2),
        lambda x: srfast.imresize(x[0].permute(1, 2, 0), 0.5),
    ],
)
def test_a_backward_pass_is_refused_and_not_without_effect(function):
    """It gave no gradient, and a training went on without this part of its loss."""
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    with pytest.raises(RunError, match=r"no gradient; srfast\.reference\.resample has one"):
        (function(x).sum() + x.sum()).backward()
    (srfast.reference.resample(x, 0.5).sum() + x.sum()).backward()
    assert float((x.grad - 1).abs().max()) > 0.2


@pytest.mark.parametrize("op", ["downsample", "upsample"])
def test_opcheck(op):
    x = torch.randn(2, 3, 11, 13)
    torch.library.opcheck(getattr(torch.ops.srfast, op).default, (x, 3, "symmetric"))


def test_torch_compile_takes_the_ops_without_a_graph_break():
    def both(x):
        return torch.ops.srfast.upsample(torch.ops.srfast.downsample(x, 2, "symmetric") * 2, 2, "symmetric")

    x = torch.randn(1, 1, 12, 14)
    assert torch.equal(torch.compile(both, backend="eager", fullgraph=True)(x), both(x))


def test_a_matrix_made_while_scoring_serves_a_training():
    with torch.inference_mode():
        reference.resample(torch.zeros(1, 1, 37, 41, dtype=torch.float64), 2)
    x = torch.ones(1, 1, 37, 41, dtype=torch.float64, requires_grad=True)
    reference.resample(x, 2).sum().backward()
    assert x.grad is not None
