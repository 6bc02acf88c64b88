"""A verdict on each image of a folder: whether to keep it, and why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data.atomic import scratch_folder
from srfast.data.files import output_folder, table_files
from srfast.data.provenance import kind_of
from srfast.data.shrink import COLUMN as SHRINK
from srfast.errors import InputError
from srfast.report.verdict_page import audit_page
from srfast.report.writing import write_page
from srfast.scoring.defect_columns import THRESHOLDS
from srfast.scoring.pipeline import Images, write_scores
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import ScoreArguments, ScoreSettings
from srfast.scoring.table import ScoreTable, is_rows, names_of, one_table
from srfast.settings import documented
from srfast.workflows.settings import AuditArguments
from srfast.workflows.verdicts import MARKED, WHOLE, Verdict, find_sizes, judge, reject_copies, write_lists

_GRID = ("scale", "patch", "stride")
_COMPARED = tuple(f.name for f in fields(ScoreSettings) if f.metadata.get("compared"))
"""Settings of scoring that the columns of a table depend on."""
FILES = {"audit.html": "audit", "images.csv": "verdicts", MARKED: "rejects"}


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
        """By reason, the number of images that are rejected or taken smaller, and of rejected patches of the others."""
        names = [t.column for t in THRESHOLDS] + list(WHOLE)
        counts = {
            name: (
                sum(name in v.reasons for v in self.verdicts),
                sum(len(v.patches.get(name, ())) for v in self.verdicts if v.taken),
            )
            for name in names
        }
        return {name: count for name, count in counts.items() if any(count)}


@documented(AuditArguments)
def audit(images: Images, output: str | os.PathLike[str], **options: Any) -> Audited:
    """Looks for images that spoil a training set, and judges each. No image is moved or deleted.

    Three files are written: ``images.csv`` (image, verdict, reasons, keep_instead, then a value for each column: the
    mean of the patches, or what a share of them reaches, and the size at which it is taken), ``rejects.csv`` (image, x,
    y, size, reason, for ``select --reject``; an empty x, y and size stand for the whole image) and ``audit.html``
    (the rejected images, to decide). An image is rejected if it is beyond a threshold for images
    (``srfast.scoring.defect_columns``), if a better copy of it is among the images (larger, then lossless, then of
    higher JPEG quality, then first by path), if it shows a test image, or if it is smaller than a patch. A soft image
    that is beyond no threshold at a smaller size gets the verdict shrink. The patches beyond the threshold for
    patches are listed for the images that are kept.

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
    arguments = AuditArguments.of(options)
    inputs: list[Any] = [images] if isinstance(images, (str, os.PathLike)) or is_rows(images) else list(images)
    folder = Path(output)
    with output_folder(folder, "audit", [given for given in inputs if not is_rows(given)], FILES):
        table = _columns(inputs, arguments)
        root = Path(table.meta["root"])
        verdicts = judge(table)
        if "shift" not in table.columns:  # given LR images exist only for whole images
            find_sizes(verdicts, root, arguments.part(ScoreSettings))
        reject_copies(verdicts, root, arguments.against)
        if arguments.patches:
            _repeats(verdicts, table, arguments.against)
        page = audit_page(verdicts, table, root)
        listed = write_lists(folder, verdicts, table)
        write_page(page, folder / "audit.html")
    return Audited(folder, list(verdicts.values()), table, listed)


def _columns(inputs: list[Any], arguments: AuditArguments) -> ScoreTable:
    """The columns of defects of the images, or of the images of a table."""
    settings = arguments.part(ScoreArguments)
    if settings.several_sizes:
        raise InputError("shrink: audit judges images as they are", hint="leave it out")
    tables = [
        given
        for given in inputs
        if is_rows(given)
        or kind_of(given) in ("score table", "core-set")
        or (os.path.isdir(given) and table_files(given))
    ]
    if not tables:
        return _measured(inputs, settings)
    names = ", ".join(names_of(tables[:3]))
    if len(tables) < len(inputs):
        other = next(given for given in inputs if not any(given is table for table in tables))
        raise InputError(
            f"{other}: expected no images beside a score table ({names_of(tables)[0]})", hint="audit them by themselves"
        )
    table = one_table(tables, allow_missing_shards=arguments.allow_missing_shards)
    if SHRINK in table.columns:
        raise InputError(
            f"{names}: expected images at their own size, got scores of several (shrink)", hint="name the images"
        )
    judged, plain = any(t.column in table.columns for t in THRESHOLDS), AuditArguments()
    for name in _COMPARED if judged else _GRID:
        if getattr(arguments, name) != getattr(plain, name):
            raise InputError(
                f"{name}: a score table has its own", hint=f"leave it out, or name the images instead of {names}"
            )
    root, meta = Path(table.meta["root"]), table.meta
    if judged:
        scored = ScoredImages.of(meta, name=names)
        if missing := [name for name in meta["images"] if not (root / name).exists()]:
            raise InputError(f"{root / missing[0]}: is missing since it was scored", hint="score the images again")
        scored.check_all(meta["images"])
        return table
    images = [root / name for name in meta["images"]]
    given = {"lr_images": meta["lr"], "lr_template": meta["lr_template"]} if meta["scale"] == 1 else {}
    how = replace(settings, scale=meta["scale"], patch=meta["patch"], stride=meta["stride"], **given)
    measured = _measured(images, how)
    below = Path(os.path.relpath(measured.meta["root"], root))  # the images' closest folder may lie deeper

    def renamed(name: str) -> str:
        return (below / name).as_posix()

    names = pa.array([renamed(name) for name in measured.table.column("image").to_pylist()], pa.string())
    about = {**measured.meta, "root": str(root)}
    about["images"] = {renamed(name): state for name, state in measured.meta["images"].items()}
    for key in ("skipped", "small"):
        about[key] = [{**entry, "image": renamed(entry["image"])} for entry in measured.meta[key]]
    return ScoreTable(measured.table.set_column(0, measured.table.schema.field("image"), names), about)


def _measured(images: list[Any], settings: ScoreArguments) -> ScoreTable:
    with scratch_folder(None, "audit") as folder:
        return ScoreTable.read(write_scores(images, folder / "scores.parquet", settings).path)


def _repeats(verdicts: dict[str, Verdict], table: ScoreTable, against: Sequence[str | os.PathLike[str]]) -> None:
    """Rejects patches that repeat an earlier one or show a test image."""
    from srfast.coreset.duplicates import find_duplicates

    duplicates = find_duplicates(table, list(against)).table
    for row, name in enumerate(table.column("image").tolist()):
        if duplicates["duplicate"][row]:
            verdicts[name].patches.setdefault("duplicate", []).append(row)
        if duplicates["leak"][row] is not None:
            verdicts[name].patches.setdefault("leak", []).append(row)
