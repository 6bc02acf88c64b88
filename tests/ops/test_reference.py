"""What the reference keeps in memory."""

from __future__ import annotations

import torch

from srfast.ops import reference


def test_matrices_of_many_large_sizes_do_not_pile_up() -> None:
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


def test_a_matrix_is_made_once() -> None:
    first = reference.resampling_matrix(37, 1 / 3)
    assert reference.resampling_matrix(37, 1 / 3, "symmetric") is first
    assert reference.resampling_matrix(37, 1 / 3, "replicate") is not first
    assert not torch.equal(reference.resampling_matrix(37, 1 / 3, "replicate"), first)
