"""The settings of functions that span stages. Free of heavy imports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srfast.scoring.settings import ANY, MODES, Mode, ScoreRun
from srfast.settings import SWITCH, one_of, paths, setting

if TYPE_CHECKING:
    from srfast.scoring.network import Scorer


@dataclass(frozen=True, kw_only=True)
class AuditArguments(ScoreRun):
    """Everything that ``srfast.audit`` takes beside the images and the folder: the settings of scoring, and its own."""

    scorer: Scorer = setting(
        "bicubic",
        "The network that scores, as for `srfast score`; bicubic needs none.",
        ANY,
        metavar="srcnn|bicubic|PATH",
    )
    mode: Mode = setting("dense", "How patches are scored, as for `srfast score`.", one_of(*MODES))
    skip_bad: bool = setting(True, "Go on after files that cannot be read, which are verdicts too.", SWITCH)
    defects: bool = setting(True, "Measure the columns that are judged.", SWITCH)
    against: tuple[str | os.PathLike[str], ...] = setting(
        (),
        "Folders and files of test images, copies of which are rejected. Repeatable.",
        paths("folders and files"),
        metavar="DIR",
        repeated=True,
    )
    patches: bool = setting(False, "Look for near-duplicates patch by patch too, as `srfast dedup` does.", SWITCH)
