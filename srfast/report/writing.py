"""Writes the report: checks, content, one file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from srfast.data.files import check_output, output_file
from srfast.report.assembly import assemble
from srfast.report.content import Content
from srfast.report.report import report
from srfast.report.scores import read_scores
from srfast.scoring.rows import Rows
from srfast.scoring.stored import Stored, large
from srfast.scoring.table import ScoreTable, rows_of

if TYPE_CHECKING:
    import pandas


def write_report(
    scores: Rows | pa.Table | pandas.DataFrame | str | os.PathLike[str],
    coreset: Rows | pa.Table | pandas.DataFrame | str | os.PathLike[str] | None,
    output: Path | str,
    *,
    root: Path | str | None = None,
    scorer: Path | str | None = None,
    source: Sequence[str] = ("scores.parquet",),
    decision: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the report of a score table, and of the core-set selected from it, as one HTML file.

    The file needs no network and no other file. The same tables, images and version of Pillow give the same bytes.

    Args:
        scores: The scores: a table, its path, a folder of its parts or its DataFrame; an Arrow table has the columns
            and the ``srfast`` metadata of scores.parquet.
        coreset: The rows of ``scores`` that were selected; None shows only the scores.
        output: The HTML file, which appears whole or not at all.
        root: Folder of the images, if they have moved since scoring.
        scorer: File of the network by which the table was scored, if it is not a shipped one; it is needed to show LR,
            SR and error.
        source: Files of the score table, for the commands that the page shows.
        decision: The recommendation at the head of the page, as ``Recommendation.as_dict`` gives it; None takes that of
            the core-set's metadata, if it has one.

    Returns:
        ``output``.

    Raises:
        InputError: ``table`` is not a score table or has no rows, scores are not finite or negative, an image path
            leaves the root, the network is not the table's, the core-set has rows that are not in the table, or the
            place cannot be written to or holds a file that is not a report.
        RunError: the disk is full.
    """
    path = Path(output)
    check_output(path, "report")
    where, network = (None if given is None else Path(given) for given in (root, scorer))
    chosen = None if coreset is None else _rows(coreset, "coreset")
    read = read_scores(_rows(scores, "scores"), chosen, root=where, scorer=network)
    return write_page(report(read if decision is None else replace(read, decision=decision), source), path)


def write_page(content: Content, path: Path | str) -> Path:
    """Writes a page as one HTML file, which appears whole or not at all and replaces only a page of its own kind.
    Raises InputError if the place cannot be written to, or holds a file of another kind than ``content.kind``, and
    RunError if the disk is full."""
    path = Path(path)
    check_output(path, content.kind)
    with output_file(path, content.kind) as temporary:
        temporary.write_text(assemble(content), encoding="utf-8", newline="\n")
    return path


def _rows(table: Any, name: str) -> Rows:
    if isinstance(table, Rows):
        return table
    if isinstance(table, (str, os.PathLike)) and large([table]):
        return Stored([table], selecting=False)
    _, rows, meta = rows_of(table, name)
    return ScoreTable(rows, meta)
