"""The settings of an export, declared once, without heavy imports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from srfast.degradation.settings import LARGEST_SEED, degradation
from srfast.errors import InputError
from srfast.exporting.formats import FORMATS, GROUP, find
from srfast.runtime import plugins
from srfast.runtime.progress import Progress
from srfast.settings import (
    PAIR_SCALES,
    SWITCH,
    Kind,
    PathLike,
    Settings,
    fitting,
    images_root,
    one_of,
    path,
    progress,
    setting,
    whole,
)

TARGETS = tuple(name for name, known in FORMATS.items() if known.help)
ENCODINGS = ("png", "webp")


def _from(kind: str) -> str:
    """The formats that are written from existing databases or folders, in words."""
    names = [name for name, known in FORMATS.items() if known.existing == f"existing:{kind}"]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


_YES = fitting(lambda value: value in (True, False, "yes", "no"), lambda value: value in (True, "yes"))


@dataclass(frozen=True, kw_only=True)
class ExportSettings(Settings):
    """The settings of ``srfast.export`` that determine the output."""

    to: str = setting(
        "folder",
        f"Format to write. {'; '.join(f'{name}: {FORMATS[name].help}' for name in TARGETS)}.",
        replace(
            one_of(*TARGETS, added=lambda: plugins.added(GROUP)),
            hint="traiNNer-redux, neosr and KAIR read folder, and BasicSR reads basicsr and lmdb",
        ),
        more="Installed packages may add formats (docs/extending.md).",
    )
    scale: Literal[1, 2, 3, 4] | None = setting(
        None,
        "Super-resolution factor: the side of an HR patch over that of its LR patch. It must divide the side and the "
        "positions of the patches. 1: restoration at the same size, of the LR images that were scored or of a "
        "degradation.",
        one_of(*PAIR_SCALES),
        shown="that of the scores",
    )
    lr: bool = setting(
        True,
        "Whether LR patches are written too. They are cropped from the LR version of the whole image: the one that "
        "was scored, or that of MATLAB's imresize.",
        Kind("True or False (yes or no)", _YES, "text", ("yes", "no")),
        typed="yes",
    )
    degradation: PathLike | None = degradation(
        "Degradation that makes the LR patches, in place of bicubic or of the LR images that were scored.",
        shown="bicubic",
    )
    draws: int = setting(
        1,
        "Number of LR patches for each HR patch, each degraded with its own random draw. With several, names end in "
        "_d0, _d1, ...",
        whole(1, 10_000),
        metavar="K",
        needs="degradation",
    )
    seed: int = setting(0, "Random seed of `degradation`, at least 0.", whole(most=LARGEST_SEED), needs="degradation")
    depth: Literal[8, 16] = setting(
        8, "Bits per channel of the patches. 16: PNG and TIFF files of 16 bits are read as they are, and others are "
        "stretched to that range; PNG only.", one_of(8, 16),
    )  # fmt: skip
    channels: Literal[3, 1] = setting(
        3, "Channels of the patches. 1: gray images are written as gray, and others are refused; PNG only.",
        one_of(3, 1),
    )  # fmt: skip
    format: str = setting("png", "File format of the patches; both are lossless.", one_of(*ENCODINGS))
    embed: bool = setting(False, "With `to` hf, write the images into the parquet files, not beside them.", SWITCH)
    root: PathLike | None = images_root(path())
    lr_root: PathLike | None = setting(
        None, "Folder of the LR images that were scored, if they have moved since.", path(), metavar="DIR"
    )
    existing: PathLike | None = setting(
        None,
        f"Database (with `to` {_from('databases')}) or folder (with `to` {_from('folders')}) that already holds the HR "
        "patches, from srfast or from BasicSR's scripts. They are hard-linked or listed, and not encoded again.",
        path(absolute=True),
        metavar="PATH",
    )
    existing_lr: PathLike | None = setting(
        None,
        "Database or folder that already holds the LR patches, of any degradation.",
        path(absolute=True),
        metavar="PATH",
        needs="existing",
    )
    threads: int | None = setting(None, "Number of CPU threads that crop and encode.", whole(1), shown="one per core")
    check: bool = setting(
        False,
        "Read everything back as the trainer does before the output appears, and compare a sample with its source.",
        SWITCH,
    )

    @property
    def layout(self) -> str:
        """The name of the format, or of its variant that holds the images."""
        return find(self.to).embedded if self.embed else self.to

    @property
    def sources(self) -> list[Path]:
        """The existing HR and LR patches, if there are any."""
        return [Path(path) for path in (self.existing, self.existing_lr if self.lr else None) if path]

    def validate(self) -> None:
        super().validate()
        how = find(self.to)
        other = f"`to` {self.to}" if not how.pixels else "`existing`" if self.existing is not None else ""
        if self.degradation is not None:
            if makes := "`lr` no" if not self.lr else other or ("`lr_root`" if self.lr_root is not None else ""):
                raise InputError(f"degradation: expected LR patches that are made, got {makes}")
            if self.depth == 16:
                raise InputError("depth: expected 8 with `degradation`, which makes LR of 8 bits, got 16")
        other = "`format` webp" if self.format == "webp" else other
        for name, value, plain in (("depth", self.depth, 8), ("channels", self.channels, 3)):
            if value != plain and other:
                raise InputError(f"{name}: expected {plain} with {other}, got {value}")
        if self.embed and not how.embedded:
            known = [name for name in TARGETS if FORMATS[name].embedded]
            raise InputError(f"embed: needs `to` {' or '.join(known)}, got {self.to!r}")
        if self.existing is not None and how.existing is None:
            known = [name for name in TARGETS if FORMATS[name].existing]
            raise InputError(f"existing: needs `to` to be one of {', '.join(known)}, got {self.to!r}")
        if self.existing is not None and self.lr and self.existing_lr is None:
            raise InputError("existing_lr: expected the place of the LR patches, or `lr` no, got none")


@dataclass(frozen=True, kw_only=True)
class ExportArguments(ExportSettings):
    """The settings of ``srfast.export``, and those that concern one call only."""

    resume: bool = setting(False, "Continue an interrupted export with the same settings.", SWITCH)
    progress: Progress | bool | None = progress("images done, images in all, patches written")
