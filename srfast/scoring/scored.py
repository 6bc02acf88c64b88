"""The images of a table as they are now, with checks that they are those that were scored and hold its patches.

Exports, trainings, selections by texture and the search for duplicates all open images here, so that they refuse the
same tables in the same words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data.hashing import of_file
from srfast.data.lowres import LowRes
from srfast.data.workers import ordered_map
from srfast.errors import InputError
from srfast.runtime.threads import cores


def check_inside(path: Path, x: np.ndarray | int, y: np.ndarray | int, size: np.ndarray | int,
                 width: int, height: int) -> None:  # fmt: skip
    """Refuses one or several patches, in HR pixels, that do not lie inside an image of this width and height. Raises
    InputError if one does not; the message names the image and the size that it would need."""
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
    """Whether the images have moved since they were scored."""
    lr: LowRes | None = None
    """Their given LR images, if there are any."""
    lr_moved: bool | None = False
    """Whether the LR images lie elsewhere than when they were scored; None: they are not those that were scored."""

    @classmethod
    def of(cls, meta: Mapping[str, Any], root: str | os.PathLike[str] | None = None, name: str = "scores",
           lr: LowRes | None = None, lr_moved: bool | None = False) -> ScoredImages:  # fmt: skip
        """The images that a table's metadata name, or those at ``root``, if they have moved. Raises InputError if
        neither gives a folder, or the folder does not exist."""
        folder = root if root is not None else meta.get("root")
        if folder is None:
            raise InputError(f"{name}: expected metadata that name the image folder (root), got none")
        if not os.path.isdir(folder):
            raise InputError(
                f"root: expected the folder the images lie in, got {os.fspath(folder)!r}, which is not a folder"
            )
        return cls(Path(folder), meta, root is not None, lr, lr_moved)

    def check(self, image: str, *, contents: bool = True) -> Path:
        """The path of an image, after a comparison of its file with the table's metadata. Without ``contents`` the file
        is not read: only its size is compared, where the hash is known. Raises InputError if the image or its LR image
        is missing or not the one that was scored."""
        path = self.root / image
        then = self.meta.get("images", {}).get(image, {})
        try:
            same = unchanged(path, then, self.moved, contents)
        except OSError as error:
            hint = None if self.moved else "`root` names the folder where the images have moved"
            raise InputError(f"{path}: {error.strerror}", hint=hint) from None
        low = path
        if same and self.lr is not None and self.lr_moved is not None and then.get("lr"):
            low = self.lr.find(image)
            size, time = then["lr"]
            known = {"size": size, "mtime_ns": time, "sha256": then.get("lr_sha256")}
            same = unchanged(low, known, self.lr_moved, contents)
        if not same:
            raise InputError(f"{low}: has changed since it was scored", hint="score it again")
        return path

    def check_all(self, images: Iterable[str], *, contents: bool = True) -> list[Path]:
        """``check`` of several images, each once, on all cores; the first that fails is reported."""
        each = ordered_map(lambda image: self.check(image, contents=contents), dict.fromkeys(images), cores())
        with closing(each) as checked:
            return [path for _, path in checked]


def unchanged(path: Path, then: Mapping[str, Any], moved: bool = False, contents: bool = True) -> bool:
    """Whether a file is the one that a table's metadata describe: by its size and its hash.

    Tables that do not note hashes, such as those of ``loader`` dali, are compared by size and modification time, and
    by size alone if the files have ``moved``, since copying keeps the bytes but not the time. Raises OSError if the
    file is missing.
    """
    now = os.stat(path)
    if then.get("size") not in (None, now.st_size):
        return False
    if then.get("sha256") is None:
        return moved or then.get("mtime_ns") in (None, now.st_mtime_ns)
    return not contents or of_file(path) == then["sha256"]
