"""Training pairs as a PyTorch dataset."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from srfast.coreset.pairs import KEPT_IMAGES, Pairs, name_of, read_patches, scale_of, turned_crop
from srfast.data.lowres import LowRes
from srfast.data.packed import Packed
from srfast.errors import InputError
from srfast.ops.checks import check_integer
from srfast.runtime.progress import Progress
from srfast.settings import SWITCH, check_same_size, one_of

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable

_MASK = (1 << 64) - 1
_TURNS = 8
_SENT = 1 << 20
"""Bytes of the largest batch that a worker sends as they are."""
Pair = tuple[Tensor, Tensor]


class CorePatches(Pairs, Dataset[Pair]):
    """The patches of a core-set as aligned pairs, for any PyTorch training loop.

    Item i is (lr, hr): uint8 (or uint16) tensors [3, crop / scale, crop / scale] and [3, crop, crop], RGB. The LR
    image is made from the whole HR image, bit for bit as by MATLAB's imresize, and then cropped, as trainers do. The
    border of an LR patch therefore depends on its surroundings, unlike in a score in "patch" mode. Workers and threads
    may share one instance.

    The first batch of a DataLoader, or ``prepare``, packs the pixels of all patches into one memory-mapped file, from
    which an item is one copy; the same patches of the same images find it again. ``dataset[i]`` alone reads the image.

    Crops and flips depend on the seed, the epoch and the item, and on nothing else: they are the same with any number
    of workers, which share the epoch. An epoch begins where an item is drawn again, or where ``set_epoch`` says so;
    call it if a sampler does not draw every item once an epoch, and in distributed trainings. Generators and
    ``worker_init_fn`` are not used.

    A batch is cut at once, and ``default_collate`` takes it as it is. Small batches come from workers through their
    pipe, since the shared memory that PyTorch takes for tensors costs the trainer's process more than cutting them.

    Args:
        coreset: The result of ``srfast.select``, a score table, an Arrow table, or the path of coreset.parquet.
        scale: 2, 3 or 4, which divides x, y and size of every patch, or 1, with LR images that exist. None takes that
            of the scores.
        crop: Side of a random crop of each patch in HR pixels, a multiple of the scale. None takes the whole patch.
        flip: Whether to apply one of the 8 flips and rotations, at random.
        transform: Function of (lr, hr) that is applied to each pair last; what it returns is the item.
        depth: Bits of a channel. 16: PNG and TIFF files of 16 bits are read as they are, and others are stretched to
            that range; items are uint16.
        cache: Folder of the packed pixels. None takes the user's cache folder (``SRFAST_CACHE``), which is kept below
            16 GiB (``SRFAST_CACHE_GB``). False packs nothing: every batch reads its images, grouped by image;
            ``srfast.samplers.ByImage`` draws in an order for which that is fast.
        seed: Seed of crops and flips, any non-negative integer.
        root: Folder of the images, if they have moved since scoring.
        lr_images: Folder of existing LR images. None takes those of the scores, or makes LR images if the scores had
            none.
        lr_template: Name of an LR image, where {} stands for its HR image's name without suffix, such as "{}x4".
        keep_images: Number of decoded images that each worker keeps, at least 1, where pixels are not packed.

    Raises:
        InputError: it is not a core-set, the scale does not divide the grid, an argument is out of range or, on access,
            an image cannot be read or has changed since it was scored.
    """

    def __init__(
        self,
        coreset: CoreSet | ScoreTable | pa.Table | str | Path,
        scale: int | None = None,
        *,
        crop: int | None = None,
        flip: bool = False,
        transform: Callable[[Tensor, Tensor], Any] | None = None,
        depth: Literal[8, 16] = 8,
        cache: str | os.PathLike[str] | Literal[False] | None = None,
        seed: int = 0,
        root: str | Path | None = None,
        lr_images: str | Path | None = None,
        lr_template: str = "{}",
        keep_images: int = KEPT_IMAGES,
    ) -> None:
        given = None if lr_images is None else LowRes.open(lr_images, lr_template)
        bits = one_of(8, 16).check("depth", depth)
        patches = dataclasses.replace(read_patches(coreset, root, given), depth=bits)
        super().__init__(patches, scale_of(scale, patches.meta), keep_images, name=name_of(coreset))
        check_same_size(self.scale, patches.lr is not None, "`lr_images`")
        smallest = int(patches.size.min())
        if crop is not None and (check_integer("crop", crop, 1) % self.scale or crop > smallest):
            raise InputError(
                f"crop: expected a multiple of the scale {self.scale} of at most {smallest}, the size of the patches, "
                f"got {crop}"
            )
        SWITCH.check("flip", flip)
        if transform is not None and not callable(transform):
            raise InputError(f"transform: expected a function of (lr, hr), got {type(transform).__name__}")
        if not (cache is None or cache is False or isinstance(cache, (str, os.PathLike))):
            raise InputError(f"cache: expected a folder, False or None, got {cache!r}")
        self.crop, self.flip, self.transform = crop, flip, transform
        self.seed = check_integer("seed", seed, 0)
        self._folder = None if cache is None or cache is False else Path(cache)
        self._packed: Packed | None = None
        self._tried = cache is False
        self._random = flip or (crop is not None and bool((patches.size != crop).any()))
        self._side = crop or (smallest if bool((patches.size == smallest).all()) else None)
        # Shared with workers, also with those that live on: [epoch, whether it was set, draws of each item since].
        self._state = torch.zeros(2 + len(self) if self._random else 2, dtype=torch.int64)
        if self._random:
            self._state.share_memory_()

    def prepare(self, progress: Progress | bool = True) -> CorePatches:
        """Packs the pixels now, if they are not packed yet, and returns the dataset.

        Args:
            progress: True shows a bar; a function is called as that of ``srfast.score``.

        Raises:
            InputError: an image cannot be read or has changed since it was scored, or ``cache`` is a folder that
                cannot be written to.
        """
        if not self._tried:
            self._packed = self.pack(self._folder, progress)
            self._tried = True
        return self

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that crops and flips depend on, in this process and in workers that live on; from 0."""
        self._state[2:] = 0
        self._state[0], self._state[1] = check_integer("epoch", epoch, 0), 1

    def state_dict(self) -> dict[str, Any]:
        """The state from which the same crops and flips continue, in the middle of an epoch too.

        It is exact with ``set_epoch``; without it, batches that workers have prepared and nobody has trained on count
        as drawn.
        """
        draws = self._state[2:]
        least = int(draws.min()) if len(draws) else 0
        again = np.packbits((draws > least).numpy()).tobytes()
        return {"seed": self.seed, "items": len(self), "epoch": int(self._state[0]) + least,
                "set": bool(self._state[1]), "drawn": again}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a state of ``state_dict``.

        Raises:
            InputError: the state is of another number of patches or another seed.
        """
        for name, own in (("seed", self.seed), ("items", len(self))):
            if state.get(name) != own:
                raise InputError(f"{name}: the state was saved with {state.get(name)!r}, got {own!r}")
        self._state[0], self._state[1] = int(state["epoch"]), int(state["set"])
        if self._random:
            drawn = np.unpackbits(np.frombuffer(state["drawn"], np.uint8), count=len(self))
            self._state[2:] = 0 if state["set"] else torch.from_numpy(drawn.astype(np.int64))

    def __getstate__(self) -> dict[str, Any]:
        # A process that is not a fork opens the file for itself.
        return {**super().__getstate__(), "_packed": None, "_tried": self._tried and self._packed is None}

    def __getitem__(self, index: int) -> Any:
        if self._packed is None and get_worker_info() is not None:
            self.prepare(False)
        return self._single(self.row(index), self._state.numpy())

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The items of a batch; PyTorch's DataLoader calls it."""
        self.prepare(get_worker_info() is None)
        p, rows, draws = self.patches, [self.row(index) for index in indices], self._state.numpy()
        order: Sequence[int] = range(len(rows))
        if self._packed is None:  # image by image
            order = sorted(order, key=lambda i: (p.image[rows[i]], float(p.factor[rows[i]])))
        if self._side is None or not rows:  # patches of several sizes are no tensor
            items = {i: self._single(rows[i], draws) for i in order}
            return [items[i] for i in range(len(rows))]
        small = self._side // self.scale
        lr = np.empty((len(rows), 3, small, small), self.layout.lr)
        hr = np.empty((len(rows), 3, self._side, self._side), self.layout.hr)
        for i in order:
            lr[i], hr[i] = self._drawn(rows[i], draws)
        batch = _Batch(torch.from_numpy(lr), torch.from_numpy(hr))
        return batch if self.transform is None else [self.transform(*pair) for pair in batch]

    def _single(self, row: int, draws: np.ndarray) -> Any:
        lr, hr = self._drawn(row, draws)
        pair = torch.from_numpy(lr.copy()), torch.from_numpy(hr.copy())
        return pair if self.transform is None else self.transform(*pair)

    def _drawn(self, row: int, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next crop of a row, as views: 24 bits decide each coordinate, 3 the flip."""
        lr, hr = self.arrays(row) if self._packed is None else self._packed[row]
        if not self._random:
            return lr, hr
        number = _mixed(self.seed, int(draws[0]) + int(draws[2 + row]), row)
        draws[2 + row] += 1
        size = self.crop or hr.shape[1]
        positions = (hr.shape[1] - size) // self.scale + 1
        x, y = (number >> 40) * positions >> 24, (number >> 16 & 0xFFFFFF) * positions >> 24
        k = number % _TURNS if self.flip else 0
        return turned_crop(lr, hr, self.scale, x * self.scale, y * self.scale, size, k)


class _Item(tuple[Tensor, Tensor]):
    """A pair of a batch, by whose type ``default_collate`` finds ``_collated``."""


class _Batch(list[_Item]):
    """The pairs of a batch, as views of its tensors."""

    def __init__(self, lr: Tensor, hr: Tensor) -> None:
        super().__init__(map(_Item, zip(lr.unbind(), hr.unbind(), strict=True)))
        self._tensors, self._items = [lr, hr], tuple(self)

    def tensors(self) -> list[Tensor] | None:
        """LR [b, ...] and HR [b, ...]; None if somebody has changed the list since."""
        same = len(self) == len(self._items) and all(a is b for a, b in zip(self, self._items, strict=True))
        return self._tensors if same else None


class _Sent(list[Tensor]):
    """The tensors of a batch, which are pickled as their bytes."""

    def __reduce__(self) -> Any:
        return _received, tuple((str(x.numpy().dtype), tuple(x.shape), x.numpy().tobytes()) for x in self)


def _received(*arrays: tuple[str, tuple[int, ...], bytes]) -> list[Tensor]:
    return [torch.from_numpy(np.frombuffer(bytearray(b), kind).reshape(shape)) for kind, shape, b in arrays]


def _collated(batch: list[_Item], *, collate_fn_map: Any = None) -> list[Tensor]:
    """The tensors [b, ...] of a batch, without a copy if the list is one that a dataset gave."""
    tensors = batch.tensors() if isinstance(batch, _Batch) else None
    if tensors is None:
        plain: list[Tensor] = default_collate([tuple(pair) for pair in batch])
        return plain
    if get_worker_info() is None or sum(x.nbytes for x in tensors) > _SENT:
        return tensors
    return _Sent(tensors)


default_collate_fn_map[_Item] = _collated  # an extension that the docs of ``default_collate`` describe


def _mixed(seed: int, epoch: int, index: int) -> int:
    """64 bits that look random, from a seed, an epoch and an item: the finaliser of SplitMix64 (Steele, Lea and Flood,
    2014), applied once for each."""
    z = 0
    for n in (seed, epoch, index):
        z = (z ^ n) + 0x9E3779B97F4A7C15 & _MASK
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
        z ^= z >> 31
    return z
