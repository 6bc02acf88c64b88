"""The plan of a run: all settings on which its result depends."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srfast.data import hashing
from srfast.errors import InputError
from srfast.models.registry import Buildable, describe
from srfast.runtime.threads import cores
from srfast.training.recipes import Recipe

if TYPE_CHECKING:
    from srfast.training.store import PairStore


@dataclass(frozen=True)
class Plan:
    """The plan of a run, without its data.

    The model is a name of ``srfast.models.names()``, or another network that ``srfast.models.create`` takes with the
    ``options``; a module is trained in place. Under bf16 and fp16 (autocast) weights stay float32. ``redraw`` is the
    fraction of the regions in a pass, drawn afresh for every pass; see ``Batches``.
    """

    model: Buildable
    scale: int
    steps: int
    recipe: Recipe
    seed: int = 0
    precision: str = "fp32"
    options: Mapping[str, Any] = field(default_factory=dict)
    redraw: float = 1.0

    @property
    def name(self) -> str:
        """Name of the model."""
        return describe(self.model).name

    @property
    def color(self) -> str:
        """The planes of the model's images: "y" or "rgb"."""
        return describe(self.model).color

    def settings(self, store: PairStore) -> dict[str, Any]:
        """All settings in one flat dict, as plain values, with the fingerprint of the data, which comes last."""
        return {
            "model": self.name,
            "options": dict(self.options),
            "scale": self.scale,
            "steps": self.steps,
            "seed": self.seed,
            "precision": self.precision,
            "redraw": self.redraw,
            "depth": store.depth,
            "degradation": store.draws and store.draws.degradation.digest,
            **self.recipe.values(),
            # The order of batches depends on it if images are streamed.
            "cache_mb": "enough for all images" if store.fits else f"{store.cache_bytes / 2**20:g}",
            "data": fingerprint(store),
        }


def fingerprint(store: PairStore) -> str:
    """SHA-256 (16 digits) of the regions, and of the names and contents of the files that they are of.

    A copy of the data in another folder or on another machine has the same.
    """
    used = {number: store.sources[number] for number in sorted({r.source for r in store.regions})}
    files = dict.fromkeys(file for s in used.values() for file in (s.path, s.lr) if file is not None)
    names = [(number, s.path.name, s.lr and s.lr.name, s.factor) for number, s in used.items()]
    regions = [(r.source, r.x, r.y, r.width, r.height) for r in store.regions]
    weights = () if store.weights is None else (store.weights.tolist(),)
    known = (*weights, store.scale, store.color, store.quantise, names, hashing.of_files(files, cores()), regions)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def steps_for_epochs(epochs: float, samples: int, batch: int) -> int:
    """Number of updates of ``epochs`` passes over ``samples`` patches or images, the paper's fixed epochs.

    With the number of samples of the whole dataset instead of the core-set's, the result is the number of matched
    steps.
    """
    if not 0 < epochs * samples < math.inf:
        raise InputError(f"epochs: expected a positive, finite number, got {epochs}")
    return max(1, math.ceil(epochs * samples / batch))
