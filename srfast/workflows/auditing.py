"""A verdict on each image of a folder: whether to keep it, and why not."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, cast

import numpy as np
import pyarrow as pa

from srfast.coreset.copies import find_copies
from srfast.coreset.rejects import HEADER, values
from srfast.data.atomic import atomic_path, checksum
from srfast.data.files import output_file, output_folder
from srfast.data.images import ImageFile
from srfast.data.provenance import kind_of
from srfast.data.scratch import scratch_folder
from srfast.data.shrink import COLUMN as SHRINK
from srfast.errors import InputError
from srfast.report.verdict_page import audit_page
from srfast.report.writing import write_page
from srfast.scoring.defects.panel import COLUMNS
from srfast.scoring.defects.thresholds import THRESHOLDS, of_images, reasons
from srfast.scoring.pipeline import Images, write_scores
from srfast.scoring.rows import coded
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import ScoreArguments, ScoreSettings
from srfast.scoring.table import ScoreTable, one_table
from srfast.settings import documented
from srfast.workflows.settings import AuditArguments

P = ParamSpec("P")

MARKED = ".srfast-rejects"
"""Name of the file with the SHA-256 of those lists of rejects that audits wrote and nobody has edited since."""
_GRID = ("scale", "patch", "stride")
_COMPARED = tuple(f.name for f in fields(ScoreSettings) if f.metadata.get("compared"))
"""Settings of scoring that the columns of a table depend on."""
FILES = {"audit.html": "audit", "images.csv": "verdicts", MARKED: "rejects"}
WHOLE = ("small", "unreadable", "duplicate", "leak")
"""Reasons that are not thresholds: smaller than a patch, unreadable, a better copy exists, a test image."""


@dataclass
class Verdict:
    """The verdict on one image."""

    image: str
    verdict: str = "keep"
    """"keep", "reject" or "unreadable"."""
    reasons: list[str] = field(default_factory=list)
    keep_instead: str = ""
    """The better copy of a duplicate, or the test image of a leak."""
    said: str = ""
    """Why the image cannot be read, or its size."""
    values: dict[str, float] = field(default_factory=dict)
    """By column, the value by which the image is judged: that of the column's threshold, or the mean of its patches.
    NaN: the value is known for no patch."""
    patches: dict[str, list[int]] = field(default_factory=dict)
    """By reason, the rows of the table that are rejected although the image is kept."""

    def reject(self, reason: str) -> None:
        if self.verdict == "keep":
            self.verdict = "reject"
        self.reasons.append(reason)


@dataclass(frozen=True)
class Audited:
    """The result of ``audit``, and where its files are."""

    folder: Path
    verdicts: list[Verdict]
    table: ScoreTable
    """The score table with the columns that were judged."""
    rejects: Path
    """Path of the list of rejects: ``rejects.csv``, or ``rejects.new.csv`` if an earlier list was edited."""

    def counts(self) -> dict[str, tuple[int, int]]:
        """By reason, the number of rejected images, and of rejected patches of kept images."""
        names = [t.column for t in THRESHOLDS] + list(WHOLE)
        found = {
            name: (
                sum(name in v.reasons for v in self.verdicts),
                sum(len(v.patches.get(name, ())) for v in self.verdicts if v.verdict == "keep"),
            )
            for name in names
        }
        return {name: count for name, count in found.items() if any(count)}


class _Audit(Protocol[P]):
    """``audit`` as type checkers see it."""

    def __call__(
        self, images: Images, output: str | os.PathLike[str], *args: P.args, **kwargs: P.kwargs
    ) -> Audited: ...


def _typed(settings: Callable[P, AuditArguments]) -> Callable[[Callable[..., Audited]], _Audit[P]]:
    return cast(Any, documented(cast(Any, settings)))


@_typed(AuditArguments)
def audit(images: Images, output: str | os.PathLike[str], **options: Any) -> Audited:
    """Looks for images that spoil a training set, and judges each. No image is moved or deleted.

    Three files are written: ``images.csv`` (image, verdict, reasons, keep_instead, then a value for each column: the
    mean of the patches, or what a share of them reaches), ``rejects.csv`` (image, x, y, size, reason, for ``select
    --reject``; an empty x, y and size stand for the whole image) and ``audit.html`` (galleries by reason). An image is
    rejected if it is beyond a threshold for images (``srfast.scoring.defects.thresholds``), if a better copy of it is
    among the images (larger, then lossless, then of higher JPEG quality, then first by path), if it shows a test image,
    or if it is smaller than a patch. Of the images that are kept, the patches beyond the threshold for patches are
    listed.

    Args:
        images: Files and folders, or one score table or all shards of one. The images of a table are read again if it
            lacks columns of defects; otherwise no setting of scoring can be given.
        output: The folder to write to.
        **options: settings

    Returns:
        The verdicts, in the order of the images' paths.

    Raises:
        InputError: an argument is wrong, there is no image, or an image has changed since the table was made.
        RunError: the disk is full.
    """
    asked = AuditArguments.of(options)
    inputs = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    folder = Path(output)
    with output_folder(folder, "audit", inputs, FILES):
        table = _columns(inputs, asked)
        root = Path(table.meta["root"])
        verdicts = _judge(table)
        _copies(verdicts, root, asked.against)
        if asked.patches:
            _repeats(verdicts, table, asked.against)
        listed = _write(folder, verdicts, table)
        write_page(audit_page(verdicts, table, root), folder / "audit.html")
    return Audited(folder, list(verdicts.values()), table, listed)


def _columns(inputs: list[Any], asked: AuditArguments) -> ScoreTable:
    """The columns of defects of the images, or of the images of a table."""
    settings = asked.part(ScoreArguments)
    if settings.several_sizes:
        raise InputError("shrink: audit judges images as they are; leave it out")
    tables = [given for given in inputs if kind_of(given) in ("score table", "core-set") or _parts(given)]
    if not tables:
        return _measured(inputs, settings)
    names = ", ".join(map(os.fspath, tables[:3]))
    if len(tables) < len(inputs):
        other = next(given for given in inputs if given not in tables)
        raise InputError(f"{other}: expected no images beside a score table ({tables[0]}); audit them by themselves")
    table = one_table(tables, allow_missing_shards=asked.allow_missing_shards)
    if SHRINK in table.columns:
        raise InputError(f"{names}: expected images at their own size, got scores of several (shrink); name the images")
    judged, plain = any(t.column in table.columns for t in THRESHOLDS), AuditArguments()
    for name in _COMPARED if judged else _GRID:
        if getattr(asked, name) != getattr(plain, name):
            raise InputError(f"{name}: a score table has its own; leave it out, or name the images instead of {names}")
    root, meta = Path(table.meta["root"]), table.meta
    if judged:
        _check_images(ScoredImages.of(meta, name=names))
        return table
    images = [root / name for name in meta["images"]]
    found = _measured(images, replace(settings, scale=meta["scale"], patch=meta["patch"], stride=meta["stride"]))
    below = Path(os.path.relpath(found.meta["root"], root))  # the images' closest folder may lie deeper

    def renamed(name: str) -> str:
        return (below / name).as_posix()

    names = pa.array([renamed(name) for name in found.table.column("image").to_pylist()], pa.string())
    about = {**found.meta, "root": str(root)}
    about["images"] = {renamed(name): state for name, state in found.meta["images"].items()}
    for key in ("skipped", "small"):
        about[key] = [{**entry, "image": renamed(entry["image"])} for entry in found.meta[key]]
    return ScoreTable(found.table.set_column(0, found.table.schema.field("image"), names), about)


def _check_images(images: ScoredImages) -> None:
    """Refuses images that are not as they were scored."""
    for name in images.meta["images"]:
        if not (images.root / name).exists():
            raise InputError(f"{images.root / name}: is missing since it was scored; score the images again")
        images.check(name)


def _measured(images: list[Any], settings: ScoreArguments) -> ScoreTable:
    with scratch_folder(None, "audit") as folder:
        return ScoreTable.read(write_scores(images, folder / "scores.parquet", settings).path)


def _parts(path: Any) -> bool:
    return os.path.isdir(path) and any(Path(path).glob("part-*.parquet"))


def _judge(table: ScoreTable) -> dict[str, Verdict]:
    """Judges images by thresholds, by size, and by whether they can be read."""
    names, codes = coded(table.table.column("image"))
    skipped = {entry["image"]: entry["reason"] for entry in table.meta.get("skipped", [])}
    small = {entry["image"]: (entry["width"], entry["height"]) for entry in table.meta.get("small", [])}
    verdicts = {name: Verdict(name) for name in sorted({*names, *skipped, *small})}
    for name, why in skipped.items():
        verdicts[name].verdict, verdicts[name].said = "unreadable", why
        verdicts[name].reasons.append("unreadable")
    for name, (width, height) in small.items():
        verdicts[name].said = f"{width} x {height}"
        verdicts[name].reject("small")
    columns = {c.name: values(table.table, c.name) for c in COLUMNS if c.name in table.columns}
    for column, found in columns.items():
        for name, value in zip(names, of_images(column, found, codes).tolist(), strict=True):
            verdicts[name].values[column] = value
    beyond = reasons(columns, codes)
    for t in THRESHOLDS:
        if t.column not in columns:
            continue
        for name, whole in zip(names, t.against_images(columns[t.column], codes).tolist(), strict=True):
            if whole:
                verdicts[name].reject(t.column)
        for row in np.flatnonzero(beyond[t.column]).tolist():
            of = verdicts[names[codes[row]]]
            if of.verdict == "keep" or t.column not in of.reasons:
                of.patches.setdefault(t.column, []).append(row)
    return verdicts


def _copies(verdicts: dict[str, Verdict], root: Path, against: Sequence[str | os.PathLike[str]]) -> None:
    """Rejects all but the best copy of each image, and copies of test images."""
    readable = [ImageFile(root, name, 0, 0) for name, v in verdicts.items() if v.verdict != "unreadable"]
    if not readable:
        return
    found = find_copies(readable, against=against)
    for name, best in found.keep_instead.items():
        verdicts[name].keep_instead = best
        verdicts[name].reject("duplicate")
    for name, test in found.leaks.items():
        verdicts[name].keep_instead = verdicts[name].keep_instead or test
        verdicts[name].reject("leak")


def _repeats(verdicts: dict[str, Verdict], table: ScoreTable, against: Sequence[str | os.PathLike[str]]) -> None:
    """Rejects patches that repeat an earlier one or show a test image."""
    from srfast.coreset.duplicates import find_duplicates

    found = find_duplicates(table, list(against)).table
    for row, name in enumerate(table.column("image").tolist()):
        if found["duplicate"][row]:
            verdicts[name].patches.setdefault("duplicate", []).append(row)
        if found["leak"][row] is not None:
            verdicts[name].patches.setdefault("leak", []).append(row)


def _write(folder: Path, verdicts: dict[str, Verdict], table: ScoreTable) -> Path:
    """Writes the two lists. If the list of rejects was edited, it stays, and a new one is written beside it."""
    columns = [c.name for c in COLUMNS if c.name in table.columns]
    summary, rejects = io.StringIO(), io.StringIO()
    writer = csv.writer(summary, lineterminator="\n")
    writer.writerow(["image", "verdict", "reasons", "keep_instead", *columns])
    listed = csv.writer(rejects, lineterminator="\n")
    listed.writerow(HEADER)
    places = [table.column(n) for n in ("x", "y", "size")]
    for v in verdicts.values():
        judged = [_short(v.values.get(c, np.nan)) for c in columns]
        writer.writerow([v.image, v.verdict, ";".join(v.reasons), v.keep_instead, *judged])
        if v.verdict != "keep":
            listed.writerow([v.image, "", "", "", ";".join(v.reasons)])
            continue
        for reason, rows in v.patches.items():
            for row in rows:
                listed.writerow([v.image, *(int(p[row]) for p in places), reason])
    data = rejects.getvalue().encode("utf-8")
    mark = folder / MARKED
    ours = set(mark.read_text(encoding="utf-8").split()[3:]) if mark.exists() else set()
    place = next(p for p in _places(folder) if not p.exists() or checksum(p) in ours)
    known = {checksum(p) for p in folder.glob("rejects*.csv")} & ours
    # Written before the list: one that no mark names was edited.
    marked = "\n".join(["# srfast rejects", *sorted({*known, hashlib.sha256(data).hexdigest()})]).encode()

    def judge() -> None:
        if place.exists() and checksum(place) not in ours:
            raise InputError(f"{place}: has come while the images were judged; run again for a list beside it")

    with output_file(folder / "images.csv", "verdicts") as temporary:
        temporary.write_bytes(summary.getvalue().encode("utf-8"))
    with atomic_path(mark) as temporary:
        temporary.write_bytes(marked)
    with atomic_path(place, judge=judge) as temporary:
        temporary.write_bytes(data)
    return place


def _places(folder: Path) -> Iterator[Path]:
    yield folder / "rejects.csv"
    yield folder / "rejects.new.csv"
    yield from (folder / f"rejects.new-{number}.csv" for number in itertools.count(2))


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"
