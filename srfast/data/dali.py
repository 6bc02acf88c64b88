"""Patches streamed by NVIDIA DALI. DALI decodes the files (JPEG by nvJPEG if there is a GPU, PNG always on the CPU),
and its images become torch tensors through DLPack, without a copy through the host.

nvJPEG and libjpeg-turbo round the inverse DCT and the chroma up-sampling differently: scores of JPEG files decoded on a
GPU differ a little from those of ``srfast.data.images``. PNG files decode to the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from srfast.data.grid import Grid, check_grid
from srfast.data.images import ImageFile
from srfast.errors import InputError, RunError

IMAGES = 16
"""Number of images that DALI decodes at once."""


class PatchBatch(NamedTuple):
    """Patches of one or several images."""

    patches: Tensor
    """uint8 [B, size, size, 3] on the stream's device."""
    image: Tensor
    """int64 [B] on the CPU: indices into ``PatchStream.files``."""
    xy: Tensor
    """int64 [B, 2] on the CPU: top-left corners."""


class PatchStream:
    """Every patch of a set of images exactly once, in order of file, row and column.

    DALI's reader wraps around at the end of an epoch. Here it pads its last batch by repeating the last file, and
    repeated images are dropped by their label.

    Args:
        files: The result of ``find_images``.
        scale: Scale of the grid, as for ``srfast.score``.
        patch: Side of a patch in pixels, a multiple of the scale.
        stride: Step of the grid in pixels, a multiple of the scale; None takes ``patch``.
        batch: Number of patches per batch, at least 1; the last batch may be smaller.
        device_id: Number of the GPU that decodes and holds the patches. None takes the CPU, without a driver.
        threads: Number of DALI's CPU threads, at least 1.

    Raises:
        InputError: the grid or a number is wrong.
        RunError: DALI is not installed or, during the iteration, a file cannot be decoded.
    """

    def __init__(
        self, files: Sequence[ImageFile], *, scale: int = 2, patch: int = 96, stride: int | None = None,
        batch: int = 256, device_id: int | None = 0, threads: int = 2,
    ) -> None:  # fmt: skip
        self._grid = scale, patch, patch if stride is None else stride
        check_grid(*self._grid)
        for name, value in (("batch", batch), ("threads", threads)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.files, self._batch = files, batch
        self.device = torch.device("cpu") if device_id is None else torch.device("cuda", device_id)
        self._pipeline = _build(files, threads, device_id) if files else None

    def __iter__(self) -> Iterator[PatchBatch]:
        held: PatchBatch | None = None
        for number, image in (item for batch in self.batches() for item in batch):
            height, width, _ = image.shape
            if not (grid := Grid.over(height, width, *self._grid)):
                continue
            part = _cut(image, grid, number)
            held = part if held is None else PatchBatch(*map(torch.cat, zip(held, part, strict=True)))
            while len(held.patches) >= self._batch:
                yield PatchBatch(*(tensor[: self._batch] for tensor in held))
                held = PatchBatch(*(tensor[self._batch :] for tensor in held))
        if held is not None and len(held.patches):
            yield held

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
            copied = torch.cuda.current_stream(self.device).record_event() if self.device.type == "cuda" else None
            yield batch
            if copied is not None:
                copied.synchronize()  # DALI reuses the memory of its images in its next run


def _cut(image: Tensor, grid: Grid, number: int) -> PatchBatch:
    x, y = torch.from_numpy(grid.xs).long(), torch.from_numpy(grid.ys).long()
    view = image.unfold(0, grid.size, 1).unfold(1, grid.size, 1)  # [H', W', 3, size, size]
    cut = view[y[:, None].to(image.device), x.to(image.device)].flatten(0, 1)
    xy = torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], 1)
    return PatchBatch(cut.movedim(1, -1).contiguous(), torch.full((len(xy),), number), xy)


def _build(files: Sequence[ImageFile], threads: int, device_id: int | None) -> Any:
    try:
        dali: Any = import_module("nvidia.dali")
        fn: Any = import_module("nvidia.dali.fn")
        types: Any = import_module("nvidia.dali.types")
    except ImportError as error:
        raise RunError(f"DALI cannot be loaded ({error})", hint="pip install 'srfast[dali]' brings it") from error

    @dali.pipeline_def(batch_size=min(IMAGES, len(files)), num_threads=threads, device_id=device_id)
    def decode() -> Any:
        data, label = fn.readers.file(
            files=[str(f.path) for f in files], labels=list(range(len(files))), pad_last_batch=True,
            random_shuffle=False,
        )  # fmt: skip
        images = fn.decoders.image(
            data, device="cpu" if device_id is None else "mixed", output_type=types.RGB, adjust_orientation=True,
            jpeg_fancy_upsampling=True,
        )  # fmt: skip
        return images, label

    try:
        pipeline = decode()
        pipeline.build()
    except RuntimeError as error:  # one of its libraries is missing, say
        raise _as_run_error(error) from error
    return pipeline


def _as_run_error(error: RuntimeError) -> RunError:
    return RunError(f"DALI: {' '.join(str(error).split())}")
