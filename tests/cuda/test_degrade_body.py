"""The body of the degrade kernel, on the CPU, against the definition."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srfast.ops import reference

photographs = pytest.importorskip("skimage.data", reason="needs the demo extra")

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def check(host, patches, scale, boundary="symmetric", dtype=torch.float32, threads=64):
    y, lr, up, sums = host.degrade(patches, scale, boundary, dtype, threads)
    true_y = reference.luma(patches) if patches.shape[-1] == 3 else patches[..., 0]
    true_lr = reference.resample_uint8(true_y, 1 / scale, boundary)
    true_up = reference.resample(true_lr.double(), scale, boundary)
    assert torch.equal(y, true_y)
    assert torch.equal(lr, true_lr)
    if dtype == torch.float32 and scale != 3:
        # Weights of x2 and x4 are dyadic: float64 holds the sums exactly, and both sides round once.
        assert torch.equal(up, true_up.float())
    # One rounding of the exact value; thirds cost the float64 side an error of its own, far below 1e-9. Half types are
    # rounded to float32 first.
    ulp = {torch.float32: 2**-24, torch.float16: 2**-11, torch.bfloat16: 2**-8}[dtype]
    bound = true_up.abs() * ulp * (1 + 1e-3) + 1e-7
    assert ((up.double() - true_up).abs() <= bound).all()
    # Sums of single-precision squares, 512 of them a thread at most.
    error = (true_up - true_y).square().sum((1, 2))
    torch.testing.assert_close(sums[..., 0].sum(1), error, rtol=1e-5, atol=1e-6)
    sobel = reference.sobel_map(patches).sum((1, 2))
    assert torch.equal(sums[..., 1].sum(1), sobel)


@pytest.mark.parametrize("boundary", ["symmetric", "replicate"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("channels", [3, 1])
def test_random_patches(host_kernels, scale, boundary, channels):
    generator = torch.Generator().manual_seed(scale)
    shape = (3, 12 * scale, 8 * scale, channels)
    check(host_kernels, torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator), scale, boundary)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 1), (3, 5), (5, 3), (11, 13), (32, 24)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sizes_down_to_one_lr_pixel(host_kernels, scale, size):
    h, w = size[0] * scale, size[1] * scale
    patches = torch.randint(0, 256, (2, h, w, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(h * w))
    for boundary in ("symmetric", "replicate"):
        check(host_kernels, patches, scale, boundary)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_saturated_patches_exercise_the_clamps(host_kernels, scale):
    generator = torch.Generator().manual_seed(7)
    patches = torch.randint(0, 2, (4, 6 * scale, 6 * scale, 1), dtype=torch.uint8, generator=generator) * 255
    check(host_kernels, patches, scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_half_types(host_kernels, scale, dtype):
    image = torch.from_numpy(photographs.chelsea()[: 24 * scale, 100 : 100 + 24 * scale].copy())
    check(host_kernels, image[None], scale, dtype=dtype)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_image_of_several_tiles(host_kernels, scale):
    image = photographs.astronaut()[: 301 // scale * scale, : 419 // scale * scale]
    patches = torch.from_numpy(image.copy())[None]
    assert host_kernels.tiles(*patches.shape[1:3], scale) > 4
    for boundary in ("symmetric", "replicate"):
        check(host_kernels, patches, scale, boundary)


@pytest.mark.parametrize(("up", "sums"), [(False, False), (True, False), (False, True)])
def test_what_is_not_asked_for_is_not_written(host_kernels, up, sums):
    patches = torch.from_numpy(photographs.chelsea()[:48, :72].copy())[None]
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
    patches = torch.from_numpy(photographs.coffee()[:96, :96].copy())[None]
    for threads in (32, 256):
        check(host_kernels, patches, 2, threads=threads)
    first = host_kernels.degrade(patches, 2)[3]
    assert torch.equal(first, host_kernels.degrade(patches, 2)[3])


@pytest.mark.skipif(not DATA.is_dir(), reason="the photographs of shared/data are not here")
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matlab_lr_files(host_kernels, scale):
    """The Y channel of MATLAB's own LR files cannot be had from RGB LR, so each colour plane goes in as Y."""
    folder = DATA / "matlab" / "symmetric" / "Set5"
    hr = sorted((folder / "HR").iterdir())
    assert hr
    for path in hr[:2]:
        image = np.asarray(Image.open(path).convert("RGB"))
        h, w = (n // scale * scale for n in image.shape[:2])
        [target] = [p for p in (folder / f"x{scale}").iterdir() if p.stem.startswith(path.stem)]
        expected = torch.from_numpy(np.asarray(Image.open(target).convert("RGB")).copy())
        planes = torch.from_numpy(image[:h, :w].copy()).permute(2, 0, 1)[..., None]
        _, lr, _, _ = host_kernels.degrade(planes, scale)
        assert torch.equal(lr.permute(1, 2, 0), expected)
