"""Training pairs as a dataset of PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from srfast.coreset.pairs import Pairs


class CorePatches(Pairs, Dataset[tuple[Tensor, Tensor]]):
    """The patches of a core-set as aligned pairs, for any PyTorch training loop.

    Item i is (lr, hr): uint8 tensors [3, size / scale, size / scale] and [3, size, size], channels first,
    RGB. The LR image is made from the whole HR image, bit for bit as MATLAB's imresize does, and then
    cropped: what trainers do, so the LR patch knows what lies around it (a score in "patch" mode does not).

    Args:
        coreset: What ``srfast.select`` returns, an Arrow table, or the path of coreset.parquet.
        scale: 2, 3 or 4; divides x, y and size of every patch. None takes that of the scores.
        root: The image folder, if it has moved since scoring.
        lr_images: Folder of LR images that exist already; None takes that of the scores, or makes LR where they had
            none.
        lr_template: Name of an LR image after its HR image's, such as "{}x4".
        keep_images: Decoded images that each worker keeps; reading in the order of the table decodes each
            image once.
        lr: The earlier name of ``lr_images``.

    Raises:
        InputError: not a core-set, the scale does not divide the grid, or (on access) an image cannot be read or has
            changed since it was scored.
    """

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        lr, hr = self.arrays(index)
        return torch.from_numpy(lr.copy()), torch.from_numpy(hr.copy())
