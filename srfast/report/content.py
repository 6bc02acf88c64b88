"""The content of a page as plain values, and the formats of its numbers; the page depends on no tables or images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Value = float | int | bool | str | None
Status = Literal["", "kept", "dropped", "left"]


@dataclass(frozen=True)
class Fact:
    """One of the figures under the title."""

    term: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ColumnLabel:
    """How a value of a shot is shown on the page, and how a selection uses it."""

    label: str
    unit: str = ""
    kind: Literal["number", "flag", "word"] = "number"
    means: str = ""
    """Its explanation, on hover and in print."""


@dataclass(frozen=True)
class Shot:
    """A patch that can be looked at, or a whole image if ``x``, ``y`` and ``size`` are None.

    ``values`` are by the name of a column; the first is shown large. ``pictures`` are PNG, JPEG or WebP files by what
    they show: "hr" (at true pixels, on the card), "lr", "sr" and "error" beside it when the shot is opened, "whole"
    (the whole image, reduced). ``why`` is one sentence on why the shot is shown, kept or left out.
    """

    image: str
    x: int | None = None
    y: int | None = None
    size: int | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    status: Status = ""
    note: str = ""
    why: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture of its own, PNG, JPEG or WebP, and its caption."""

    data: bytes
    caption: str


@dataclass(frozen=True)
class Part:
    """A part of the decision: its heading, its sentence, and pictures."""

    title: str
    sentence: str
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class ShotGroup:
    """Shots under one caption; ``shots`` are their indices in ``Content.shots``, in display order."""

    caption: str
    shots: Sequence[int]


@dataclass(frozen=True)
class Gallery:
    """A row of groups with a heading; ``reason`` is what marks made in it write into rejects.csv."""

    id: str
    title: str
    groups: Sequence[ShotGroup]
    reason: str = ""


@dataclass(frozen=True)
class Listing:
    """Entries under a heading: (name, remark)."""

    title: str
    text: str
    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Content:
    """The whole content of a page.

    ``kind`` names the document ("report", "audit"), and so what it may replace. ``checksum`` identifies the table,
    under which a reader's marks are kept. ``explorer`` holds the data of the sliders (``explorer.py``), or None for a
    page of galleries only.
    """

    kind: str
    title: str
    lede: str = ""
    checksum: str = ""
    facts: Sequence[Fact] = ()
    decision: Sequence[Part] = ()
    known: str = ""
    """The studies' result for pools like this one, as a sentence."""
    columns: Mapping[str, ColumnLabel] = field(default_factory=dict)
    shots: Sequence[Shot] = ()
    galleries: Sequence[Gallery] = ()
    galleries_title: str = "The patches behind the numbers"
    galleries_text: str = ""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """In an audit, the images that are not kept as they are, each with the number of its shot."""
    listed: Sequence[Sequence[Any]] = ()
    """In an audit, the rows of the list of rejects, the columns first."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """In an audit, the meaning of each reason, in words."""
    listings: Sequence[Listing] = ()
    listings_title: str = "Not scored"
    settings: Sequence[tuple[str, Value]] = ()
    settings_text: str = ""
    explorer: Mapping[str, Any] | None = None
    wholes: Mapping[str, bytes] = field(default_factory=dict)
    """Whole images, reduced, by path; maps are drawn on them."""

    def data(self) -> dict[str, Any]:
        """The data for the page's script, without the pictures."""
        return {
            "kind": self.kind,
            "checksum": self.checksum,
            "columns": {k: {"label": c.label, "unit": c.unit, "kind": c.kind} for k, c in self.columns.items()},
            "shots": [_shot(shot) for shot in self.shots],
            "galleries": [
                {"id": g.id, "title": g.title, "reason": g.reason or g.title,
                 "groups": [{"caption": group.caption, "shots": list(group.shots)} for group in g.groups]}
                for g in self.galleries
            ],
            "explorer": self.explorer,
            **({"verdicts": list(self.verdicts), "listed": list(map(list, self.listed))} if self.listed else {}),
        }  # fmt: skip


def _shot(shot: Shot) -> dict[str, Any]:
    place = {} if shot.x is None else {"x": shot.x, "y": shot.y, "size": shot.size}
    words = {k: v for k, v in (("status", shot.status), ("note", shot.note), ("why", shot.why)) if v}
    return {"image": shot.image, **place, "values": dict(shot.values), **words}


def psnr(loss: float) -> str:
    """PSNR in dB of a mean squared error in units of [0, 255]^2."""
    return f"{10 * math.log10(255**2 / loss):.1f}" if loss > 0 else "∞"


def number(value: float) -> str:
    """A loss or score with three or four significant digits."""
    forms = {1000: ",.0f", 100: ".1f", 10: ".2f", 0.001: ".3f"}
    return format(value, next((form for least, form in forms.items() if value >= least), ".1e")) if value else "0"


def percent(part: float, whole: float = 1.0) -> str:
    """A percentage, with one decimal below 10 % and near 100 %."""
    value = 100 * part / whole if whole else 0.0
    digits = 0 if 10 <= value <= 90 or abs(value - round(value)) < 0.05 else 1
    return f"{value:.{digits}f} %"


def count(n: int, noun: str) -> str:
    """``1 patch``, ``2 patches``, ``3 images``."""
    plural = noun + ("es" if noun.endswith(("ch", "s", "x")) else "s")
    return f"{n:,} {noun if n == 1 else plural}"
