"""Training images in memory: the parts that patches cover, as HR and LR planes, cached as far as they fit."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, repeat
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache, cached
from torch import Tensor

from srfast.coreset.pairs import Pairs, Patches, Source, cut, read_pair, turned_crop
from srfast.data.packed import Packed
from srfast.data.workers import ordered_map
from srfast.degradation.plan import Draws
from srfast.errors import InputError
from srfast.samplers import RS2
from srfast.scoring.scored import check_inside

CROPS_STREAMED = 16
"""Crops of each image in one pass over images that do not fit in memory."""


@dataclass(frozen=True)
class Region:
    """A rectangle of one image, in HR pixels, from which training crops are cut."""

    source: int
    x: int
    y: int
    width: int
    height: int


def regions_of(p: Patches, sources: Iterable[int]) -> list[Region]:
    """The regions of patches; ``sources`` are the numbers of their images."""
    columns = zip(sources, p.x.tolist(), p.y.tolist(), p.size.tolist(), strict=True)
    return [Region(i, x, y, size, size) for i, x, y, size in columns]


class PairStore:
    """HR and LR planes of a set of regions, in which crops may be cut; x, y, width and height are multiples of the
    scale.

    The LR image is made from the whole HR image; then both are cropped to the bounding box of the image's regions, so
    that a store over a core-set holds only what the core-set covers. With ``quantise`` LR has 8 bits, as from files;
    otherwise it is float32 in [0, 1], never rounded (the classic protocol). Of images, ``cache_bytes`` are kept; the
    least recently used go first.

    The patches of a core-set (``table``) are packed into the file from which ``CorePatches`` reads them, where that
    takes no more than ``cache_bytes``: trainings on one core-set then share its pages, and only the first decodes.
    Planes serve what no file of patches can: crops from anywhere in an image or beyond a patch, patches that overlap so
    much that packed they would not fit, images that are streamed, degradations drawn anew in each pass, and the cells
    of a study, which share the images of one pool. The crops are the same from both.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        regions: Sequence[Region],
        *,
        scale: int,
        color: str,
        quantise: bool = True,
        cache_bytes: int = 2 << 30,
        table: Pairs | None = None,
    ) -> None:
        self.sources = list(sources)
        self.regions = list(regions)
        self.scale = scale
        self.color = color
        self.quantise = quantise
        self.cache_bytes = cache_bytes
        self._table = table
        self._packed: Packed | None = None
        self.weights: np.ndarray | None = None
        """How often each region is drawn beside the others [n]; None: all as often."""
        self.patches = len(self.regions)
        """Number of crops of an epoch: the regions of a core-set, or the windows of a crop's size on the grid of
        images."""
        self._boxes: dict[int, tuple[int, int, int, int]] = {}
        for r in self.regions:
            x0, y0, x1, y1 = self._boxes.get(r.source, (r.x, r.y, r.x, r.y))
            self._boxes[r.source] = min(x0, r.x), min(y0, r.y), max(x1, r.x + r.width), max(y1, r.y + r.height)
        # An image larger than the cache is kept alone.
        size = max([cache_bytes, *map(self.image_bytes, self._boxes)])
        self._kept: LRUCache[Any, tuple[np.ndarray, np.ndarray]] = LRUCache(size, lambda p: p[0].nbytes + p[1].nbytes)
        self._planes = cached(self._kept, lock=threading.Lock())(self._read)

    @property
    def channels(self) -> int:
        return 1 if self.color == "y" else 3

    @property
    def size_bytes(self) -> int:
        """Bytes of the store if every image is kept."""
        return sum(self.image_bytes(source) for source in self._boxes)

    def image_bytes(self, source: int) -> int:
        """Bytes of the planes of one image."""
        x0, y0, x1, y1 = self._boxes[source]
        area, value = (x1 - x0) * (y1 - y0), self.depth // 8
        return self.channels * (area * value + area // self.scale**2 * (value if self.quantise else 4))

    @property
    def fits(self) -> bool:
        return self.size_bytes <= self.cache_bytes

    @property
    def depth(self) -> int:
        """Bits of a value, 8 or 16."""
        return self.sources[0].depth

    @property
    def draws(self) -> Draws | None:
        """The degradation that makes the LR images, if there is one."""
        return self.sources[0].draws

    def fill(self, threads: int = 1) -> None:
        """Reads every image before training, or finds its patches packed; it is useful only if the store fits in
        memory."""
        if self._table is not None and int(self._table.layout.starts[-1]) <= self.cache_bytes:
            self._packed = self._table.pack(None, False, threads)
        if self._packed is None:
            with ThreadPoolExecutor(max(1, threads)) as pool:
                list(pool.map(self._planes, self._boxes, repeat(0)))

    def over(self, regions: Sequence[Region], weights: np.ndarray | None = None) -> PairStore:
        """A store over other regions inside those of this one, drawn by ``weights``; both share decoded images."""
        other = copy.copy(self)
        other.weights = weights
        other.regions, other.patches = list(regions), len(regions)
        other._table = other._packed = None
        return other

    def crop(self, region: int, x: int, y: int, size: int, k: int = 0, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """LR [C, size / scale, size / scale] and HR [C, size, size] at (x, y) inside a region, as views, in one of the
        8 flips and rotations."""
        if self._packed is not None:
            return turned_crop(*self._packed[region], self.scale, x, y, size, k)
        r = self.regions[region]
        x0, y0, _, _ = self._boxes[r.source]
        return turned_crop(*self._planes(r.source, draw), self.scale, r.x + x - x0, r.y + y - y0, size, k)

    def _read(self, source: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """The planes of the part of an image that its regions cover."""
        lr, hr = read_pair(self.sources[source], self.scale, color=self.color, quantise=self.quantise, draw=draw)
        x0, y0, x1, y1 = self._boxes[source]
        corners = np.array([x0, x1 - 1]), np.array([y0, y1 - 1])
        check_inside(self.sources[source].path, *corners, 1, hr.shape[2], hr.shape[1])
        # Copies: a view would keep the whole image alive.
        return (
            np.ascontiguousarray(cut(lr, x0, y0, x1 - x0, y1 - y0, self.scale)),
            np.ascontiguousarray(cut(hr, x0, y0, x1 - x0, y1 - y0)),
        )


class Batches:
    """Random aligned crops, flipped and rotated. Batch number ``step`` depends on the seed and nothing else.

    Regions are drawn without replacement, in a fresh permutation for every pass. If the store does not fit in memory, a
    pass goes through the images in random groups that fill half the cache, draws the regions of a group in random
    order, and takes several crops of each image (``CROPS_STREAMED``), so that an image is read once per pass and not
    once per crop. ``batches[step]`` is an LR tensor [b, C, patch / scale, patch / scale] (uint8, or float32 in [0, 1]
    if the store does not quantise) and an HR tensor [b, C, patch, patch] uint8, where b is the share of this ``rank``
    of ``world`` in the global batch. At a depth of 16 uint16 takes the place of uint8.

    With ``weights`` of the store a pass is a systematic sample of as many draws as there are regions: each region is
    drawn the whole number of times below or above its share.

    With ``redraw`` < 1 a pass goes over that fraction of the regions, drawn afresh for every pass (``samplers.RS2``).
    """

    def __init__(
        self,
        store: PairStore,
        *,
        batch: int,
        patch: int,
        seed: int,
        redraw: float = 1.0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch % world:
            raise InputError(f"batch: expected a multiple of the {world} processes, got {batch}")
        self.store = store
        self.batch = batch
        self.patch = patch
        self.seed = seed
        self.rank = rank
        self.world = world
        self._subsets = RS2(len(store.regions), redraw, seed=seed, rank=0, world=1)
        self._order = lru_cache(4)(self._draw_order)  # a batch lies in several passes if these are short
        per_image = len(store.regions) / len({r.source for r in store.regions})
        self._repeats = 1 if store.fits else max(1, round(CROPS_STREAMED / per_image))

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        store, s = self.store, self.store.scale
        rng = np.random.default_rng((self.seed, 0, step))
        draws = rng.random((self.batch, 2))
        turns = rng.integers(0, 8, self.batch).tolist()
        own, small = self.batch // self.world, self.patch // s
        kind = np.uint8 if store.depth == 8 else np.uint16
        lr = np.empty((own, store.channels, small, small), kind if store.quantise else np.float32)
        hr = np.empty((own, store.channels, self.patch, self.patch), kind)
        for i, j in enumerate(range(self.rank, self.batch, self.world)):
            passed, place = divmod(step * self.batch + j, self._repeats * self._subsets.count)
            region = int(self._order(passed)[place])
            r = store.regions[region]
            x = int(draws[j, 0] * ((r.width - self.patch) // s + 1)) * s
            y = int(draws[j, 1] * ((r.height - self.patch) // s + 1)) * s
            # The number of passes before a crop is its draw of the degradation.
            lr[i], hr[i] = store.crop(region, x, y, self.patch, turns[j], passed if store.draws else 0)
        return torch.from_numpy(lr), torch.from_numpy(hr)

    def _draw_order(self, epoch: int) -> np.ndarray:
        whole, rng = self._subsets.subset(epoch, draw_all=False)
        if self.store.weights is not None:
            share = np.cumsum(self.store.weights[whole], dtype=np.float64)
            whole = whole[np.searchsorted(share, share[-1] * (np.arange(len(whole)) + rng.random()) / len(whole))]
        groups = [whole.tolist()] if self.store.fits else self._groups(whole, rng)
        return np.concatenate([rng.permutation(np.repeat(group, self._repeats)) for group in groups])

    def _groups(self, whole: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
        """The regions of random images, in groups that fill half the cache."""
        of_source: dict[int, list[int]] = {}
        for i in whole.tolist():
            of_source.setdefault(self.store.regions[i].source, []).append(i)
        groups: list[list[int]] = [[]]
        filled = 0
        for source in rng.permutation(list(of_source)).tolist():
            size = self.store.image_bytes(source)
            if groups[-1] and filled + size > self.store.cache_bytes // 2:
                groups.append([])
                filled = 0
            groups[-1] += of_source[source]
            filled += size
        return groups


class Feed:
    """Returns ``batches[first]``, ``batches[first + 1]``, ...; ``seconds`` is the time its caller waited.

    With ``threads`` > 0, so many threads prepare batches ahead: for images that are decoded when drawn, and for
    accelerators. A cached store on the CPU is faster without, since the threads would take the model's cores.
    """

    def __init__(self, batches: Batches, first: int, threads: int = 0) -> None:
        self.seconds = 0.0
        steps = count(first)
        self._pairs = (
            ordered_map(batches.__getitem__, steps, threads) if threads else ((step, batches[step]) for step in steps)
        )

    def close(self) -> None:
        self._pairs.close()

    def draw(self) -> tuple[Tensor, Tensor]:
        start = time.perf_counter()
        _, pair = next(self._pairs)
        self.seconds += time.perf_counter() - start
        return pair
