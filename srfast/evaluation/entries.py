"""Reading of evaluations that were made anywhere: files of ``srfast eval``, CSV files, studies, values by image."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from srfast.errors import InputError
from srfast.evaluation.metrics import protocol_of
from srfast.models.registry import of_package

if TYPE_CHECKING:
    from srfast.evaluation.evaluator import Evaluation

EvaluationSource: TypeAlias = "str | os.PathLike[str] | Mapping[str, float] | Evaluation"
STUDY = ("dataset", "model", "scale", "arm", "keep", "updates", "pool", "scorer", "seed", "image")
_OF_CELLS = ("cell", "seconds", "scoring_seconds", "patches")
_ABOUT_IMAGES = ("image", "seed", "dataset")
_MEASURED = {"scale": int, "protocol": str, "ssim_window": str}


@dataclass
class Entry:
    """The values of one evaluation, and how they were measured as far as its source says it."""

    source: str
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    """By seed and image. The seed is "" where nothing names one."""
    sets: dict[str, str] = field(default_factory=dict)
    """Test set of an image, if the source names one."""
    measured: dict[str, Any] = field(default_factory=dict)
    """``scale``, ``protocol``, ``ssim_window`` and, of a perceptual measure, ``measure``: those that are known."""

    def add(self, seed: str, dataset: str, image: str, value: float) -> None:
        """Adds a value. Raises InputError if a value of the same image, test set and seed exists."""
        name = f"{dataset}/{image}" if dataset else image
        if (seed, name) in self.values:
            raise InputError(f"{self.source}: image {name!r} occurs twice" + (f" with seed {seed}" if seed else ""))
        self.values[seed, name] = value
        if dataset:
            self.sets[name] = dataset

    def join(self, other: Entry) -> None:
        """Adds the values of other trainings. Raises InputError if both have one image with the same seed."""
        if both := self.values.keys() & other.values.keys():
            seed, image = min(both)
            raise InputError(f"{other.source}: image {image!r} with seed {seed} occurs in {self.source} too")
        self.values.update(other.values)
        self.sets.update(other.sets)

    @property
    def seeds(self) -> list[str]:
        return sorted({seed for seed, _ in self.values})


def read(source: EvaluationSource, name: str, metric: str, seed: str) -> dict[str, Entry]:
    """Reads the evaluations of a source, by their name within it, which is "" for the only one.

    The source is a file, the folder of a study, an ``Evaluation``, or values by image, which messages call ``name`` and
    which are of ``seed``. Raises InputError if it is none of these, or lacks the metric.
    """
    if isinstance(source, Mapping):
        entry = Entry(name)
        for of_image, value in source.items():
            entry.add(seed, "", str(of_image), _number(name, "value", of_image, value))
        return {"": _not_empty(entry)}
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "to_dict") or not hasattr(source, "protocol"):
            raise InputError(f"{name}: expected a file, an Evaluation or values by image, got {type(source).__name__}")
        return {"": _of_document(Entry(name), source.to_dict(), metric, seed)}
    if not os.fspath(source):
        raise InputError(f"{name}: expected the name of a file, got ''")
    path = Path(source)
    if path.is_dir() and (path / "results.parquet").exists():
        return _study(path / "results.parquet", metric)
    if path.suffix == ".parquet" and path.is_file():
        return _study(path, metric)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        if (path / "cells").is_dir():
            some = any((path / "cells").glob("*/results.parquet"))
            got = "cells that `srfast study` has not gathered yet" if some else "none that is finished"
            raise InputError(f"{source}: expected a study with finished cells, got {got}") from None
        reason = getattr(error, "strerror", None) or "expected text in UTF-8"
        hint = "evaluate it first: srfast eval RUN --data IMAGES --json FILE" if path.is_dir() else None
        raise InputError(f"{source}: {reason}", hint=hint) from None
    entry = Entry(str(source))
    if text.lstrip().startswith(("{", "[")):
        try:
            document = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{source}: not JSON: {error}") from None
        return {"": _of_document(entry, document, metric, seed)}
    _add_rows(entry, *_csv(entry.source, text), metric, seed)
    return {"": _not_empty(entry)}


def _of_document(entry: Entry, document: Any, metric: str, seed: str) -> Entry:
    """The values of what ``Evaluation.to_dict`` returns, and how they were measured."""
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list):
        raise InputError(f"{entry.source}: expected a file that `srfast eval --json` wrote, got no list 'images'")
    for row in images:
        if not isinstance(row, dict):
            raise InputError(f"{entry.source}: expected images as objects with 'image' and a metric, got {row!r}")
    entry.measured = _measured(document, metric)
    if images:
        _add_rows(entry, images, list(dict.fromkeys(column for row in images for column in row)), metric, seed)
    return _not_empty(entry)


def _add_rows(entry: Entry, rows: list[dict[str, Any]], columns: Sequence[str], metric: str, seed: str) -> None:
    source = entry.source
    if "image" not in [column.strip().lower() for column in columns]:
        listed = ", ".join(map(repr, columns)) or "none"
        raise InputError(f"{source}: expected a column 'image', separated by commas from others, got {listed}")
    of = {column.strip().lower(): column for column in reversed(columns)}
    column = _metric(columns, metric, source)
    for row in rows:
        image, own, dataset = [row.get(of[k]) if k in of else None for k in _ABOUT_IMAGES]
        if not isinstance(image, str) or not image:
            raise InputError(f"{source}: expected the name of an image, got {image!r}")
        if column not in row:
            raise InputError(f"{source}: {metric} of {image!r}: expected a number, got none")
        value = _number(entry.source, metric, image, row[column])
        entry.add(seed if own in (None, "") else str(own), str(dataset or ""), image, value)


def _not_empty(entry: Entry) -> Entry:
    if not entry.values:
        raise InputError(f"{entry.source}: expected values of images, got none")
    return entry


def _number(source: str, metric: str, image: object, value: Any) -> float:
    """The value as a float; infinite for None, which is how JSON has an infinite PSNR."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return math.inf if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{source}: {metric} of {image!r}: expected a number, got {value!r}") from None


def _metric(columns: Iterable[str], metric: str, source: str) -> str:
    """The column of a metric, whose name may be in upper or lower case."""
    others = {c.strip().lower(): c for c in columns if c.strip().lower() not in _ABOUT_IMAGES}
    if not isinstance(metric, str) or metric.strip().lower() not in others:
        offered = f"one of {', '.join(c.strip() for c in others.values())}" if others else "a column of values"
        raise InputError(f"metric: expected {offered} of {source}, got {metric!r}")
    return others[metric.strip().lower()]


def _csv(source: str, text: str) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """The rows of a CSV file, without fields that a line lacks, and its columns."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows: list[dict[str, Any]] = []
    try:
        columns = reader.fieldnames or []
        for row in reader:
            if None in row:
                raise InputError(
                    f"{source}: line {reader.line_num}: expected {len(columns)} values, "
                    f"got {len(columns) + len(row[None])}"
                )
            rows.append({column: value for column, value in row.items() if value is not None})
    except csv.Error as error:
        raise InputError(f"{source}: line {reader.line_num + 1}: expected CSV, got: {error}") from None
    return rows, columns


def _measured(document: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """How an evaluation was measured, as far as it says so."""
    known = {k: document[k] for k, kind in _MEASURED.items() if isinstance(document.get(k), kind)}
    measures = document.get("measures")
    about = measures.get(metric.strip().lower()) if isinstance(measures, Mapping) else None
    if isinstance(about, Mapping) and isinstance(weights := about.get("sha256"), Mapping):
        files = ", ".join(f"{name} {str(value)[:12]}" for name, value in weights.items())
        known["measure"] = f"{about.get('variant')} ({about.get('range')}, {about.get('crop')}; {files})"
    return known


def _study(path: Path, metric: str) -> dict[str, Entry]:
    """The arms of a study, by the settings that distinguish them."""
    from srfast.scoring.table import read_parquet

    table, meta = read_parquet(path)
    missing = [c for c in STUDY if c not in table.column_names]
    if missing:
        raise InputError(f"{path}: expected the results of a study with the column {missing[0]!r}, got none")
    column = _metric([c for c in table.column_names if c not in (*STUDY, *_OF_CELLS)], metric, str(path))
    rows = table.select([*STUDY, "cell", column]).to_pylist()
    if not rows:
        raise InputError(f"{path}: expected a study with finished cells, got none that is finished")
    several = [k for k in ("model", "scale", "updates", "pool", "scorer") if len({r[k] for r in rows}) > 1]
    entries: dict[str, Entry] = {}
    for r in rows:
        more = [f"x{r[k]}" if k == "scale" else str(r[k]) for k in several]
        own = " ".join([r["arm"], f"{100 * r['keep']:g} %", *more])
        if own not in entries:
            entries[own] = Entry(f"{path.parent}: {own}", measured={"scale": r["scale"], **_protocol(meta, r)})
        entries[own].add(str(r["seed"]), r["dataset"], r["image"], _number(str(path), metric, r["image"], r[column]))
    return entries


def _protocol(meta: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """The protocol by which a cell was evaluated, if its results or its model say it."""
    known = meta.get("cells", {}).get(row["cell"], {}).get("protocol")
    if known is None and (model := of_package(row["model"])) is not None:
        known = protocol_of(model.color)
    return {} if known is None else {"protocol": known}
