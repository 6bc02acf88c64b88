"""The verdict on each image of a pool (keep it, take it smaller, leave it out), and the lists that say so."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from srfast.coreset.copies import find_copies
from srfast.coreset.rejects import HEADER, REASONS, read_rejects, values
from srfast.data.atomic import atomic_path, checksum
from srfast.data.files import output_file
from srfast.data.images import ImageFile, read_rgb
from srfast.data.shrink import shrunk, sizes_of
from srfast.errors import InputError
from srfast.scoring.defect_columns import DEFECTS, SOFT, THRESHOLDS, choose, measure, of_images, reasons
from srfast.scoring.rows import coded
from srfast.scoring.settings import ScoreSettings
from srfast.scoring.table import ScoreTable

MARKED = ".srfast-rejects"
"""Name of the file with the SHA-256 of those lists of rejects that were written here and nobody has edited since."""
WHOLE = ("small", "unreadable", *REASONS)
"""Reasons that are not thresholds: smaller than a patch, unreadable, a better copy exists, a test image."""


@dataclass
class Verdict:
    """The verdict on one image."""

    image: str
    verdict: str = "keep"
    """"keep", "shrink", "reject" or "unreadable"."""
    reasons: list[str] = field(default_factory=list)
    """Why it is not kept as it is."""
    size: str = "1"
    """The largest size at which the image is taken, as a fraction."""
    keep_instead: str = ""
    """The better copy of a duplicate, or the test image of a leak."""
    said: str = ""
    """Why the image cannot be read, or its size."""
    values: dict[str, float] = field(default_factory=dict)
    """By column, the value by which the image is judged, at the largest size that was scored: that of the column's
    threshold, or the mean of its patches. NaN: the value is known for no patch."""
    out: dict[str, list[str]] = field(default_factory=dict)
    """By size of the table that is beyond a threshold as a whole, the reasons, although the image is taken at
    another."""
    patches: dict[str, list[int]] = field(default_factory=dict)
    """By reason, the rows of the table that are rejected although their image is kept at that size."""

    @property
    def taken(self) -> bool:
        """Whether the image is used, at whatever size."""
        return self.verdict in ("keep", "shrink")

    def reject(self, reason: str) -> None:
        if self.taken:
            self.verdict, self.reasons = "reject", []
        self.reasons.append(reason)


def judge(table: ScoreTable) -> dict[str, Verdict]:
    """Judges images by thresholds, at each size that was scored, by size, and by whether they can be read."""
    names, codes = coded(table.table.column("image"))
    skipped = {entry["image"]: entry["reason"] for entry in table.meta.get("skipped", [])}
    scored = set(names)
    small = {e["image"]: (e["width"], e["height"]) for e in table.meta.get("small", []) if e["image"] not in scored}
    verdicts = {name: Verdict(name) for name in sorted({*names, *skipped, *small})}
    for name, why in skipped.items():
        verdicts[name].verdict, verdicts[name].said = "unreadable", why
        verdicts[name].reasons.append("unreadable")
    for name, (width, height) in small.items():
        verdicts[name].said = f"{width} x {height}"
        verdicts[name].reject("small")
    sizes, at = sizes_of(table.table, table.meta)
    # Each image at each size, the largest first.
    groups, member = np.unique(codes.astype(np.int64) * len(sizes) + at, return_inverse=True)
    of = [(verdicts[names[g // len(sizes)]], str(sizes[g % len(sizes)])) for g in groups.tolist()]
    columns = {c.name: values(table.arrow(c.name)) for c in DEFECTS if c.name in table.columns}
    for column, measured in columns.items():
        for (verdict, _), value in zip(of, of_images(column, measured, member).tolist(), strict=True):
            verdict.values.setdefault(column, value)
    known = [t for t in THRESHOLDS if t.column in columns]
    whole = {t.column: t.against_images(columns[t.column], member) for t in known}
    taken: dict[str, list[str]] = {}
    for i, (verdict, size) in enumerate(of):
        if why := [t.column for t in known if whole[t.column][i]]:
            verdict.out[size] = why
        else:
            taken.setdefault(verdict.image, []).append(size)
    for name in names:
        _conclude(verdicts[name], taken.get(name, []), table.meta["images"].get(name, {}).get("tried", {}))
    beyond = reasons(columns, member)
    for t in known:
        for row in np.flatnonzero(beyond[t.column]).tolist():
            verdict, size = of[member[row]]
            if verdict.taken and size not in verdict.out:
                verdict.patches.setdefault(t.column, []).append(row)
    return verdicts


def _conclude(verdict: Verdict, sizes: list[str], tried: Mapping[str, Mapping[str, float]]) -> None:
    """Judges an image of which these sizes are beyond no threshold, and others were tried and not scored."""
    passed = {
        size: [t.column for t in SOFT if t.beyond(np.float64(means.get(t.column, np.nan)), t.image)]
        for size, means in tried.items()
    }
    if not sizes:
        for reason in dict.fromkeys(itertools.chain(*verdict.out.values(), *passed.values())):
            verdict.reject(reason)
        verdict.out = {}
    elif sizes[0] != "1":
        verdict.verdict, verdict.size = "shrink", sizes[0]
        larger = [why for size, why in {**passed, **verdict.out}.items() if Fraction(size) > Fraction(sizes[0])]
        verdict.reasons = list(dict.fromkeys(itertools.chain(*larger)))


def find_sizes(verdicts: Mapping[str, Verdict], root: Path, settings: ScoreSettings) -> None:
    """Finds the size at which soft images are taken of which only the full size was judged. They are read again."""
    for verdict in verdicts.values():
        if verdict.verdict == "reject" and {t.column for t in SOFT} & set(verdict.reasons):
            if size := _smaller(read_rgb(root / verdict.image), settings):
                verdict.verdict, verdict.size = "shrink", size


def _smaller(hr: np.ndarray, settings: ScoreSettings) -> str | None:
    """The largest size below the full one at which an image is beyond no threshold."""
    made: dict[str, dict[str, np.ndarray]] = {}

    def measured(size: str) -> dict[str, np.ndarray] | None:
        small = shrunk(hr, float(Fraction(size)))
        if grid := settings.grid(*small.shape[:2]):
            made[size] = measure(small, None, grid)
        return made.get(size)

    def beyond(columns: dict[str, np.ndarray]) -> bool:
        single = np.zeros(len(columns["blur"]), np.int64)
        return any(
            t.against_images(columns[t.column].astype(np.float64), single)[0] for t in THRESHOLDS if t.column in columns
        )

    return next((size for size in choose(measured).sizes if size != "1" and not beyond(made[size])), None)


def follow(verdicts: Mapping[str, Verdict], path: Path) -> None:
    """Changes verdicts to what a list of rejects says of whole images; the reasons stay, as what was found."""
    said = {r.image: r for r in read_rejects(path) if r.place is None and r.shrink is None}
    for verdict in verdicts.values():
        if verdict.verdict == "unreadable" or "small" in verdict.reasons:
            continue
        if (entry := said.get(verdict.image)) is None:
            verdict.verdict, verdict.size = "keep", "1"
        elif entry.above is not None:
            verdict.verdict, verdict.size = "shrink", entry.reason.removeprefix("shrink to ")
        else:
            verdict.verdict = "reject"
            verdict.reasons = verdict.reasons or entry.reason.split(";")


def reject_copies(verdicts: dict[str, Verdict], root: Path, against: Sequence[Any], copies: bool = True) -> None:
    """Rejects copies of test images and, with ``copies``, all but the best copy of each image."""
    readable = [ImageFile(root, name, 0, 0) for name, v in verdicts.items() if v.verdict != "unreadable"]
    better, leaks = find_copies(readable, against)
    for name, best in better.items() if copies else ():
        verdicts[name].keep_instead = best
        verdicts[name].reject("duplicate")
    for name, test in leaks.items():
        verdicts[name].keep_instead = verdicts[name].keep_instead or test
        verdicts[name].reject("leak")


def list_of(verdicts: Mapping[str, Verdict], table: ScoreTable) -> list[list[Any]]:
    """The rows of a list of rejects, the columns first."""
    places = [table.column(n) for n in ("x", "y", "size")]
    sizes, at = sizes_of(table.table, table.meta)
    # A size of an image, or a patch at one of several, takes a sixth column.
    several = len(sizes) > 1 and any(v.taken and (v.out or v.patches) for v in verdicts.values())
    lines: list[list[Any]] = [[*HEADER, "shrink"] if several else [*HEADER]]
    for v in verdicts.values():
        if not v.taken:
            lines.append([v.image, "", "", "", ";".join(v.reasons), *[""] * several])
            continue
        if v.verdict == "shrink":
            lines.append([v.image, "", "", "", f"shrink to {v.size}", *[""] * several])
        for size, why in v.out.items():
            if Fraction(size) < Fraction(v.size):
                lines.append([v.image, "", "", "", ";".join(why), float(Fraction(size))])
        for reason, rows in v.patches.items():
            for row in rows:
                of = float(sizes[at[row]])
                if of <= float(Fraction(v.size)):
                    lines.append([v.image, *(int(p[row]) for p in places), reason, *[of] * several])
    return lines


def write_lists(folder: Path, verdicts: dict[str, Verdict], table: ScoreTable) -> Path:
    """Writes the two lists. If the list of rejects was edited, it stays, and a new one is written beside it."""
    columns = [c.name for c in DEFECTS if c.name in table.columns]
    summary: list[list[Any]] = [["image", "verdict", "reasons", "keep_instead", *columns, "size"]]
    for v in verdicts.values():
        judged = ["" if np.isnan(value := v.values.get(c, np.nan)) else f"{value:.4g}" for c in columns]
        summary.append([v.image, v.verdict, ";".join(v.reasons), v.keep_instead, *judged, v.size if v.taken else ""])
    data = _csv(list_of(verdicts, table))
    mark, ours = folder / MARKED, of_ours(folder)
    names = itertools.chain(("rejects.csv", "rejects.new.csv"), (f"rejects.new-{n}.csv" for n in itertools.count(2)))
    place = next(p for p in (folder / name for name in names) if not p.exists() or checksum(p) in ours)
    known = {checksum(p) for p in folder.glob("rejects*.csv")} & ours
    # Written before the list: one that no mark names was edited.
    marked = "\n".join(["# srfast rejects", *sorted({*known, hashlib.sha256(data).hexdigest()})]).encode()

    def judge() -> None:
        if place.exists() and checksum(place) not in ours:
            raise InputError(f"{place}: has come while the images were judged", hint="run again for a list beside it")

    with output_file(folder / "images.csv", "verdicts") as temporary:
        temporary.write_bytes(_csv(summary))
    with atomic_path(mark) as temporary:
        temporary.write_bytes(marked)
    with atomic_path(place, judge=judge) as temporary:
        temporary.write_bytes(data)
    return place


def of_ours(folder: Path) -> set[str]:
    """The SHA-256 of the lists that were written into a folder by ``write_lists``."""
    mark = folder / MARKED
    return set(mark.read_text(encoding="utf-8").split()[3:]) if mark.exists() else set()


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")
