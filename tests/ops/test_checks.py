"""torch.ops.srfast called directly: wrong tensors raise before a pointer is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import srfast
from srfast.errors import InputError
from srfast.ops import functional  # noqa: F401  (registers torch.ops.srfast)
from srfast.ops.native import SRCNN_SHAPES

WEIGHTS = [torch.zeros(shape) for shape in SRCNN_SHAPES.values()]
IMAGE, PLANES, PATCHES = torch.zeros(4, 5, 3), torch.zeros(1, 1, 4, 5), torch.zeros(1, 4, 6, 3, dtype=torch.uint8)


def weights(index: int, wrong: torch.Tensor) -> list[torch.Tensor]:
    return [*WEIGHTS[:index], wrong, *WEIGHTS[index + 1 :]]


@pytest.mark.parametrize(
    ("op", "arguments", "error", "words"),
    [
        ("imresize", (IMAGE.half(), 0.5, "symmetric"), TypeError, "float16"),
        ("imresize", (IMAGE.int(), 0.5, "symmetric"), TypeError, "int32"),
        ("imresize", (IMAGE[0], 0.5, "symmetric"), InputError, "shape"),
        ("imresize", (IMAGE[None], 0.5, "symmetric"), InputError, "shape"),
        ("imresize", (IMAGE[:0], 0.5, "symmetric"), InputError, "1 x 1"),
        ("imresize", (IMAGE, 0.0, "symmetric"), InputError, "scale"),
        ("imresize", (IMAGE, -2.0, "symmetric"), InputError, "scale"),
        ("imresize", (IMAGE, float("nan"), "symmetric"), InputError, "scale"),
        ("imresize", (IMAGE, 0.5, "wrap"), InputError, "boundary"),
        *(
            (op, arguments, error, words)
            for op in ("downsample", "upsample")
            for arguments, error, words in (
                ((PLANES.double(), 2, "symmetric"), TypeError, "float64"),
                ((PLANES.byte(), 2, "symmetric"), TypeError, "uint8"),
                ((PLANES[0], 2, "symmetric"), InputError, "shape"),
                ((PLANES[..., :0], 2, "symmetric"), InputError, "one pixel"),
                ((PLANES, 0, "symmetric"), InputError, "scale"),
                ((PLANES, 7, "symmetric"), InputError, "scale"),
                ((PLANES, 2, "Symmetric"), InputError, "boundary"),
            )
        ),
        ("per_sample_mse", (PLANES, PLANES.double()), TypeError, "b: expected"),
        ("per_sample_mse", (PLANES.double(), PLANES), TypeError, "a: expected"),
        ("per_sample_mse", (torch.zeros(8, 100), torch.zeros(8, 1)), InputError, "shape"),
        ("per_sample_mse", (torch.zeros(8, 100), torch.zeros(1, 100)), InputError, "shape"),
        ("per_sample_mse", (torch.zeros(8, 0), torch.zeros(8, 0)), InputError, "at least one value"),
        ("per_sample_mse", (torch.tensor(1.0), torch.tensor(1.0)), InputError, "at least one value"),
        ("score_patches", (PATCHES.float(), WEIGHTS, 2, "symmetric", "", False), TypeError, "float32"),
        ("score_patches", (PATCHES[0], WEIGHTS, 2, "symmetric", "", False), InputError, "shape"),
        ("score_patches", (PATCHES[..., :2], WEIGHTS, 2, "symmetric", "", False), InputError, "shape"),
        ("score_patches", (PATCHES[:, :3], WEIGHTS, 2, "symmetric", "", False), InputError, "3 x 6"),
        ("score_patches", (PATCHES[:, :0], WEIGHTS, 2, "symmetric", "", False), InputError, "0 x 6"),
        ("score_patches", (PATCHES, WEIGHTS, 5, "symmetric", "", False), InputError, "scale"),
        ("score_patches", (PATCHES, WEIGHTS, 2, "none", "", False), InputError, "boundary"),
        ("score_patches", (PATCHES, WEIGHTS, 2, "symmetric", "mmx", False), InputError, "isa"),
        ("score_patches", (PATCHES, WEIGHTS[:5], 2, "symmetric", "", False), InputError, "weights"),
        ("score_patches", (PATCHES, [*WEIGHTS, WEIGHTS[0]], 2, "symmetric", "", False), InputError, "weights"),
        (
            "score_patches",
            (PATCHES, weights(0, torch.zeros(64, 1, 5, 5)), 2, "symmetric", "", False),
            InputError,
            "weights",
        ),
        ("score_patches", (PATCHES, weights(5, torch.zeros(1).double()), 2, "symmetric", "", False), TypeError, "64"),
    ],
)
def test_wrong_tensors_raise(op: str, arguments: tuple[Any, ...], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        getattr(torch.ops.srfast, op)(*arguments)


def test_strided_inputs_are_read_where_they_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (9, 11, 6), dtype=torch.uint8, generator=generator)[::2, :, ::2]
    want = torch.ops.srfast.imresize(image.contiguous(), 0.5, "symmetric")
    assert torch.equal(torch.ops.srfast.imresize(image, 0.5, "symmetric"), want)
    planes = torch.randn(2, 3, 8, 10, generator=generator)
    want = torch.ops.srfast.upsample(planes.mT.contiguous(), 2, "symmetric")
    assert torch.equal(torch.ops.srfast.upsample(planes.mT, 2, "symmetric"), want)
    strided = [w.repeat_interleave(2, 0)[::2] for w in WEIGHTS]
    patches = torch.randint(0, 256, (2, 6, 4, 3), dtype=torch.uint8, generator=generator)
    want = torch.ops.srfast.score_patches(patches.transpose(1, 2).contiguous(), WEIGHTS, 2, "symmetric", "", False)
    got = torch.ops.srfast.score_patches(patches.transpose(1, 2), strided, 2, "symmetric", "", False)
    assert torch.equal(got, want)


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_a_whole_float_is_a_scale_of_evaluate(scale: float, photo_folder: Any) -> None:
    assert srfast.evaluate("bicubic", photo_folder, scale) == srfast.evaluate("bicubic", photo_folder, int(scale))
    with pytest.raises(InputError, match=r"scale: expected 1, 2, 3 or 4, got 2\.5"):
        srfast.evaluate("bicubic", photo_folder, 2.5)
