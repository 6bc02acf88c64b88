"""Wrong arguments of public functions and of torch.ops.srfast raise before a pointer is taken."""

from typing import Any

import numpy as np
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


RAW: list[tuple[str, tuple[Any, ...], type, str]] = [
    ("imresize", (IMAGE[0], 0.5, "symmetric"), InputError, "shape"),
    *(("score_patches", (patches, WEIGHTS, 2, "", False), error, words) for patches, error, words in (
        (PATCHES.float(), TypeError, "float32"), (PATCHES[0], InputError, "shape"),
        (PATCHES[..., :2], InputError, "shape"), (PATCHES[:, :3], InputError, "3 x 6"),
        (PATCHES[:, :0], InputError, "0 x 6"),
    )),
    *(("score_patches", (PATCHES, weights, 2, "", False), error, words) for weights, error, words in (
        (WEIGHTS[:5], InputError, "weights"), ([*WEIGHTS, WEIGHTS[0]], InputError, "weights"),
        (weights(0, torch.zeros(64, 1, 5, 5)), InputError, "weights"),
        (weights(5, torch.zeros(1).double()), TypeError, "64"),
    )),
    ("score_patches", (PATCHES, WEIGHTS, 5, "", False), InputError, "scale"),
    ("score_patches", (PATCHES, WEIGHTS, 2, "mmx", False), InputError, "isa"),
]  # fmt: skip
BOTH: list[tuple[str, tuple[Any, ...], type, str]] = [
    *(("imresize", (*arguments, "symmetric"), error, words) for arguments, error, words in (
        ((IMAGE.half(), 0.5), TypeError, "float16"), ((IMAGE.int(), 0.5), TypeError, "int32"),
        ((IMAGE[None], 0.5), InputError, "shape"), ((IMAGE[:0], 0.5), InputError, "1 x 1"),
        ((IMAGE, 0.0), InputError, "scale"), ((IMAGE, -2.0), InputError, "scale"),
        ((IMAGE, float("nan")), InputError, "scale"),
    )),
    ("imresize", (IMAGE, 0.5, "wrap"), InputError, "boundary"),
    *((op, *row) for op in ("downsample", "upsample") for row in (
        ((PLANES.double(), 2, "symmetric"), TypeError, "float64"),
        ((PLANES.byte(), 2, "symmetric"), TypeError, "uint8"),
        ((PLANES[0], 2, "symmetric"), InputError, "shape"), ((PLANES[..., :0], 2, "symmetric"), InputError, "shape"),
        ((PLANES, 0, "symmetric"), InputError, "scale"), ((PLANES, 7, "symmetric"), InputError, "scale"),
        ((PLANES, 2, "Symmetric"), InputError, "boundary"),
    )),
    *(("per_sample_mse", pair, error, words) for pair, error, words in (
        ((PLANES, PLANES.double()), TypeError, "b: expected"), ((PLANES.double(), PLANES), TypeError, "a: expected"),
        ((torch.zeros(8, 100), torch.zeros(8, 1)), InputError, "shape"),
        ((torch.zeros(8, 100), torch.zeros(1, 100)), InputError, "shape"),
        ((torch.zeros(8, 0), torch.zeros(8, 0)), InputError, "at least one value"),
        ((torch.tensor(1.0), torch.tensor(1.0)), InputError, "at least one value"),
    )),
]  # fmt: skip
ARRAY = np.zeros((4, 4), np.uint8)
PUBLIC: list[tuple[str, tuple[Any, ...], type, str]] = [
    *(("imresize", (image, 0.5), error, words) for image, error, words in (
        (ARRAY[..., None].repeat(2, 2), InputError, "img: expected"), (ARRAY[0], InputError, "img: expected"),
        (ARRAY[:0], InputError, "1 x 1"), (ARRAY.astype(np.int16), TypeError, "int16"),
        (ARRAY.astype(bool), TypeError, "bool"), ([[1, 2]], TypeError, "list"),
        (ARRAY.astype(">f4"), TypeError, "img"),
    )),
    *(("imresize", (ARRAY, scale), InputError, "scale") for scale in (0, -1, np.nan, np.inf, "half", 1e9, 10**400)),
    ("imresize", (ARRAY, 0.5, "wrap"), InputError, "boundary"),
    *((op, (PLANES, scale), InputError, "scale") for op in ("downsample", "upsample")
      for scale in (True, 2.5, np.array([2]), np.array([2, 3]))),
    *((op, (PLANES, 2, value), InputError, "boundary") for op in ("downsample", "upsample")
      for value in (["symmetric"], None, "mirror")),
    *((op, (PLANES.numpy(), 2), TypeError, "ndarray") for op in ("downsample", "upsample")),
    ("per_sample_mse", (PLANES.numpy(), PLANES), TypeError, "ndarray"),
    ("per_sample_mse", (PLANES.to("meta"), PLANES), InputError, "device"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "arguments", "error", "words"), [*RAW, *BOTH])
def test_wrong_tensors_of_the_ops(op, arguments, error, words):
    with pytest.raises(error, match=words):
        getattr(torch.ops.srfast, op)(*arguments)


@pytest.mark.parametrize(("op", "arguments", "error", "words"), [*BOTH, *PUBLIC])
def test_wrong_arguments_are_named(op, arguments, error, words):
    options = {"boundary": arguments[2]} if len(arguments) > 2 else {}
    with pytest.raises(error, match=words):
        getattr(srfast, op)(*arguments[:2], **options)


def test_strided_inputs_are_read_where_they_lie():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (9, 11, 6), dtype=torch.uint8, generator=generator)[::2, :, ::2]
    want = torch.ops.srfast.imresize(image.contiguous(), 0.5, "symmetric")
    assert torch.equal(torch.ops.srfast.imresize(image, 0.5, "symmetric"), want)
    planes = torch.randn(2, 3, 8, 10, generator=generator)
    want = torch.ops.srfast.upsample(planes.mT.contiguous(), 2, "symmetric")
    assert torch.equal(torch.ops.srfast.upsample(planes.mT, 2, "symmetric"), want)
    strided = [w.repeat_interleave(2, 0)[::2] for w in WEIGHTS]
    patches = torch.randint(0, 256, (2, 6, 4, 3), dtype=torch.uint8, generator=generator)
    want = torch.ops.srfast.score_patches(patches.transpose(1, 2).contiguous(), WEIGHTS, 2, "", False)
    got = torch.ops.srfast.score_patches(patches.transpose(1, 2), strided, 2, "", False)
    assert torch.equal(got, want)


@pytest.mark.parametrize("scale", [2.0, 3.0])
def test_a_whole_float_is_a_scale_of_evaluate(scale, photo_folder):
    assert srfast.evaluate("bicubic", photo_folder, scale) == srfast.evaluate("bicubic", photo_folder, int(scale))
    with pytest.raises(InputError, match=r"scale: expected 1, 2, 3 or 4, got 2\.5"):
        srfast.evaluate("bicubic", photo_folder, 2.5)
