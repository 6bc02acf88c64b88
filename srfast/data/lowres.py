"""LR images that exist already, and the HR images they belong to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from srfast.data.images import SUFFIXES, ImageFile
from srfast.data.shrink import read_at
from srfast.errors import InputError


@dataclass(frozen=True)
class LowRes:
    """A folder of LR images that are named like the HR images, or after them."""

    folder: Path
    template: str = "{}"
    """Name of an LR image, where {} is its HR image's name without suffix: "{}x4" finds a/0001x4.png for a/0001.png."""
    endings: bool = False
    """Whether names may also differ by endings such as x2, _LR, _HR or _SRF_2, as those of benchmarks do."""

    @classmethod
    def open(cls, folder: str | os.PathLike[str], template: str = "{}", argument: str = "lr_images") -> LowRes:
        """Opens a folder of LR images. Raises InputError if the folder, which ``argument`` names, does not exist, or
        the template has not exactly one place for the name."""
        path = Path(os.path.abspath(folder))
        if not path.is_dir():
            raise InputError(
                f"{argument}: expected a folder of LR images, got {os.fspath(folder)!r}, which is not a folder"
            )
        if template.count("{}") != 1 or "/" in template or "\\" in template:
            raise InputError(f"lr_template: expected one {{}} for the name of the HR image, got {template!r}")
        return cls(path, template)

    @classmethod
    def of(cls, meta: Mapping[str, Any], moved: str | os.PathLike[str] | None = None) -> LowRes | None:
        """The LR images that a table's metadata name, at the place to which they have ``moved``; None if LR images were
        made. Raises InputError if the folder does not exist, or LR images are given of which the scores know
        nothing."""
        known, template = meta.get("lr"), meta.get("lr_template") or "{}"
        if moved is not None:
            if not known:
                raise InputError(f"lr_root: expected scores of given LR images, got {os.fspath(moved)!r} for made ones")
            return cls.open(moved, template, "lr_root")
        if known and not os.path.isdir(known):
            raise InputError(
                f"{known}: no such folder of LR images",
                hint="if they have moved, name it by export --lr-root or train --lr-images",
            )
        return cls.open(known, template) if known else None

    def find(self, name: str) -> Path:
        """The LR image of the HR image ``name``, a path relative to its root; the suffix may differ.

        With ``endings`` the names may differ by those too; the folders must be the same.

        Raises:
            InputError: there is none, or more than one.
        """
        hr = PurePosixPath(name)
        stem = self.folder / hr.parent / self.template.replace("{}", hr.stem)
        changed = stem.parent.stat().st_mtime_ns if stem.parent.is_dir() else 0
        exact, short = _by_name(str(stem.parent), changed)
        found = exact.get(stem.name) or (short.get(_short(hr.stem), []) if self.endings else [])
        if len(found) > 1:
            raise InputError(
                f"{stem.parent}: {found[0]} and {found[1]} may both be the LR image of {name}",
                hint="leave only one of them, or name it by `lr_template`",
            )
        if not found:
            raise InputError(f"{stem}{hr.suffix}: no LR image of {name} (with this or another suffix of an image)")
        return stem.with_name(found[0])

    def beside(self, files: Iterable[ImageFile]) -> list[ImageFile]:
        """The files with the state of their LR images, where these exist. Raises InputError if ``check_apart`` refuses
        the pairs."""
        paths, files = {}, list(files)
        for file in files:
            with suppress(InputError):
                paths[file.name] = self.find(file.name)
        check_apart(paths.items())
        states = {name: (state.st_size, state.st_mtime_ns) for name, p in paths.items() for state in [p.stat()]}
        return [replace(file, lr=states.get(file.name)) for file in files]


_ENDINGS = re.compile(r"(?<=.)([_\-.]?(hr|gt|lr|lrbi|bicubic|srf[_-]?[234]|x[234]))+$", re.IGNORECASE)


def _short(stem: str) -> str:
    """A name without the endings that stand for HR, LR or the scale."""
    return _ENDINGS.sub("", stem)


@lru_cache(maxsize=256)
def _by_name(folder: str, changed: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The images of a folder, as it was at that time, by their names without suffix, and by their short names."""
    exact: dict[str, list[str]] = {}
    short: dict[str, list[str]] = {}
    with suppress(OSError):
        for path in sorted(Path(folder).iterdir()):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                exact.setdefault(path.stem, []).append(path.name)
                short.setdefault(_short(path.stem), []).append(path.name)
    return exact, short


def check_apart(pairs: Iterable[tuple[str | Path, Path]]) -> None:
    """Refuses two HR images with the same LR image, such as a.png and a.jpg, or A.png and a.png on a file system that
    ignores case. Raises InputError if two of the pairs (HR, LR) have the same LR image."""
    taken: dict[str, tuple[str | Path, Path]] = {}
    for hr, lr in pairs:
        other, same = taken.setdefault(str(lr).casefold(), (hr, lr))
        if other != hr and os.path.samefile(lr, same):
            raise InputError(f"{lr}: is the LR image of {other} and of {hr}", hint="give each a name of its own")


def read_lr(path: Path, hr: np.ndarray, hr_path: Path, scale: int, depth: int = 8) -> np.ndarray:
    """Reads the LR image [h, w, 3] of an HR image [H, W, ...], where h = H // scale and w = W // scale: uint8, or
    uint16 with a depth of 16. Raises InputError if it cannot be read, or has another size; the message names both
    files."""
    lr = read_at(path, depth)
    check_size(path, lr.shape[:2], hr_path, hr.shape[:2], scale)
    return lr


def check_size(path: Path, lr: tuple[int, ...], hr_path: Path, hr: tuple[int, ...], scale: int) -> None:
    """Checks the size of an LR image. Raises InputError if h x w is not H // scale x W // scale; the message names both
    files."""
    h, w = hr[0] // scale, hr[1] // scale
    if lr != (h, w):
        raise InputError(
            f"{path}: expected {w} x {h} pixels, 1/{scale} of {hr_path} ({hr[1]} x {hr[0]}), got {lr[1]} x {lr[0]}"
        )
