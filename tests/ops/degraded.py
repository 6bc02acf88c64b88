"""What ``d`` must give of patches, whoever computes it: the kernel bodies on the CPU, the kernels on a GPU."""

import torch
from torch import Tensor

from srfast.ops import reference

UNIT = {torch.float32: 2**-24, torch.float16: 2**-11, torch.bfloat16: 2**-8}


def assert_degraded(outputs: tuple[Tensor, ...], patches: Tensor, scale: int, boundary: str = "symmetric") -> None:
    """Y, LR and the sums of Sobel to the bit; the up-sampled plane within one rounding of the exact value."""
    y, lr, up, sums = outputs
    true_y = reference.luma(patches) if patches.shape[-1] == 3 else patches[..., 0]
    true_lr = reference.resample_uint8(true_y, 1 / scale, boundary)
    true_up = reference.resample(true_lr.double(), scale, boundary)
    assert torch.equal(y, true_y)
    assert torch.equal(lr, true_lr)
    # Thirds cost the float64 side an error of its own, far below 1e-9. Half types are rounded to float32 first.
    bound = true_up.abs() * UNIT[up.dtype] * (1 + 1e-3) + 1e-7
    assert ((up.double() - true_up).abs() <= bound).all()
    # Sums of single-precision squares, 512 of them a thread at most.
    torch.testing.assert_close(sums[..., 0].sum(1), (true_up - true_y).square().sum((1, 2)), rtol=1e-5, atol=1e-6)
    assert torch.equal(sums[..., 1].sum(1), reference.sobel_map(patches).sum((1, 2)))
