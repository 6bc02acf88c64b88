"""What an export may be: its settings, declared once, free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from srfast.errors import InputError
from srfast.runtime.progress import Progress
from srfast.settings import SWITCH, Kind, PathLike, Settings, one_of, path, setting, whole

Target = Literal["folder", "basicsr", "lmdb", "hf", "webdataset", "list"]
Encoding = Literal["png", "webp"]

TARGETS: tuple[str, ...] = get_args(Target)
ENCODINGS: tuple[str, ...] = get_args(Encoding)
SUBSETS = ("folder", "basicsr", "lmdb", "list")
"""The formats that can be subsets of what exists."""


def _yes(value: Any) -> bool:
    if value not in (True, False, "yes", "no"):
        raise ValueError
    return value in (True, "yes")


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """What is written, and how."""

    to: Target = setting(
        "folder",
        "The format. folder: HR/ and LRx2/ with the same names (KAIR, traiNNer-redux, neosr, BasicSR). basicsr: the "
        "same and meta_info.txt. lmdb: HR.lmdb/ and LRx2.lmdb/ (BasicSR, neosr). hf: an imagefolder with "
        "metadata.parquet (Hugging Face datasets). webdataset: numbered .tar shards. list: coreset.txt, for those who "
        "crop themselves.",
        one_of(*TARGETS),
    )
    scale: Literal[2, 3, 4] | None = setting(
        None,
        "How many times larger HR is than LR, a divisor of the grid of the patches.",
        one_of(2, 3, 4),
        shown="that of the scores",
    )
    lr: bool = setting(
        True,
        "Whether LR patches are written too. They are cropped from MATLAB's bicubic of the whole image, or from the LR "
        "images that were scored.",
        Kind("True or False (yes or no)", _yes, "text", ("yes", "no")),
        typed="yes",
    )
    format: Encoding = setting("png", "How images are encoded; both are lossless.", one_of(*ENCODINGS))
    embed: bool = setting(False, "With `to` hf, write the images into parquet files instead of beside them.", SWITCH)
    root: PathLike | None = setting(
        None, "Folder of the images, where they have moved since scoring.", path(), metavar="DIR"
    )
    lr_root: PathLike | None = setting(
        None, "Folder of the LR images that were scored, where they have moved since.", path(), metavar="DIR"
    )
    existing: PathLike | None = setting(
        None,
        "A database (with `to` lmdb) or a folder (with `to` folder, basicsr or list) that holds the HR patches "
        "already, made by srfast or as BasicSR's sub-images. They are hard-linked and listed, and not encoded again.",
        path(absolute=True),
        metavar="PATH",
    )
    existing_lr: PathLike | None = setting(
        None,
        "The same for the LR patches, which may be others than those that srfast makes.",
        path(absolute=True),
        metavar="PATH",
    )
    threads: int | None = setting(None, "Number of CPU threads.", whole(1), shown="one a core", old=("workers",))
    check: bool = setting(
        False,
        "Before the output appears, read everything back as the trainer does, and compare a sample with its source.",
        SWITCH,
    )

    def together(self) -> None:
        super().together()
        if self.embed and self.to != "hf":
            raise InputError(f"embed: expected `to` hf with it, got {self.to!r}")
        if self.existing is None:
            if self.existing_lr is not None:
                raise InputError("existing_lr: expected `existing` with it, got none")
            return
        if self.to not in SUBSETS:
            raise InputError(f"existing: expected `to` to be one of {', '.join(SUBSETS)} with it, got {self.to!r}")
        if self.lr and self.existing_lr is None:
            raise InputError("existing_lr: expected where the LR patches are, or `lr` no")


@dataclass(frozen=True, kw_only=True)
class ExportArguments(ExportSettings):
    """The settings and what concerns one call."""

    resume: bool = setting(False, "Continue an interrupted export with the same settings.", SWITCH)
    progress: Progress | bool | None = setting(
        None,
        "True shows a bar; a function is called with (images done, images in all, patches written).",
        Kind("True, False or a function", lambda value: value),
        python=True,
    )
