"""downsample and upsample against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import srfast
from srfast.errors import InputError
from srfast.ops import reference


@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (12, 12), (37, 23), (64, 96)])
def test_against_the_reference(size: tuple[int, int], scale: int, boundary: str) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 200
    for function, factor in ((srfast.downsample, 1 / scale), (srfast.upsample, float(scale))):
        got = function(x, scale, boundary=boundary)
        want = reference.resample(x.double(), factor, boundary)
        assert got.dtype == torch.float32
        assert got.shape == want.shape
        # Computed in float64 and rounded once to float32: half an ulp of values up to 1e3.
        torch.testing.assert_close(got.double(), want, rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sizes(scale: int) -> None:
    x = torch.zeros(1, 1, 13, 8)
    assert srfast.downsample(x, scale).shape == (1, 1, -(-13 // scale), -(-8 // scale))
    assert srfast.upsample(x, scale).shape == (1, 1, 13 * scale, 8 * scale)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_layout_do_not_change_a_bit(threads: int) -> None:
    x = torch.randn(3, 2, 24, 20, generator=torch.Generator().manual_seed(1))
    want = srfast.upsample(x, 3)
    torch.set_num_threads(threads)
    assert torch.equal(srfast.upsample(x, 3), want)
    assert torch.equal(srfast.upsample(x.contiguous(memory_format=torch.channels_last), 3), want)
    assert torch.equal(srfast.upsample(x.transpose(2, 3).contiguous().transpose(2, 3), 3), want)


@pytest.mark.parametrize("function", [srfast.downsample, srfast.upsample])
def test_an_empty_batch(function: object) -> None:
    assert function(torch.zeros(0, 3, 8, 8), 2).shape[:2] == (0, 3)
    assert function(torch.zeros(2, 0, 8, 8), 2).shape[:2] == (2, 0)


@pytest.mark.parametrize("function", [srfast.downsample, srfast.upsample])
@pytest.mark.parametrize(
    ("x", "scale", "error", "words"),
    [
        (torch.zeros(1, 1, 8, 8, dtype=torch.float64), 2, TypeError, "float64"),
        (np.zeros((1, 1, 8, 8), np.float32), 2, TypeError, "ndarray"),
        (torch.zeros(1, 8, 8), 2, InputError, "shape"),
        (torch.zeros(1, 1, 0, 8), 2, InputError, "shape"),
        (torch.zeros(1, 1, 8, 8), 5, InputError, "scale"),
        (torch.zeros(1, 1, 8, 8), True, InputError, "scale"),
        (torch.zeros(1, 1, 8, 8), 2.5, InputError, "scale"),
    ],
)
def test_wrong_arguments_are_named(function: object, x: object, scale: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        function(x, scale)


def test_a_whole_float_is_a_scale() -> None:
    assert srfast.upsample(torch.zeros(1, 1, 4, 4), 2.0).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("op", ["downsample", "upsample"])
def test_opcheck(op: str) -> None:
    x = torch.randn(2, 3, 11, 13)
    torch.library.opcheck(getattr(torch.ops.srfast, op).default, (x, 3, "symmetric"))


def test_torch_compile_takes_the_ops_without_a_graph_break() -> None:
    def both(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.srfast.upsample(torch.ops.srfast.downsample(x, 2, "symmetric") * 2, 2, "symmetric")

    x = torch.randn(1, 1, 12, 14)
    assert torch.equal(torch.compile(both, backend="eager", fullgraph=True)(x), both(x))
