"""The ops of ``srfast.ops.degrade`` as their equations, in float64: what the fast ones are tested against."""

import numpy as np
from scipy import ndimage

MASK = 0xFFFFFFFF


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """The four words of a block of Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011)."""
    a, b, c, d = counter
    k, l = key  # noqa: E741
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & MASK, (p >> 32) ^ d ^ l, p & MASK
        k, l = (k + 0x9E3779B9) & MASK, (l + 0xBB67AE85) & MASK  # noqa: E741
    return a, b, c, d


def words(key: np.ndarray, slot: int, row: int, groups: int, width: int) -> np.ndarray:
    """The words of a row of an image: pixel x has word x / 16 % 4 of block 16 (row groups + x / 64) + x % 16."""
    k = [int(v) for v in key]
    out = []
    for x in range(width):
        block = 16 * (row * groups + x // 64) + x % 16
        out.append(philox((block, slot, k[2], k[3]), (k[0], k[1]))[x // 16 % 4])
    return np.array(out, np.uint32)


def blur(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Planes [C, H, W] are mirrored at their edge pixels."""
    return ndimage.correlate(planes.astype(np.float64), weights[None], mode="mirror")


def unsharp(planes: np.ndarray, row: np.ndarray, amount: float, threshold: float) -> np.ndarray:
    weights = np.outer(row, row)
    x = planes.astype(np.float64)
    rest = x - blur(x, weights)
    mask = blur((np.abs(rest) > threshold).astype(np.float64), weights)
    return mask * np.clip(x + amount * rest, 0, 255) + (1 - mask) * x


def thick_lines(planes: np.ndarray) -> np.ndarray:
    return 0.75 * planes + 0.25 * ndimage.minimum_filter(planes.astype(np.float64), (1, 3, 3), mode="nearest")
