"""The body of the degrade kernel, on the CPU, against the definition."""

import pytest
import torch
from torch import Tensor

from tests.ops.degraded import assert_degraded

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

SIZES = [(12, 8, 3), (12, 8, 1), *((*size, 3) for size in ((1, 1), (1, 7), (2, 1), (3, 5), (5, 3), (11, 13), (32, 24)))]


def noise(scale: int, h: int, w: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(h * w)
    return torch.randint(0, 256, (3, h * scale, w * scale, channels), dtype=torch.uint8, generator=generator)


def photograph(name: str, h: int, w: int) -> Tensor:
    return torch.from_numpy(getattr(photographs, name)()[:h, :w].copy())[None]


@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("what", [*SIZES, "saturated", "several tiles"], ids=str)
def test_against_the_definition(host_kernels, scale, what, boundary):
    """Sizes down to one LR pixel, black and white that reach the clamps, and an image of several tiles."""
    if what == "saturated":
        patches = noise(scale, 6, 6, 1) // 128 * 255
    elif what == "several tiles":
        patches = photograph("astronaut", 301 // scale * scale, 419 // scale * scale)
        assert host_kernels.tiles(*patches.shape[1:3], scale) > 4
    else:
        patches = noise(scale, *what)
    assert_degraded(host_kernels.degrade(patches, scale, boundary), patches, scale, boundary)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_half_types(host_kernels, scale, dtype):
    patches = photograph("chelsea", 24 * scale, 24 * scale)
    assert_degraded(host_kernels.degrade(patches, scale, dtype=dtype), patches, scale)


@pytest.mark.parametrize(("up", "sums"), [(False, False), (True, False), (False, True)])
def test_what_is_not_asked_for_is_not_written(host_kernels, up, sums):
    patches = photograph("chelsea", 48, 72)
    whole = host_kernels.degrade(patches, 2)
    part = host_kernels.degrade(patches, 2, up=up, sums=sums)
    assert all(torch.equal(a, b) for a, b in zip(whole[:2], part[:2], strict=True))
    assert torch.equal(part[2], whole[2]) if up else part[2].isnan().all()
    assert torch.equal(part[3], whole[3]) if sums else part[3].isnan().all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_windows_of_several_images(host_kernels, scale):
    """Windows cut where they lie, in images of different widths behind one another."""
    images = [photographs.chelsea()[:60, :80], photographs.coffee()[:50, :111], photographs.astronaut()[:36, :36]]
    buffer = torch.cat([torch.from_numpy(image.copy()).flatten() for image in images])
    begins = [0, images[0].size, images[0].size + images[1].size]
    places = [(0, 0, 0), (0, 24, 43), (1, 14, 75), (1, 1, 3), (2, 0, 0)]
    offsets = torch.tensor([begins[i] + (y * images[i].shape[1] + x) * 3 for i, y, x in places])
    strides = torch.tensor([3 * images[i].shape[1] for i, _, _ in places])
    cut = torch.stack([torch.from_numpy(images[i][y : y + 36, x : x + 36].copy()) for i, y, x in places])
    expected = host_kernels.degrade(cut, scale)
    actual = host_kernels.windows(buffer, offsets, strides, len(places), 36, 36, 3, scale)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_every_block_size_gives_the_same_sums(host_kernels):
    patches = photograph("coffee", 96, 96)
    for threads in (32, 256):
        assert_degraded(host_kernels.degrade(patches, 2, threads=threads), patches, 2)
    first, again = (host_kernels.degrade(patches, 2)[3] for _ in range(2))
    assert torch.equal(first, again)
