"""Reading of evaluations that were made anywhere: files of ``srfast eval``, CSV files, studies, values by image."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
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
        rows: Any = [{"image": str(image), metric: value} for image, value in source.items()]
        return {"": _of_rows(Entry(name), rows, metric, seed)}
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "to_dict") or not hasattr(source, "protocol"):
            raise InputError(f"{name}: expected a file, an Evaluation or values by image, got {type(source).__name__}")
        return {"": _of_document(Entry(name), source.to_dict(), metric, seed)}
    if not os.fspath(source):
        raise InputError(f"{name}: expected the name of a file, got ''")
    path = Path(source)
    if (path / "results.parquet").exists():
        path /= "results.parquet"
    if path.suffix == ".parquet" and path.is_file():
        return _study(path, metric)
    if (path / "cells").is_dir():
        raise InputError(f"{source}: expected a study with finished cells, got none")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "expected text in UTF-8"
        hint = "evaluate it first: srfast eval RUN --data IMAGES --json FILE" if path.is_dir() else None
        raise InputError(f"{source}: {reason}", hint=hint) from None
    entry = Entry(str(source))
    if not text.lstrip().startswith(("{", "[")):
        return {"": _of_rows(entry, _csv(entry.source, text), metric, seed)}
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{source}: not JSON: {error}") from None
    return {"": _of_document(entry, document, metric, seed)}


def _of_document(entry: Entry, document: Any, metric: str, seed: str) -> Entry:
    """The values of what ``Evaluation.to_dict`` returns, and how they were measured."""
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list):
        raise InputError(f"{entry.source}: expected a file that `srfast eval --json` wrote, got no list 'images'")
    if wrong := [row for row in images if not isinstance(row, dict)]:
        raise InputError(f"{entry.source}: expected images as objects with 'image' and a metric, got {wrong[0]!r}")
    entry.measured = _measured(document, metric)
    return _of_rows(entry, images, metric, seed)


def _of_rows(entry: Entry, rows: list[dict[str, Any]], metric: str, seed: str) -> Entry:
    """The values of rows, whose columns may be in upper or lower case."""
    source = entry.source
    if not rows:
        raise InputError(f"{source}: expected values of images, got none")
    rows = [{column.strip().lower(): value for column, value in row.items()} for row in rows]
    columns = dict.fromkeys(column for row in rows for column in row)
    if "image" not in columns:
        listed = ", ".join(map(repr, columns))
        raise InputError(f"{source}: expected a column 'image', separated by commas from others, got {listed}")
    column = _metric(columns, metric, source)
    for row in rows:
        image, own, dataset = (row.get(name) for name in _ABOUT_IMAGES)
        if not isinstance(image, str) or not image:
            raise InputError(f"{source}: expected the name of an image, got {image!r}")
        value = _number(source, metric, image, row.get(column, ""))
        entry.add(seed if own in (None, "") else str(own), str(dataset or ""), image, value)
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
    others = [c for c in columns if c not in _ABOUT_IMAGES]
    if not isinstance(metric, str) or metric.strip().lower() not in others:
        offered = f"one of {', '.join(others)}" if others else "a column of values"
        raise InputError(f"metric: expected {offered} of {source}, got {metric!r}")
    return metric.strip().lower()


def _csv(source: str, text: str) -> list[dict[str, Any]]:
    """The rows of a CSV file; values that a line lacks are empty."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    try:
        rows: list[dict[Any, Any]] = list(reader)
    except csv.Error as error:
        raise InputError(f"{source}: line {reader.line_num + 1}: expected CSV, got: {error}") from None
    for number, row in enumerate(rows, 2):
        if None in row:
            count = len(row) - 1
            raise InputError(f"{source}: line {number}: expected {count} values, got {count + len(row[None])}")
    return rows


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
        raise InputError(f"{path}: expected a study with finished cells, got none")
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
