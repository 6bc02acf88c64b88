"""The ops of ``srfast.ops.degrade`` as their equations, in float64 and plain NumPy: what the fast ones are tested
against."""

from __future__ import annotations

import math

import numpy as np

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


def mirrored(planes: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Planes [C, H, W] with ``rows`` and ``columns`` more at each side, mirrored at the edge pixels."""

    def index(n: int, more: int) -> np.ndarray:
        period = max(1, 2 * (n - 1))
        i = np.arange(-more, n + more) % period
        return np.where(i < n, i, period - i)

    return planes[:, index(planes.shape[1], rows)][:, :, index(planes.shape[2], columns)].astype(np.float64)


def blur(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    kh, kw = weights.shape
    padded = mirrored(planes, kh // 2, kw // 2)
    _, h, w = planes.shape
    terms = [weights[i, j] * padded[:, i : i + h, j : j + w] for i in range(kh) for j in range(kw)]
    return np.sum(terms, axis=0)


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """The cubic of Keys (1981)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resize_matrix(n: int, out: int, filter: str, antialias: bool, step: float) -> np.ndarray:
    """Weights [out, n] of a pass, as ``torch.nn.functional.interpolate`` has them."""
    m = np.zeros((out, n))
    for i in range(out):
        middle = step * (i + 0.5)
        if filter == "area":
            a, b = i * n // out, -(-(i + 1) * n // out)
            m[i, a:b] = 1 / (b - a)
        elif filter == "nearest-exact":
            m[i, min(n - 1, int(middle))] = 1
        elif antialias:
            wide = max(step, 1.0)
            x = (np.arange(n) + 0.5 - middle) / wide
            reach = 2 if filter == "bicubic" else 1
            first, last = max(0, int(middle - reach * wide + 0.5)), min(n, int(middle + reach * wide + 0.5))
            weights = cubic(x, -0.5) if filter == "bicubic" else np.maximum(0, 1 - np.abs(x))
            m[i, first:last] = weights[first:last] / weights[first:last].sum()
        else:
            at = middle - 0.5 if filter == "bicubic" else max(0.0, middle - 0.5)
            for k in range(math.floor(at) - 1, math.floor(at) + 3):
                far = abs(at - k)
                weight = float(cubic(np.array(far), -0.75)) if filter == "bicubic" else max(0.0, 1 - far)
                m[i, min(max(k, 0), n - 1)] += weight
    return m


def resize(
    planes: np.ndarray, height: int, width: int, filter: str, antialias: bool, step: tuple[float, float] | None = None
) -> np.ndarray:
    _, h, w = planes.shape
    down, across = step or (h / height, w / width)
    rows = resize_matrix(h, height, filter, antialias, down)
    columns = resize_matrix(w, width, filter, antialias, across)
    return np.einsum("ih,chw,jw->cij", rows, planes.astype(np.float64), columns, optimize=True)


def unsharp(planes: np.ndarray, row: np.ndarray, amount: float, threshold: float) -> np.ndarray:
    weights = np.outer(row, row)
    x = planes.astype(np.float64)
    rest = x - blur(x, weights)
    mask = blur((np.abs(rest) > threshold).astype(np.float64), weights)
    return mask * np.clip(x + amount * rest, 0, 255) + (1 - mask) * x


def thick_lines(planes: np.ndarray) -> np.ndarray:
    padded = np.pad(planes.astype(np.float64), ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    _, h, w = planes.shape
    least = np.min([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0)
    return 0.75 * planes + 0.25 * least
