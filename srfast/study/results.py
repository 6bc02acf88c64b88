"""The files of a study: the results of each cell, and the three tables gathered from all cells."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data.atomic import atomic_path
from srfast.data.hashing import of_file
from srfast.data.images import find_images
from srfast.data.run_folder import check_same
from srfast.degradation.plan import Degradation
from srfast.errors import InputError
from srfast.scoring.metadata import VERSION
from srfast.scoring.table import read_parquet, write_parquet
from srfast.settings import first_difference
from srfast.study.description import Arm, Cell, Claim, Study, plan_of

RESULTS, STRATA, LOG = "results.parquet", "strata.parquet", "log.parquet"
CELLS = "cells"
SETTINGS = "cell.json"


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


_S, _I, _F = pa.string(), pa.int32(), pa.float64()
SCHEMA = _schema(
    cell=_S, arm=_S, model=_S, scale=_I, keep=_F, updates=_I, seed=_I, dataset=_S, image=_S, psnr=_F, ssim=_F,
    seconds=_F, scoring_seconds=_F, pool=_F, scorer=_S, patches=_I,
)  # fmt: skip
"""results.parquet: one row per cell and test image. ``seconds``: of training the cell; ``scoring_seconds``: of scoring
the pool and selecting, if the arm needs scores; ``patches``: the number on which the cell trains."""
STRATA_SCHEMA = _schema(cell=_S, dataset=_S, image=_S, stratum=_S, pixels=pa.int64(), mse=_F)
"""strata.parquet: squared error on Y, in [0, 255]^2, of the tiles of one stratum of one image."""
LOG_SCHEMA = _schema(cell=_S, step=_I, loss=_F, lr=_F, seconds=_F)
"""log.parquet: the training logs."""


@dataclass(frozen=True, eq=False)
class Results:
    """The results of a study.

    ``meta`` is JSON: ``study`` (the whole description), ``cells`` (settings of every finished cell by name),
    ``scoring`` (patches and seconds of each scorer), and of a study that was run by rules of its own ``remarks``
    (sentences about it). What is computed of results is cached by their identity.
    """

    table: pa.Table
    strata: pa.Table
    log: pa.Table
    meta: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Writes the three tables, each whole or not at all."""
        write_parquet(folder / STRATA, [self.strata], STRATA_SCHEMA, {"version": VERSION})
        write_parquet(folder / LOG, [self.log], LOG_SCHEMA, {"version": VERSION})
        write_parquet(folder / RESULTS, [self.table], SCHEMA, self.meta)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Results:
        """Reads what ``write`` wrote. Raises InputError if a file is missing, or was not written by a study."""
        folder = Path(folder)
        table, meta = _read(folder / RESULTS, SCHEMA)
        return cls(table, _read(folder / STRATA, STRATA_SCHEMA)[0], _read(folder / LOG, LOG_SCHEMA)[0], meta)


def _read(path: Path, schema: pa.Schema) -> tuple[pa.Table, dict[str, Any]]:
    table, meta = read_parquet(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: expected the results of a study, column {missing[0]!r} is missing")
    return table.select(schema.names), meta


def as_plain(study: Study) -> dict[str, Any]:
    """A study as plain values; paths are reduced to their last name, so that results reveal nothing of the machine."""
    known = dataclasses.asdict(study)
    known["train"] = [Path(p).name for p in study.train]
    known["test"] = {name: Path(p).name for name, p in study.test.items()}
    known["join"], known["degradation"] = Path(study.join).name, Path(study.degradation).name
    known["scorers"] = [Path(s).name for s in study.scorers]
    del known["own"]
    for arm in known["arms"]:
        if target := arm["select"].get("target"):
            arm["select"] = {**arm["select"], "target": Path(target).name}
    plain: dict[str, Any] = json.loads(json.dumps(known))
    return plain


def from_plain(plain: Mapping[str, Any]) -> Study:
    """The study that ``as_plain`` made plain, but for the folders of its paths: enough for its cells, not for a run."""

    def fitting(kind: type, known: Mapping[str, Any]) -> dict[str, Any]:
        names = {f.name for f in dataclasses.fields(kind)} & set(known)
        return {name: tuple(v) if isinstance(v := known[name], list) else v for name in names}

    arms = tuple(Arm(**fitting(Arm, arm)) for arm in plain["arms"])
    claims = tuple(Claim(**fitting(Claim, claim)) for claim in plain["claims"])
    return Study(**{**fitting(Study, plain), "arms": arms, "claims": claims})


def settings_of(study: Study, cell: Cell, test: dict[str, list[str]]) -> dict[str, Any]:
    """The settings on which the result of a cell depends, apart from the data's content."""
    left = ("keep", "budget", "models", "recipe", "scorers")
    arm = {k: v for k, v in dataclasses.asdict(cell.arm).items() if k not in left}
    if target := arm["select"].get("target"):
        files = [str(f.path) for f in find_images([target])]
        arm["select"] = {**arm["select"], "target": f"{Path(target).name}, {images_as_text(files)}"}
    plan, scorer = plan_of(study, cell), study.scorers[cell.scorer]
    own = {"model_file": study.own[cell.model].rpartition(":")[0]} if cell.model in study.own else {}
    files_of = {"scorer_weights": scorer if Path(scorer).suffix else "", "join": study.join, **own}
    known = {
        **{name: getattr(cell, name) for name in ("model", "scale", "updates", "seed", "keep", "pool")},
        "scorer": Path(scorer).name,
        "scorer_updates": study.scorer_updates if scorer.startswith("srcnn:") else None,
        **{name: of_file(file)[:16] if file else None for name, file in files_of.items()},
        "arm": arm,
        "recipe": dataclasses.asdict(plan.recipe),
        "options": plan.options,
        "precision": plan.precision,
        "grid": [study.patch, study.stride, study.mode, *(study.shrink if study.shrink != ("1",) else ())],
        "degradation": Degradation.read(study.degradation).digest if study.degradation else None,
        "test": {name: images_as_text(files) for name, files in test.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(known))
    return plain


def images_as_text(files: Sequence[str]) -> str:
    """The number of images, and a checksum of their names and contents."""
    total = hashlib.sha256()
    for name in files:
        total.update(f"{Path(name).name}\0{of_file(name)}\0".encode("utf-8", "surrogateescape"))
    return f"{len(files)} images, sha256 {total.hexdigest()[:16]}"


def place_of(folder: Path, cell: Cell) -> Path:
    """The folder of a cell of a run in ``folder``."""
    return folder / CELLS / cell.name


def finished(folder: Path) -> bool:
    """Whether a cell has all its results; its results.parquet is written last."""
    return (folder / RESULTS).exists()


def finished_cells(every: Sequence[Cell], folder: Path) -> set[str]:
    """Names of the cells that have all their results."""
    return {c.name for c in every if finished(place_of(folder, c))}


def read_json(path: Path) -> Any:
    """The results that a run wrote into its folder. Raises InputError if the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON as srfast wrote it, got a damaged file ({error})") from None


def other_settings(saved: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first setting of a finished cell that is not what is requested, as its name, its old and its new value."""
    return first_difference(saved, settings, {**saved, **settings})


def check_finished(folder: Path, settings: dict[str, Any]) -> None:
    """Raises InputError if the results of a cell are not those of these settings."""
    saved, way = read_json(folder / SETTINGS)["settings"], "run the study into another folder, or remove that cell"
    check_same(folder, saved, settings, {**saved, **settings}, done="run", way=way)


def write_cell(
    folder: Path,
    settings: dict[str, Any],
    about: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    strata: Sequence[dict[str, Any]],
) -> None:
    """Writes the results of a cell, results.parquet last."""
    with atomic_path(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps({"settings": settings, **about}, indent=1), encoding="utf-8")
    meta = {"version": VERSION}
    write_parquet(folder / STRATA, [pa.Table.from_pylist(list(strata), STRATA_SCHEMA)], STRATA_SCHEMA, meta)
    write_parquet(folder / RESULTS, [pa.Table.from_pylist(list(rows), SCHEMA)], SCHEMA, meta)


def gather(study: dict[str, Any], folders: Sequence[Path], scoring: Sequence[dict[str, Any]]) -> Results:
    """The results of all finished cells among these folders, in their order; ``study`` as ``as_plain`` gives it."""
    done = [f for f in folders if finished(f)]

    def whole(schema: pa.Schema, of: Callable[[Path], pa.Table]) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *(of(f).replace_schema_metadata(None) for f in done)])

    return Results(
        whole(SCHEMA, lambda f: _read(f / RESULTS, SCHEMA)[0]),
        whole(STRATA_SCHEMA, lambda f: _read(f / STRATA, STRATA_SCHEMA)[0]),
        whole(LOG_SCHEMA, lambda f: pa.Table.from_pylist(_log(f), LOG_SCHEMA)),
        {
            "version": VERSION,
            "study": study,
            "cells": {f.name: read_json(f / SETTINGS) for f in done},
            "scoring": list(scoring),
        },
    )


def _log(folder: Path) -> list[dict[str, Any]]:
    """The rows of a training log, with the seconds of a resumed run added up."""
    rows, before, last = [], 0.0, 0.0
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds = float(row["seconds"])
            if seconds < last:
                before += last
            last = seconds
            own = {"cell": folder.name, "step": int(row["step"]), "seconds": round(before + seconds, 2)}
            rows.append({**own, "loss": float(row["loss"]), "lr": float(row["lr"])})
    return rows


def training_steps(folder: Path) -> tuple[int, float]:
    """The number of steps of a training so far, by its log, and their seconds over all calls."""
    rows = _log(folder) if (folder / "log.csv").exists() else []
    return (int(rows[-1]["step"]), float(rows[-1]["seconds"])) if rows else (0, 0.0)
