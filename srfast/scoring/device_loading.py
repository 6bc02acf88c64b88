"""Scoring of images that NVIDIA DALI decodes on the GPU: ``--loader dali``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from srfast.data.images import ImageFile, read_rgb
from srfast.errors import InputError, RunError
from srfast.ops.color import rounded_y
from srfast.scoring.backends.protocol import TakesSeveral
from srfast.scoring.metadata import Outcome
from srfast.scoring.per_image import Decoded, Job, Sized, pipelined

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = {"mean": 0.5, "largest": 16}
"""Grey levels by which the values of a file may differ from srfast's, on average and at most: those of Y, on which
scores depend, and with defects those of RGB. nvJPEG and libjpeg-turbo round the inverse DCT differently, which moves
many values by one. A plain up-sampling of chroma moves Y by 0.26 on average over BSDS400, and RGB beyond this in four
of five of its photographs; a turned image or swapped channels move Y by more than one."""
COMPARED_EVERY = 64
"""Number of files between two whose pixels are compared with those of srfast's decoder."""


def decoder(engine: Any) -> dict[str, Any]:
    """The decoder as a table's metadata name it, and how far its pixels may be from those of srfast's decoder. Raises
    InputError if DALI cannot decode for this engine."""
    from importlib.metadata import distributions

    several: bool = isinstance(engine, TakesSeveral)
    if not several:
        raise InputError(f"loader: dali decodes for `device` cuda with triton or native, but {engine.name} scores here")
    installed = (d for d in distributions() if d.metadata["Name"].startswith("nvidia-dali"))
    dali = next((f"{d.metadata['Name']} {d.version}" for d in installed), "dali")
    library = "nvJPEG" if engine.device.type == "cuda" else "libjpeg-turbo"
    return {"name": f"{library} of {dali}", "tolerance": TOLERANCE}


def _compare(file: ImageFile, image: np.ndarray, colours: bool) -> None:
    """Refuses pixels that differ from those of srfast's decoder by more than TOLERANCE, in Y or in RGB."""
    right = read_rgb(file.path)
    if image.shape == right.shape:
        a, b = (image, right) if colours else (rounded_y(image), rounded_y(right))
        difference = np.abs(a.astype(np.int16) - b)
        if difference.mean() <= TOLERANCE["mean"] and difference.max() <= TOLERANCE["largest"]:
            return
        differs = f"off by {difference.mean():.2f} grey levels on average and {difference.max()} at most"
    else:
        differs = f"of shape {image.shape} instead of {right.shape}"
    raise RunError(
        f"loader: dali decodes {file.path} to other pixels than srfast, {differs}, so scores would differ",
        hint="leave it out",
    )


def outcomes(job: Job, files: Sequence[ImageFile]) -> Iterator[Outcome]:
    """The outcomes of the files, in order. Raises InputError if a file is no JPEG file, and RunError if DALI is not
    installed, a file cannot be decoded, or the decoder's pixels differ from srfast's."""
    for file in files:
        if file.path.suffix.lower() not in (".jpg", ".jpeg"):
            raise InputError(f"loader: dali is for JPEG files, since it decodes others on the CPU: {file.path}")
    if not files:
        return
    import torch

    from srfast.data.dali import PatchStream
    from srfast.scoring.backends.upload import fetched

    settings, device = job.settings, cast(Any, job.engine).device
    wanted = settings.defects or settings.blockiness

    def submit(batch: Sequence[tuple[int, Tensor]]) -> Callable[[], Iterator[Outcome]]:
        group: list[Decoded] = []
        flat = []
        for number, image in batch:
            file, (h, w), last = files[number], image.shape[:2], image[-8:, -8:]
            # A last block of only one colour, as if data were missing: srfast's decoder then decides.
            flat.append((last == last[:1, :1]).all())
            if grid := settings.grid(h, w):
                more = job.more(file, image.cpu().numpy(), grid, job.workers) if wanted else None
                group.append(Decoded(Outcome(file), [Sized("1", cast(Any, image), grid, more=more)]))
            else:
                group.append(Decoded(Outcome(file, small={"": (h, w)})))
        wait_for_outcomes, suspects = job.submit(group), fetched(torch.stack(flat))

        def wait() -> Iterator[Outcome]:
            for (number, image), suspect in zip(batch, suspects(), strict=True):
                if number % COMPARED_EVERY == 0 or suspect:
                    _compare(files[number], image.cpu().numpy(), wanted)
            yield from wait_for_outcomes()

        return wait

    device_id = (device.index or 0) if device.type == "cuda" else None
    yield from pipelined(
        submit(batch) for batch in PatchStream(files, device_id=device_id, threads=job.workers).batches()
    )
