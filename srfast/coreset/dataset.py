"""Training pairs as a PyTorch dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from srfast.coreset.pairs import KEPT_IMAGES, Pairs, read_patches, scale_of
from srfast.data.lowres import LowRes
from srfast.settings import earlier

if TYPE_CHECKING:
    from srfast.coreset.selection import CoreSet
    from srfast.scoring.table import ScoreTable


class CorePatches(Pairs, Dataset[tuple[Tensor, Tensor]]):
    """The patches of a core-set as aligned pairs, for any PyTorch training loop.

    Item i is (lr, hr): uint8 tensors [3, size / scale, size / scale] and [3, size, size], channels first, RGB. The LR
    image is made from the whole HR image, bit for bit as by MATLAB's imresize, and then cropped, as trainers do. The
    border of an LR patch therefore depends on its surroundings, unlike in a score in "patch" mode. Workers and threads
    may share one instance.

    Args:
        coreset: The result of ``srfast.select``, an Arrow table, or the path of coreset.parquet.
        scale: 2, 3 or 4; it divides x, y and size of every patch. None takes that of the scores.
        root: Folder of the images, if they have moved since scoring.
        lr_images: Folder of existing LR images. None takes those of the scores, or makes LR images if the scores had
            none.
        lr_template: Name of an LR image, where {} stands for its HR image's name without suffix, such as "{}x4".
        keep_images: Number of decoded images that each worker keeps, at least 1. Reading in the order of the table
            decodes each image once.

    Raises:
        InputError: it is not a core-set, the scale does not divide the grid or, on access, an image cannot be read or
            has changed since it was scored.
    """

    @earlier(lr="lr_images")
    def __init__(
        self,
        coreset: CoreSet | ScoreTable | pa.Table | str | Path,
        scale: int | None = None,
        *,
        root: str | Path | None = None,
        lr_images: str | Path | None = None,
        lr_template: str = "{}",
        keep_images: int = KEPT_IMAGES,
    ) -> None:
        given = None if lr_images is None else LowRes.open(lr_images, lr_template)
        patches = read_patches(coreset, root, given)
        super().__init__(patches, scale_of(scale, patches.meta), keep_images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        lr, hr = self.arrays(index)
        return torch.from_numpy(lr.copy()), torch.from_numpy(hr.copy())
