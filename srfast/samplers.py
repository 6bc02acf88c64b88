"""Samplers that choose the samples of each epoch, for any PyTorch loop: RS2, InfoBatch and ByImage.

They depend only on the seed, the epoch and the losses they were given, so that an interrupted run continues bit for
bit: save ``state_dict(consumed)`` with the model. Under ``torchrun``, or with ``rank`` and ``world`` given, every
process draws the same epoch and takes its own share of it.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sized
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from srfast.errors import InputError
from srfast.ops.checks import check_integer

__all__ = ["RS2", "ByImage", "InfoBatch"]


class _Shared(Sampler[int]):
    """The indices of an epoch, dealt out to the processes in turn; the last round is filled with the first indices."""

    def __init__(self, data: Sized | int, seed: int, rank: int | None, world: int | None) -> None:
        n: Any = len(data) if isinstance(data, Sized) and not isinstance(data, (str, bytes)) else data
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise InputError(f"data: expected a dataset or a length of at least 1, got {n!r}")
        self.n, self.seed = int(n), check_integer("seed", seed, 0)
        self.rank = int(os.environ.get("RANK", "0")) if rank is None else check_integer("rank", rank)
        self.world = int(os.environ.get("WORLD_SIZE", "1")) if world is None else check_integer("world", world)
        if not 0 <= self.rank < self.world:
            raise InputError(f"rank: expected 0 <= rank < world = {self.world}, got {self.rank}")
        self.epoch = 0
        self._start = self._given = 0
        self._own: np.ndarray | None = None

    @abstractmethod
    def _epoch_order(self) -> np.ndarray:
        """The indices of this epoch for all processes, in order."""

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Sets the epoch of the next iteration, which begins at this process's sample number ``start``; both from 0.

        Raises:
            InputError: one of them is not a whole number, or below 0.
        """
        self._go_to(check_integer("epoch", epoch, 0), check_integer("start", start, 0))

    def _go_to(self, epoch: int, start: int) -> None:
        self.epoch, self._start, self._given, self._own = epoch, start, start, None

    def _share(self) -> np.ndarray:
        if self._own is None:
            whole = self._epoch_order()
            padded = np.resize(whole, -(-len(whole) // self.world) * self.world)
            self._own = padded[self.rank :: self.world]
        return self._own

    def __len__(self) -> int:
        return max(0, len(self._share()) - self._start)

    def __iter__(self) -> Iterator[int]:
        own = self._share()
        self._given = self._start
        for index in own[self._start :].tolist():
            self._given += 1
            yield index
        self._start = 0

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """The state to save.

        Args:
            consumed: Number of samples of this epoch on which this process has trained. None takes the number handed
                out, which is ahead of training if a DataLoader has workers.
        """
        return {
            "epoch": self.epoch,
            "start": self._given if consumed is None else consumed,
            "seed": self.seed,
            "samples": self.n,
            "world": self.world,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a state of ``state_dict``.

        Raises:
            InputError: the state is of another dataset, seed or number of processes.
        """
        for name, own in (("seed", self.seed), ("samples", self.n), ("world", self.world)):
            if state.get(name) != own:
                raise InputError(f"{name}: the state was saved with {state.get(name)!r}, got {own!r}")
        self._go_to(state["epoch"], state["start"])


class RS2(_Shared):
    """Repeated sampling of random subsets: a fresh random subset for every epoch (Okanovic et al., 2023, arXiv
    2305.18424).

    Call ``set_epoch`` before each epoch, as with ``DistributedSampler``.

    Args:
        data: The dataset, or its length.
        keep: Fraction of the dataset in an epoch, 0 < keep <= 1.
        seed: Random seed, any non-negative integer.
        rank: Number of this process, from 0. None takes that of ``torchrun``, or 0.
        world: Number of processes. None takes that of ``torchrun``, or 1.
    """

    def __init__(
        self, data: Sized | int, keep: float, *, seed: int = 0, rank: int | None = None, world: int | None = None
    ) -> None:
        super().__init__(data, seed, rank, world)
        if not _fraction(keep) or keep == 0:
            raise InputError(f"keep: expected a fraction with 0 < keep <= 1, got {keep!r}")
        self.count = max(1, int(keep * self.n + 0.5))

    def subset(self, epoch: int, *, draw_all: bool = True) -> tuple[np.ndarray, np.random.Generator]:
        """The samples of an epoch in ascending order, and the generator that then shuffles them. Without ``draw_all`` a
        subset of all samples takes nothing from the generator."""
        rng = np.random.default_rng((self.seed, 1, epoch))
        if self.count == self.n and not draw_all:
            return np.arange(self.n), rng
        return np.sort(rng.permutation(self.n)[: self.count]), rng

    def _epoch_order(self) -> np.ndarray:
        subset, rng = self.subset(self.epoch)
        return rng.permutation(subset)


class ByImage(_Shared):
    """All patches in random order, image by image, so that each image is decoded once an epoch.

    It is meant for ``CorePatches(..., cache=False)``, where a random order would decode a whole image for nearly every
    patch. Images come in random order, a few at once, and the patches of these few are mixed.

    Args:
        data: A ``CorePatches``, or the image of each sample, as any sequence.
        images: Number of images whose patches are mixed, at least 1; ``CorePatches`` keeps 16 in memory.
        seed: Random seed, any non-negative integer.
        rank: Number of this process, from 0. None takes that of ``torchrun``, or 0.
        world: Number of processes. None takes that of ``torchrun``, or 1.
    """

    def __init__(
        self, data: Any, *, images: int = 16, seed: int = 0, rank: int | None = None, world: int | None = None
    ) -> None:
        super().__init__(data, seed, rank, world)
        self.images = check_integer("images", images, 1)
        of_sample = data.patches.places()[1] if hasattr(data, "patches") else data
        _, number = np.unique(np.asarray(of_sample), return_inverse=True)
        self._rows = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])

    def _epoch_order(self) -> np.ndarray:
        rng = np.random.default_rng((self.seed, 4, self.epoch))
        order = rng.permutation(len(self._rows))
        groups = np.split(order, range(self.images, len(order), self.images))
        return np.concatenate([rng.permutation(np.concatenate([self._rows[i] for i in group])) for group in groups])


class InfoBatch(_Shared):
    """Leaves out samples of small loss at random and weights those that remain (Qin et al., ICLR 2024, arXiv
    2303.04947).

    In every epoch, a sample whose last loss is below the mean is left out with probability ``ratio``. If it is not left
    out, it counts 1 / (1 - ratio), so that the expected gradient is that of the whole dataset. Samples that were not
    seen yet are never left out. From the fraction ``anneal`` of the epochs on, no sample is left out::

        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            for index, lr, hr in loader:
                loss = per_sample_loss(model(lr), hr)      # [b]
                sampler.update(index, loss)
                (loss * sampler.weights(index).to(loss)).mean().backward()

    If ``torch.distributed`` is initialised, ``set_epoch`` exchanges the losses among the processes.

    Args:
        data: The dataset, or its length.
        epochs: Number of epochs of the training, at least 1.
        ratio: Probability of leaving a sample out, 0 <= ratio < 1.
        anneal: Fraction of the epochs after which no sample is left out, from 0 to 1.
        seed: Random seed, any non-negative integer.
        rank: Number of this process, from 0. None takes that of ``torchrun``, or 0.
        world: Number of processes. None takes that of ``torchrun``, or 1.
    """

    def __init__(
        self,
        data: Sized | int,
        epochs: int,
        *,
        ratio: float = 0.5,
        anneal: float = 0.875,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__(data, seed, rank, world)
        for name, value, may_be_one in (("ratio", ratio, False), ("anneal", anneal, True)):
            if not _fraction(value) or (value == 1 and not may_be_one):
                raise InputError(f"{name}: expected a fraction with 0 <= {name} <{'=' * may_be_one} 1, got {value!r}")
        self.epochs, self.ratio, self.anneal = check_integer("epochs", epochs, 1), ratio, anneal
        self._losses = np.full(self.n, np.nan)
        self._updated: np.ndarray = np.zeros(self.n, bool)
        self._known = self._losses.copy()  # the losses that this epoch's draw is made from

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        self._exchange()
        self._known = self._losses.copy()
        super().set_epoch(epoch, start)

    def _small(self) -> np.ndarray:
        """Which samples may be left out in this epoch, bool [n]."""
        if self.epoch >= self.anneal * self.epochs or np.isnan(self._known).all():
            return np.zeros(self.n, bool)
        return self._known < np.nanmean(self._known)

    def _epoch_order(self) -> np.ndarray:
        rng = np.random.default_rng((self.seed, 2, self.epoch))
        left_out = self._small() & (rng.random(self.n) < self.ratio)
        return rng.permutation(np.flatnonzero(~left_out))

    def weights(self, index: Tensor | np.ndarray | list[int]) -> Tensor:
        """The factors by which to multiply the losses of these samples of this epoch, float32 [b]."""
        small = self._small()[_indices(index, self.n)]
        return torch.from_numpy(np.where(small, 1 / (1 - self.ratio), 1).astype(np.float32))

    def update(self, index: Tensor | np.ndarray | list[int], loss: Tensor | np.ndarray) -> None:
        """Records the losses [b] of samples; they count from the next epoch on."""
        at = _indices(index, self.n)
        values = (loss.detach().float().cpu().numpy() if isinstance(loss, Tensor) else np.asarray(loss)).astype(
            np.float64
        )
        if values.shape != at.shape:
            raise InputError(f"loss: expected one value for each of {at.size} samples, got {values.shape}")
        if not np.isfinite(values).all():
            raise InputError("loss: expected finite values")
        self._losses[at] = values
        self._updated[at] = True

    def _exchange(self) -> None:
        """Takes over the losses that other processes recorded since the last epoch, with the mean of several for a
        sample."""
        d = torch.distributed
        if self.world > 1 and d.is_available() and d.is_initialized():
            device = (
                torch.device("cuda", torch.cuda.current_device()) if d.get_backend() == "nccl" else torch.device("cpu")
            )
            updated = np.stack([np.where(self._updated, self._losses, 0), self._updated.astype(np.float64)])
            both = torch.from_numpy(updated).to(device)
            d.all_reduce(both)
            total, count = both.cpu().numpy()
            self._losses = np.where(count > 0, total / np.maximum(count, 1), self._losses)
        self._updated[:] = False

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        state = super().state_dict(consumed)
        return {**state, **{k: torch.from_numpy(v.copy()) for k, v in self._arrays().items()}}

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"losses": self._losses, "updated": self._updated, "known": self._known}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._losses, self._updated, self._known = (state[k].numpy().copy() for k in self._arrays())


def _fraction(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1


def _indices(index: Tensor | np.ndarray | list[int], n: int) -> np.ndarray:
    at = index.cpu().numpy() if isinstance(index, Tensor) else np.asarray(index)
    if at.ndim != 1 or (at.size and (at.dtype.kind not in "iu" or at.min() < 0 or at.max() >= n)):
        raise InputError(f"index: expected whole numbers below {n}, got {at.dtype} {at.shape}")
    return at.astype(np.int64)
