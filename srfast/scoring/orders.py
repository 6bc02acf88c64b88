"""Orders and sums of columns of many rows, with few bytes a row beside the column itself."""

from __future__ import annotations

import numpy as np

_PIECE = 1 << 22


def descending(values: np.ndarray, order: str) -> np.ndarray:
    """Positions by value, highest first, or lowest first for "asc"; ties by position."""
    if values.dtype == np.float32 and len(values) < 1 << 32 and not np.isnan(values).any():
        return _sorted_keys(values, order)
    if order == "asc":
        return np.argsort(values, kind="stable")
    # -values would wrap for unsigned integers and the smallest integer.
    return np.argsort(-values if values.dtype.kind == "f" else ~values, kind="stable")


def _sorted_keys(values: np.ndarray, order: str) -> np.ndarray:
    """Positions of float32 without nan, by one sort of integers with the value above the position."""
    keys = np.empty(len(values), np.int64)
    for i in range(0, len(values), _PIECE):
        part = values[i : i + _PIECE]
        bits = _ordered(part if order == "asc" else -part)
        keys[i : i + _PIECE] = (bits.astype(np.int64) << 32) | np.arange(i, i + len(part))
    keys.sort()
    return _lower_halves(keys)


def _ordered(values: np.ndarray) -> np.ndarray:
    """Integers in the order of float32 without nan."""
    bits = (values + np.float32(0)).view(np.int32)  # + 0: so that -0 ties with 0
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)  # negative floats: the larger the bits, the smaller the value


def _lower_halves(keys: np.ndarray) -> np.ndarray:
    """The lower 32 bits of int64, which move to the front of the same memory."""
    n, halves = len(keys), keys.view(np.uint32)
    for i in range(0, n, _PIECE):
        part = keys[i : i + _PIECE] & 0xFFFFFFFF
        halves[i : i + len(part)] = part
    del halves
    keys.resize((n + 1) // 2, refcheck=False)
    return keys.view(np.uint32)[:n]


def within(code: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [n], float32 without nan, by their group, and the lowest of a group first; -0 becomes 0."""
    keys = np.empty(len(values), np.int64)
    for i in range(0, len(values), _PIECE):
        bits = _ordered(values[i : i + _PIECE]).astype(np.int64) + (1 << 31)
        keys[i : i + _PIECE] = (code[i : i + _PIECE].astype(np.int64) << 32) | bits
    keys.sort()
    bits = _lower_halves(keys)
    bits ^= np.uint32(1 << 31)
    signed = bits.view(np.int32)
    for i in range(0, len(signed), _PIECE):
        part = signed[i : i + _PIECE]
        part ^= (part >> 31) & 0x7FFFFFFF
    return signed.view(np.float32)


def summed(code: np.ndarray, n: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The number of rows of each of n groups, int64, or the sum of their weights, float64."""
    found = np.zeros(n, np.int64 if weights is None else np.float64)
    for i in range(0, len(code), _PIECE):  # bincount copies what is not of 64 bits
        found += np.bincount(code[i : i + _PIECE], None if weights is None else weights[i : i + _PIECE], n)
    return found


def quantiles(ordered: np.ndarray, fractions: tuple[float, ...]) -> list[float]:
    """NumPy's quantiles (linear, in float64) of values [n > 0] that are sorted, the lowest first."""
    place = np.array(fractions) * (len(ordered) - 1)
    low = np.floor(place).astype(np.int64)
    a, b = (ordered[np.minimum(i, len(ordered) - 1)].astype(np.float64) for i in (low, low + 1))
    return [float(v) for v in a + (b - a) * (place - low)]
