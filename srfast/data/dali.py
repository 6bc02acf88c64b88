"""Patches streamed by NVIDIA DALI. DALI decodes the files (JPEG by nvJPEG if there is a GPU, PNG always on the CPU),
and its images become torch tensors through DLPack, without a copy through the host.

nvJPEG and libjpeg-turbo round the inverse DCT and the chroma up-sampling differently: scores of JPEG files decoded on a
GPU differ a little from those of ``srfast.data.images``. PNG files decode to the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from srfast.data.grid import Grid, check_grid
from srfast.data.images import ImageFile, shard_of
from srfast.errors import InputError, RunError


@dataclass(frozen=True)
class PatchBatch:
    """Patches of one or several images."""

    patches: Tensor
    """uint8 [B, size, size, 3] on the stream's device."""
    image: Tensor
    """int64 [B] on the CPU: indices into ``PatchStream.files``."""
    xy: Tensor
    """int64 [B, 2] on the CPU: top-left corners."""


class PatchStream:
    """Every patch of a set of images exactly once, in order of file, row and column.

    DALI's readers wrap around at the end of an epoch, and their shards overlap unless the number of files divides
    evenly. Here the shard is cut before the reader sees it, the reader pads its last batch by repeating the last file,
    and repeated images are dropped by their label.

    Args:
        files: The result of ``find_images``.
        scale: Scale of the grid, as for ``srfast.score``.
        patch: Side of a patch in pixels, a multiple of the scale.
        stride: Step of the grid in pixels, a multiple of the scale; None takes ``patch``.
        batch: Number of patches per batch, at least 1; the last batch may be smaller.
        device_id: Number of the GPU that decodes and holds the patches. None takes the CPU, without a driver.
        shard: (i, n) takes only every n-th file, from the i-th on.
        images: Number of images that DALI decodes at once, at least 1.
        threads: Number of DALI's CPU threads, at least 1.

    Attributes:
        files: The shard's files.
        small: (height, width) of the files that hold no patch, by index; complete after the iteration.

    Raises:
        InputError: the grid or a number is wrong.
        RunError: DALI is not installed or, during the iteration, a file cannot be decoded.
    """

    def __init__(
        self,
        files: Sequence[ImageFile],
        *,
        scale: int = 2,
        patch: int = 96,
        stride: int | None = None,
        batch: int = 256,
        device_id: int | None = 0,
        shard: tuple[int, int] | None = None,
        images: int = 16,
        threads: int = 2,
    ) -> None:
        self.stride = patch if stride is None else stride
        check_grid(scale, patch, self.stride)
        for name, value in (("batch", batch), ("images", images), ("threads", threads)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.files = shard_of(files, shard)
        self.small: dict[int, tuple[int, int]] = {}
        self.scale, self.patch, self.batch = scale, patch, batch
        self.device = torch.device("cpu") if device_id is None else torch.device("cuda", device_id)
        self._images = max(1, min(images, len(self.files)))
        self._pipeline = _build(self.files, self._images, threads, device_id) if self.files else None

    def __iter__(self) -> Iterator[PatchBatch]:
        pending: list[PatchBatch] = []
        held = 0
        for part in self._decoded():
            pending.append(part)
            held += len(part.patches)
            if held >= self.batch:
                whole = _join(pending)
                full = held - held % self.batch
                for first in range(0, full, self.batch):
                    yield _slice(whole, first, first + self.batch)
                pending, held = [_slice(whole, full, held)], held - full
        if held:
            yield _join(pending)

    def _decoded(self) -> Iterator[PatchBatch]:
        """The patches of each image that holds any."""
        for batch in self.batches():
            for number, image in batch:
                part = self._cut(image, number)
                if part is not None:
                    yield part

    def batches(self) -> Iterator[list[tuple[int, Tensor]]]:
        """Yields (index into ``files``, uint8 [H, W, 3] on the device), in order, for the files of one batch of
        DALI."""
        if self._pipeline is None:
            return
        self._pipeline.reset()
        next_file = 0
        while next_file < len(self.files):
            try:
                images, labels = self._pipeline.run()
            except RuntimeError as error:
                raise _as_run_error(error) from error
            batch = []
            for position, number in enumerate(from_dlpack(labels.as_tensor()).flatten().tolist()):
                if number == next_file:  # anything else repeats a file to fill the batch
                    batch.append((number, from_dlpack(images[position]).clone()))
                    next_file += 1
            copied = torch.cuda.Event() if self.device.type == "cuda" else None
            if copied is not None:
                copied.record(torch.cuda.current_stream(self.device))
            yield batch
            if copied is not None:
                copied.synchronize()  # DALI reuses the memory of its images in its next run

    def _cut(self, image: Tensor, number: int) -> PatchBatch | None:
        height, width, _ = image.shape
        grid = Grid.over(height, width, self.scale, self.patch, self.stride)
        if not grid:
            self.small[number] = (height, width)
            return None
        x, y = torch.from_numpy(grid.xs).long(), torch.from_numpy(grid.ys).long()
        view = image.unfold(0, self.patch, 1).unfold(1, self.patch, 1)  # [H', W', 3, patch, patch]
        cut = view[y[:, None].to(image.device), x.to(image.device)].flatten(0, 1)
        xy = torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], 1)
        return PatchBatch(cut.movedim(1, -1).contiguous(), torch.full((len(xy),), number), xy)


def _build(files: Sequence[ImageFile], batch: int, threads: int, device_id: int | None) -> Any:
    try:
        dali: Any = import_module("nvidia.dali")
        fn: Any = import_module("nvidia.dali.fn")
        types: Any = import_module("nvidia.dali.types")
    except ImportError as error:
        raise RunError(f"DALI cannot be loaded ({error})", hint="pip install 'srfast[dali]' brings it") from error

    @dali.pipeline_def(batch_size=batch, num_threads=threads, device_id=device_id)
    def decode() -> Any:
        data, label = fn.readers.file(
            files=[str(f.path) for f in files],
            labels=list(range(len(files))),
            pad_last_batch=True,
            random_shuffle=False,
            name="reader",
        )
        images = fn.decoders.image(
            data,
            device="cpu" if device_id is None else "mixed",
            output_type=types.RGB,
            adjust_orientation=True,
            jpeg_fancy_upsampling=True,
        )
        return images, label

    try:
        pipeline = decode()
        pipeline.build()
    except RuntimeError as error:  # one of its libraries is missing, say
        raise _as_run_error(error) from error
    return pipeline


def _as_run_error(error: RuntimeError) -> RunError:
    return RunError(f"DALI: {' '.join(str(error).split())}")


def _join(parts: list[PatchBatch]) -> PatchBatch:
    if len(parts) == 1:
        return parts[0]
    return PatchBatch(*(torch.cat([getattr(p, name) for p in parts]) for name in ("patches", "image", "xy")))


def _slice(batch: PatchBatch, first: int, last: int) -> PatchBatch:
    return PatchBatch(batch.patches[first:last], batch.image[first:last], batch.xy[first:last])
