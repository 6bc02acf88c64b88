"""Reads an export back as the trainer does."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from srfast.coreset.pairs import Pairs
from srfast.data.images import FORMATS
from srfast.data.shrink import pixels_of
from srfast.data.workers import ordered_map
from srfast.errors import InputError, RunError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.formats import Reader

SAMPLE = 256
"""Number of pairs that are compared with their source."""


def check_export(folder: Path, plan: Arrangement, read: Reader, workers: int, *, compare_lr: bool = True) -> int:
    """Decodes every file of an export, and compares a sample (drawn with seed 0) with ``CorePatches``, pixel by pixel;
    returns their number. Raises RunError if a patch is missing, occurs twice, cannot be decoded, or has the wrong size
    or pixels; the message names it."""
    left = {name: row for row, name in enumerate(plan.names)}
    sample = set(np.random.default_rng(0).permutation(len(plan))[:SAMPLE].tolist())
    source = Pairs(plan.patches, plan.scale)

    def complete() -> Generator[tuple[str, bytes, bytes | None], None, None]:
        try:
            with closing(read(folder, plan)) as entries:
                for name, high, low in entries:
                    if high is None or (plan.lr and low is None):
                        raise RunError(f"{folder}: {name} has no {'HR' if high is None else 'LR'} file")
                    yield name, high, low
        except (InputError, RunError):
            raise
        except Exception as error:  # whatever a damaged archive or database makes its reader raise
            raise RunError(f"{folder}: cannot be read back ({' '.join(str(error).split())[:200]})") from None

    def decode(entry: tuple[str, bytes, bytes | None]) -> list[np.ndarray]:
        name, *files = entry
        try:
            return [_pixels(data, name, plan) for data in files if data is not None]
        except Exception as error:  # whatever a damaged file makes the decoder raise
            raise RunError(f"{folder}: {name} cannot be decoded ({error})") from None

    with closing(complete()) as entries, closing(ordered_map(decode, entries, workers)) as decoded:
        for (name, _, _), pair in decoded:
            row = left.pop(name, None)
            if row is None:
                raise RunError(f"{folder}: holds {name}, which is not in the core-set or occurs twice")
            for kind, got in zip(("HR", "LR"), pair, strict=False):
                side = plan.side(row, kind == "LR")
                if got.shape != (side, side, 3):
                    raise RunError(
                        f"{folder}: {name}: expected an {kind} patch of {side} x {side}, got {got.shape[1]} x "
                        f"{got.shape[0]}"
                    )
                if row in sample and (kind == "HR" or compare_lr):
                    expected = source.arrays(row)[kind == "HR"].transpose(1, 2, 0)
                    if not np.array_equal(got, expected):
                        raise RunError(f"{folder}: {name}: the {kind} patch differs from its source")
    if left:
        raise RunError(f"{folder}: {len(left)} of {len(plan)} patches are missing, such as {next(iter(left))}")
    return len(sample)


def _pixels(data: bytes, name: str, plan: Arrangement) -> np.ndarray:
    """The pixels of a patch's file [H, W, 3]."""
    if plan.patches.depth == 16:
        pixels = pixels_of(data, name, 16)
        if (pixels.ndim == 2) != (plan.channels == 1):
            raise ValueError(f"expected {plan.channels} channels, got {pixels.shape}")
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if plan.channels == 1 and image.mode != "L":
            raise ValueError(f"expected one channel, got {image.mode}")
        return np.asarray(image.convert("RGB"))
