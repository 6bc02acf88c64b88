"""The images of a table as they are now, with checks that they are those that were scored and hold its patches.

Exports, trainings, selections by texture and the search for duplicates all open images here, so that they refuse the
same tables in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data.lowres import LowRes
from srfast.errors import InputError


def check_inside(path: Path, x: np.ndarray | int, y: np.ndarray | int, size: np.ndarray | int,
                 width: int, height: int) -> None:  # fmt: skip
    """Refuses patches that do not lie inside an image of that width and height.

    Args:
        path: Path of the image, for the message.
        x: Left sides in HR pixels, of one patch or of several.
        y: Tops in HR pixels.
        size: Sides of the patches in HR pixels.

    Raises:
        InputError: a patch does not; the message names the image and the size that it would need.
    """
    x, y, size = (np.asarray(v, np.int64) for v in (x, y, size))
    if x.size and (x.min() < 0 or y.min() < 0 or size.min() < 1):
        raise InputError(f"{path}: expected patches with x, y >= 0 and size >= 1, got one that lies outside the image")
    right, bottom = int((x + size).max(initial=0)), int((y + size).max(initial=0))
    if right > width or bottom > height:
        raise InputError(
            f"{path}: expected at least {right} x {bottom} pixels, got {width} x {height}; "
            "the image has changed since it was scored"
        )


@dataclass(frozen=True)
class ScoredImages:
    """The images of a table."""

    root: Path
    meta: Mapping[str, Any]
    """Metadata of the table."""
    moved: bool = False
    """Whether the images have moved since they were scored; copying keeps the bytes, but not the modification time."""
    lr: LowRes | None = None
    """Their given LR images, if there are any."""
    lr_moved: bool | None = False
    """Whether the LR images lie elsewhere than when they were scored; None: they are not those that were scored."""

    @classmethod
    def of(cls, meta: Mapping[str, Any], root: str | os.PathLike[str] | None = None, name: str = "scores",
           lr: LowRes | None = None, lr_moved: bool | None = False) -> ScoredImages:  # fmt: skip
        """The images that a table's metadata name, or those at ``root``, if they have moved.

        Raises:
            InputError: neither gives a folder, or the folder does not exist.
        """
        folder = root if root is not None else meta.get("root")
        if folder is None:
            raise InputError(f"{name}: expected metadata that name the image folder (root), got none")
        if not os.path.isdir(folder):
            raise InputError(
                f"root: expected the folder the images lie in, got {os.fspath(folder)!r}, which is not a folder"
            )
        return cls(Path(folder), meta, root is not None, lr, lr_moved)

    def check(self, image: str) -> Path:
        """The path of an image, after a comparison with the table's metadata: bytes, and the modification time unless
        the images have moved.

        Raises:
            InputError: the image or its LR image is missing or not the one that was scored.
        """
        path = self.root / image
        try:
            now = os.stat(path)
        except OSError as error:
            hint = "" if self.moved else "; `root` names the folder where the images have moved"
            raise InputError(f"{path}: {error.strerror}{hint}") from None
        then = self.meta.get("images", {}).get(image, {})
        _compare(path, now, then.get("size"), None if self.moved else then.get("mtime_ns"))
        if self.lr is not None and self.lr_moved is not None and then.get("lr"):
            low = self.lr.find(image)
            size, time = then["lr"]
            _compare(low, os.stat(low), size, None if self.lr_moved else time)
        return path


def _compare(path: Path, now: os.stat_result, size: int | None, time: int | None) -> None:
    if size not in (None, now.st_size) or time not in (None, now.st_mtime_ns):
        raise InputError(f"{path}: has changed since it was scored; score it again")
