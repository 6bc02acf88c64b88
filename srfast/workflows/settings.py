"""The settings of functions that span stages, without heavy imports."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from srfast.coreset.settings import Selection
from srfast.errors import InputError
from srfast.scoring.settings import ANY, AUTO, MODES, Mode, ScoreArguments, ScoreRun, allow_missing_shards
from srfast.settings import SWITCH, Settings, one_of, paths, setting

if TYPE_CHECKING:
    from srfast.scoring.network import Scorer
    from srfast.scoring.pipeline import Summary

Trainer = Literal["redux", "neosr"]
Preset = Literal["paper"]


def _decided(of: type[Settings], name: str, shown: str) -> Any:
    """A setting of another stage whose default ``prune`` decides."""
    field = of.__dataclass_fields__[name]
    return setting(field.default, **{**field.metadata, "shown": f"{shown}"})


def tests(fate: str) -> Any:
    """The setting ``against``, which audit and prune have."""
    return setting(
        (),
        f"Test images, or folders of them; copies of them are {fate}. Repeatable.",
        paths("folders and files"),
        metavar="DIR",
        repeated=True,
    )


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
    skip_bad: bool = setting(True, "Continue after files that cannot be read; their verdict is unreadable.", SWITCH)
    defects: bool = setting(True, "Measure the defects by which images are judged.", SWITCH)
    against: tuple[str | os.PathLike[str], ...] = tests("rejected")
    allow_missing_shards: bool = allow_missing_shards()
    patches: bool = setting(False, "Also compare patch by patch for near-duplicates, as `srfast dedup` does.", SWITCH)


@dataclass(frozen=True, kw_only=True)
class PruneArguments(ScoreRun, Selection):
    """The settings of ``srfast.score`` and of ``srfast.select``, and those of the decision."""

    preset: Preset | None = setting(
        None,
        "Fixed settings instead of the decision. paper: as in the paper, nothing is left out, each patch is scored by "
        "itself at full size, and the hardest half is kept.",
        one_of(*get_args(Preset)),
        shown="srfast decides",
    )
    quick: bool = setting(False, "Rank patches by bicubic error, without the network.", SWITCH)
    against: tuple[str | os.PathLike[str], ...] = tests("left out")
    clean: bool | None = setting(  # type: ignore[assignment]
        None,
        "Leave out images and patches beyond the limits of the defects, and copies of other images.",
        SWITCH,
        off="--no-clean",
        shown="yes; no with `preset` paper",
    )
    mode: Mode = _decided(ScoreRun, "mode", "dense")  # noqa: RUF009 (it is a field)
    stride: int | None = _decided(ScoreRun, "stride", "half of a patch")
    shrink: str | Sequence[str | float] = _decided(ScoreRun, "shrink", "auto")
    keep: float | None = _decided(Selection, "keep", "`keep_loss` decides")
    keep_loss: float | None = _decided(Selection, "keep_loss", "that of docs/will-it-help.md")
    trainer: Trainer | None = setting(
        None,
        "Also write the pairs and a whole configuration for this trainer: traiNNer-redux or neosr.",
        one_of(*get_args(Trainer)),
        flag="--for",
        shown="no pairs are written",
    )
    scored: Callable[[Summary], None] | None = setting(
        None, "Function that is called with the summary of the scores when they are written.", ANY, python=True
    )

    @property
    def decides(self) -> bool:
        """Whether srfast decides what is not given."""
        return self.preset is None

    def scoring(self, given: Mapping[str, Any]) -> ScoreArguments:
        """The settings of the scoring: those that are given, and otherwise the decision's or the preset's."""
        if self.quick and "scorer" in given:
            raise InputError(
                f"quick: ranks by bicubic error, got scorer {self.scorer!r} too", hint="leave out one of the two"
            )
        chosen: dict[str, Any] = {"defects": True} if self.clean else {}
        if self.decides:
            from srfast.ops.defects import SMALLEST

            half = max(self.scale, self.patch // 2 // self.scale * self.scale)
            chosen = {"mode": "dense", "stride": half, "defects": self.patch >= SMALLEST and given.get("defects", True)}
            if chosen["defects"] and self.lr_images is None and self.loader == "srfast":
                chosen["shrink"] = AUTO
        if self.quick:
            chosen["scorer"] = "bicubic"
        names = ScoreRun.__dataclass_fields__
        values = {n: getattr(self, n) for n in names if n in given}
        return ScoreArguments(**{**chosen, **values, "resume": self.resume or None})
