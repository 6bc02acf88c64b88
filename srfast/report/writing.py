"""Writes pages: content, with the template, style and scripts of ``page/``, becomes one file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pyarrow as pa

from srfast.data.files import check_output, output_file
from srfast.data.thumbnails import uri
from srfast.report.content import Content
from srfast.report.report import report
from srfast.report.scores import read_scores
from srfast.scoring.rows import Rows
from srfast.scoring.stored import Stored, large
from srfast.scoring.table import ScoreTable, rows_of
from srfast.version import VERSION

if TYPE_CHECKING:
    import pandas

_FOLDER = "page"
_IMPORT = re.compile(r'^import (?:(\{[^}]*\}) from )?"\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


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


def assemble(content: Content, server: dict[str, Any] | None = None) -> str:
    """The page as HTML. It loads nothing, and the same content gives the same text. Its text never becomes markup: the
    template escapes it, and scripts set it as text. ``server`` has the addresses of rows and pictures if they are not
    in the file (``srfast view``); the content security policy allows them."""
    script = bundle("main" if content.explorer else "galleries")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:{' blob: ' + chr(39) + 'self' + chr(39) if server else ''}; "
        f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        + ("; connect-src 'self'" if server else "")
    )
    return _environment().get_template("page.html").render(
        content=content,
        version=VERSION,
        policy=policy,
        style=_source("style.css"),
        script=script,
        data=script_json(content.data() | {"server": server}),
        pictures=script_json(
            {
                "shots": [{k: uri(v) for k, v in shot.pictures.items()} for shot in content.shots],
                "wholes": {image: uri(data) for image, data in content.wholes.items()},
            }
        ),
    )  # fmt: skip


def script_json(value: Any) -> str:
    """JSON for a script element, which nothing in it can end or replace."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@lru_cache
def bundle(entry: str) -> str:
    """A module of ``page/`` and all that it imports as one script, in order of dependence."""
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in done:
            text = _source(f"{name}.js")
            for _, other in _IMPORT.findall(text):
                add(other)
            text = _IMPORT.sub(lambda m: f"const {m[1]} = in_{m[2]};\n" if m[1] else "", text)
            given = ", ".join(_EXPORT.findall(text))
            text = _EXPORT.sub("", text)
            done[name] = f"const in_{name} = (() => {{\n{text}return {{ {given} }};\n}})();\n"

    add(entry)
    return '"use strict";\n(() => {\n' + "".join(done.values()) + "})();\n"


@lru_cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["uri"] = uri
    return made


@lru_cache
def _source(name: str) -> str:
    return files("srfast.report").joinpath(_FOLDER).joinpath(name).read_text("utf-8")
