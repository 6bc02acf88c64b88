"""Writing the report: checks, content, one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from srfast.coreset.selection import CoreSet
from srfast.data.files import check_output, output_file
from srfast.report.assembly import assemble
from srfast.report.content import Content
from srfast.report.report import report
from srfast.report.scores import read_scores
from srfast.scoring.table import KEY, ScoreTable, encode_meta


def write_report(
    table: ScoreTable | pa.Table,
    coreset: CoreSet | pa.Table | None,
    path: Path | str,
    *,
    root: Path | str | None = None,
    scorer: Path | str | None = None,
    source: Sequence[str] = ("scores.parquet",),
) -> Path:
    """Writes the report of a score table, and of the core-set selected from it, as one HTML file.

    The file needs no network and no other file. The same tables, images and Pillow give the same bytes.

    Args:
        table: the scores; an Arrow table has the columns and the ``srfast`` metadata of scores.parquet.
        coreset: the rows of ``table`` that were selected; None shows the scores only.
        path: where the HTML file goes; it appears whole or not at all.
        root: the folder the image paths are relative to, where it is not the one the table was made from.
        scorer: the file of the network that the table was scored by, where it is not a shipped one: its LR, SR and
            error are shown too.
        source: the files of the score table, for the commands that the page gives.

    Returns:
        ``path``.

    Raises:
        InputError: not a score table, no rows, scores that are not finite and >= 0, an image path that leaves
            the root, another network than the table's, a core-set whose rows are not in the table, or a place that
            cannot be written to or holds a file that is not a report.
        RunError: the disk is full.
    """
    path = Path(path)
    check_output(path, "report")
    rows = None if coreset is None else _arrow(coreset)
    where, network = (None if given is None else Path(given) for given in (root, scorer))
    scores = read_scores(_arrow(table), rows, root=where, scorer=network)
    return write_page(report(scores, source), path)


def write_page(content: Content, path: Path | str) -> Path:
    """Writes a page as one HTML file, which appears whole or not at all and replaces nothing but its own kind.

    Raises:
        InputError: a place that cannot be written to, or that holds a file of another kind than ``content.kind``.
        RunError: the disk is full.
    """
    path = Path(path)
    check_output(path, content.kind)
    with output_file(path, content.kind) as temporary:
        temporary.write_text(assemble(content), encoding="utf-8", newline="\n")
    return path


def _arrow(table: ScoreTable | CoreSet | pa.Table) -> pa.Table:
    """The rows with their metadata: in memory a ScoreTable keeps it beside the Arrow table."""
    if isinstance(table, pa.Table):
        return table
    return table.table.replace_schema_metadata({KEY: encode_meta(table.meta)})
