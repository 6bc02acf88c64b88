"""The plan of a run: all settings on which its result depends."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
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
        """All settings in one flat dict, as plain values, with the fingerprint of the data."""
        own = {"model": self.name, "options": dict(self.options), "scale": self.scale, "steps": self.steps}
        how = {
            "seed": self.seed,
            "precision": self.precision,
            "redraw": self.redraw,
            **({} if store.depth == 8 else {"depth": store.depth}),
            **({} if store.draws is None else {"degradation": store.draws.degradation.digest}),
            "data": fingerprint(store),
            "contents": contents(store),
            # The order of batches depends on it if images are streamed.
            "cache_bytes": None if store.fits else store.cache_bytes,
            **dataclasses.asdict(self.recipe),
        }
        return {k: list(v) if isinstance(v, tuple) else v for k, v in {**own, **how}.items()}


def fingerprint(store: PairStore) -> str:
    """SHA-256 (16 digits) of image names, sizes of files and regions.

    A copy of the data in another folder or on another machine has the same.
    """
    digest = hashlib.sha256(f"{store.scale} {store.color} {store.quantise}".encode())
    for s in store.sources:
        given = f" {s.lr.name}" if s.lr is not None else ""
        digest.update(f"{s.path.name} {s.factor}{given}\n".encode())
    for r in store.regions:
        digest.update(f"{r.source} {r.x} {r.y} {r.width} {r.height}\n".encode())
    digest = hashlib.sha256(digest.hexdigest()[:16].encode())
    for number in sorted({r.source for r in store.regions}):
        source = store.sources[number]
        for file in filter(None, (source.path, source.lr)):
            try:
                digest.update(f"{number} {os.path.getsize(file)}\n".encode())
            except OSError as error:
                raise InputError(f"{file}: {error.strerror}") from None
    return digest.hexdigest()[:16]


def contents(store: PairStore) -> str:
    """SHA-256 (16 digits) of the hashes of the store's files, which an image that keeps its name and size changes."""
    used = [store.sources[number] for number in sorted({r.source for r in store.regions})]
    files = dict.fromkeys(file for source in used for file in (source.path, source.lr) if file is not None)
    return hashlib.sha256("\n".join(hashing.of_files(files, cores())).encode()).hexdigest()[:16]


def steps_for_epochs(epochs: float, samples: int, batch: int) -> int:
    """Number of updates of ``epochs`` passes over ``samples`` patches or images, the paper's fixed epochs.

    With the number of samples of the whole dataset instead of the core-set's, the result is the number of matched
    steps.
    """
    if not 0 < epochs * samples < math.inf:
        raise InputError(f"epochs: expected a positive, finite number, got {epochs}")
    return max(1, math.ceil(epochs * samples / batch))
