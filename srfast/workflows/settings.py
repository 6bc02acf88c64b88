"""The settings of functions that span stages, without heavy imports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srfast.scoring.settings import ANY, MODES, Mode, ScoreRun, allow_missing_shards
from srfast.settings import SWITCH, one_of, paths, setting

if TYPE_CHECKING:
    from srfast.scoring.network import Scorer


@dataclass(frozen=True, kw_only=True)
class AuditArguments(ScoreRun):
    """All arguments of ``srfast.audit`` except the images and the folder: those of scoring, and its own."""

    scorer: Scorer = setting(
        "bicubic",
        "Network that reconstructs the patches, as for `srfast score`; bicubic needs none.",
        ANY,
        metavar="srcnn|bicubic|PATH",
    )
    mode: Mode = setting("dense", "How patches are scored, as for `srfast score`.", one_of(*MODES))
    skip_bad: bool = setting(True, "Go on after files that cannot be read; their verdict is unreadable.", SWITCH)
    defects: bool = setting(True, "Measure the defects by which images are judged.", SWITCH)
    against: tuple[str | os.PathLike[str], ...] = setting(
        (),
        "Test images, or folders of them; copies of them are rejected. Repeatable.",
        paths("folders and files"),
        metavar="DIR",
        repeated=True,
    )
    allow_missing_shards: bool = allow_missing_shards()
    patches: bool = setting(False, "Also compare patch by patch for near-duplicates, as `srfast dedup` does.", SWITCH)
