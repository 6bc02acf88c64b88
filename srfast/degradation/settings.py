"""The settings of degradations, declared once, without heavy imports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from srfast.errors import InputError
from srfast.runtime.progress import Progress
from srfast.settings import Kind, PathLike, Settings, path, paths, progress, setting, whole

LARGEST_SEED = 2**63 - 1
PRESETS = ("bicubic", "realesrgan", "neosr", "redux")
"""Degradations that come with the package."""
TRAINERS = ("basicsr", "neosr", "redux")


def _named(value: Any) -> str:
    """Keeps a name, and the absolute path of an existing file, since a run may be resumed from another folder."""
    text = os.fspath(value)
    if not isinstance(text, str) or not text.strip():
        raise ValueError
    return os.path.abspath(text) if os.path.isfile(text) or (text not in PRESETS and os.path.exists(text)) else text


NAMED = Kind("a TOML file or one of " + ", ".join(PRESETS), _named)


def degradation(help: str, **about: Any) -> Any:
    """The setting ``degradation``, which several stages have."""
    return setting(
        None, f"{help} A TOML file, or {', '.join(PRESETS[:-1])} or {PRESETS[-1]}.", NAMED, metavar="FILE_OR_PRESET",
        **about,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DegradeArguments(Settings):
    """The settings of ``srfast.degrade``."""

    degradation: PathLike | None = degradation("How LR images are made.", shown="bicubic")
    scale: int = setting(
        2,
        "Side of an HR image over that of its LR image, 1 to 8. Images are cropped at the right and the bottom to "
        "a multiple of it.",
        whole(1, 8),
    )
    seed: int = setting(0, "Random seed of the draws, at least 0.", whole(most=LARGEST_SEED))
    draws: int = setting(1, "Number of LR images for each image.", whole(1, 10_000), metavar="K")
    threads: int | None = setting(
        None, "Number of CPU threads; the images do not depend on it.", whole(1), shown="one per core"
    )
    show: PathLike | None = setting(
        None,
        "HTML page to write as well: draws beside the originals, with their settings in words.",
        path(),
        metavar="PAGE",
    )
    progress: Progress | bool | None = progress("images done, images in all, LR images written")

    def validate(self) -> None:
        super().validate()
        if self.show is not None and not str(self.show).endswith((".html", ".htm")):
            raise InputError(f"show: expected a name ending in .html, got {os.fspath(self.show)!r}")


@dataclass(frozen=True, kw_only=True)
class FitArguments(Settings):
    """The settings of ``srfast.workflows.fitting.fit_degradation``."""

    like: tuple[PathLike, ...] | None = setting(
        None, "LR images to imitate, or folders of them. Repeatable.", paths("LR images"), metavar="DIR", repeated=True
    )
    scale: int = setting(2, "Side of an HR image over that of its LR image, 1 to 8.", whole(1, 8))
    seed: int = setting(0, "Random seed of the draws, at least 0.", whole(most=LARGEST_SEED - 1))
    threads: int | None = setting(None, "Number of CPU threads.", whole(1), shown="one per core")
    show: PathLike | None = setting(
        None, "HTML page to write as well: the measures before and after, and pictures.", path(), metavar="PAGE"
    )
    progress: Progress | bool | None = progress("rounds done, rounds in all, 0")
