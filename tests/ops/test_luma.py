"""BT.601 luma: the integer formula of the kernels on every colour, the compiled path on many."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from srfast.ops import reference
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.network import Network

CSRC = Path(__file__).resolve().parents[2] / "csrc"


def exact(rgb: np.ndarray) -> np.ndarray:
    """round(16 + (65.481 R + 128.553 G + 24.966 B) / 255), half up, in integers."""
    r, g, b = (rgb[..., i].astype(np.int64) for i in range(3))
    return 16 + (2 * (65481 * r + 128553 * g + 24966 * b) + 255000) // 510000


def test_the_kernels_formula_is_exact_for_all_colours():
    source = "core/luma.h"
    pixel = r"[\w\[\] *+]+?"
    form = rf"(\d+)u \+ \(\((\d+)u \* {pixel} \+ (\d+)u \* {pixel} \+ (\d+)u \* {pixel} \+ (\d+)u\) >> (\d+)\)"
    match = re.search(form, (CSRC / source).read_text())
    assert match, f"the luma formula of {source} has another form"
    offset, wr, wg, wb, half, shift = map(int, match.groups())
    g, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    for r in range(256):
        total = wr * r + wg * g.astype(np.int64) + wb * b + half
        assert total.max() < 1 << 32, "the sum leaves 32 bits"
        rgb = np.stack([np.full_like(g, r), g, b], -1)
        np.testing.assert_array_equal(offset + (total >> shift), exact(rgb))


def test_the_reference_is_exact_for_all_colours():
    values = torch.arange(256, dtype=torch.uint8)
    for r in range(0, 256, 5):
        rgb = torch.cartesian_prod(torch.tensor([r], dtype=torch.uint8), values, values)
        np.testing.assert_array_equal(reference.luma(rgb).numpy(), exact(rgb.numpy()))


@pytest.mark.parametrize("isa", [None, "baseline"])
def test_the_compiled_luma_of_random_colours(isa):
    """The scores of RGB patches are those of their exact Y: one wrong value of 2 x 10^6 would show in some patch."""
    rgb = np.random.default_rng(0).integers(0, 256, (1800, 36, 36, 3), dtype=np.uint8)
    y = exact(rgb).astype(np.uint8)[..., None]
    engine = NativeEngine(Network("bicubic", "bicubic", "", 2), isa=isa)
    np.testing.assert_array_equal(engine.batch(rgb), engine.batch(y))


def test_matrices_of_many_large_sizes_do_not_pile_up():
    """A folder of photographs has hundreds of sizes; the matrix of a side of 2,000 pixels takes 16 MB."""
    cache = reference._MATRICES
    for n in range(2000, 2012):
        reference.resampling_matrix(n, 1 / 2)
    kept = list(cache.values())
    assert sum(m.nbytes for m in kept) <= 64 << 20
    assert len(kept) < 12
    # Larger than the whole cache: made, used, not kept.
    assert reference.resampling_matrix(6000, 1 / 2).shape == (3000, 6000)
    assert sum(m.nbytes for m in cache.values()) <= 64 << 20
