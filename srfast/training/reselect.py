"""An adaptive core-set: the model in training scores the pool again, and the hardest patches of it are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from srfast.coreset.methods.sorting import descending
from srfast.coreset.settings import share
from srfast.errors import InputError
from srfast.training.distributed import World
from srfast.training.store import PairStore

_PIXELS = 1 << 20
"""HR pixels that go through the model at a time."""


@dataclass(frozen=True)
class Reselection:
    """Every ``every`` updates, the model's own squared error scores the regions. The hardest ``drop_hardest`` of them
    are left out, and the hardest ``keep`` of all among the rest are trained on until the next time. Before the first
    time, training uses all of them.

    It is the loss-based choice of Moser, Raue, Dengel (2024) with the model in training as the scorer, their future
    work.
    """

    every: int
    keep: float = 0.5
    drop_hardest: float = 0.05

    def check(self) -> None:
        """Raises InputError for the first value that is out of range."""
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise InputError(f"reselect_every: expected at least 1 update, got {self.every!r}")
        if not 0 < self.keep <= 1:
            raise InputError(f"reselect_keep: expected a fraction with 0 < reselect_keep <= 1, got {self.keep!r}")
        if not 0 <= self.drop_hardest < 1 or self.keep + self.drop_hardest > 1 + 1e-12:
            raise InputError(
                f"reselect_drop: expected a fraction with 0 <= reselect_drop <= 1 - reselect_keep = {1 - self.keep:g}, "
                f"got {self.drop_hardest!r}"
            )

    def chosen(self, losses: np.ndarray) -> np.ndarray:
        """The regions [k] to train on, ascending, by their losses [n]."""
        n = len(losses)
        hardest = descending(losses, "des")[share(self.drop_hardest, n) :]
        return np.sort(hardest[: max(1, share(self.keep, n))])


def region_losses(model: nn.Module, store: PairStore, world: World) -> np.ndarray:
    """Mean squared error of the model on each region of a store [n], float64, for images in [0, 1].

    Each process computes a share of the regions and gets all losses.
    """
    order = sorted(range(len(store.regions)), key=lambda i: (store.regions[i].source, i))
    mine = order[world.rank :: world.size]
    losses = torch.zeros(len(store.regions), dtype=torch.float64, device=world.device)
    batch: list[int] = []
    with torch.inference_mode():
        for place, i in enumerate(mine):
            r = store.regions[i]
            batch.append(i)
            following = store.regions[mine[place + 1]] if place + 1 < len(mine) else None
            same = following is not None and (following.width, following.height) == (r.width, r.height)
            if same and (len(batch) + 1) * r.width * r.height <= _PIXELS:
                continue
            pairs = zip(*(store.region(k) for k in batch), strict=True)
            lr, hr = (world.images(torch.from_numpy(np.stack(side))) for side in pairs)
            error = (model(lr).float() - hr).double().square().mean(dim=(1, 2, 3))
            losses[torch.tensor(batch, device=world.device)] = error
            batch = []
    if world.size > 1:
        torch.distributed.all_reduce(losses)
    return losses.cpu().numpy()
