"""The arguments of a training: collected and checked before anything heavy is loaded, and saved in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from srfast.data.files import check_input, output_file, table_files
from srfast.data.provenance import generator, kind_of
from srfast.data.run_folder import check_same
from srfast.errors import InputError, inside, reading
from srfast.models.registry import Buildable, describe, names, weights_of
from srfast.runtime.plugins import is_file
from srfast.settings import PAIR_SCALES, Kind, PathLike, named, paths, text
from srfast.training.plan import Plan
from srfast.training.recipes import Recipe, recipe
from srfast.training.settings import FREE, Data, TrainSettings

NAME = "run.json"
KIND = "run settings"
_PATHS = paths("images, folders of them or one table, such as coreset.parquet")


def _data(value: Any) -> tuple[Any, ...]:
    """Paths as absolute ones; a table in memory as it is."""
    given = [value] if in_memory(value) or isinstance(value, (str, os.PathLike)) else list(value)
    if not any(map(in_memory, given)):
        return tuple(_PATHS.convert(given))
    if len(given) > 1:
        raise ValueError
    return tuple(given)


_KINDS: dict[str, Kind] = {f.name: f.metadata["kind"] for f in fields(TrainSettings)}
_KNOWN = {**_KINDS, "model": text("a name"), "data": Kind(_PATHS.expected, _data)}


@dataclass(frozen=True)
class Arguments:
    """All arguments of a run, checked."""

    model: Buildable
    data: tuple[Any, ...]
    """Absolute paths, or one table in memory."""
    settings: TrainSettings
    output: Path
    planned: int | None
    """Number of updates for which the run in ``output`` was planned, if it is resumed."""

    def plan(self, steps: int) -> Plan:
        """The plan of the run, without its data."""
        s = self.settings
        return Plan(self.model, s.scale, steps, s.part(Recipe), s.seed, s.precision, dict(s.model_options))

    def recorded(self, steps: int) -> dict[str, Any]:
        """The arguments as run.json records them."""
        data = [d for d in self.data if not in_memory(d)]
        return {"model": describe(self.model).name, "data": data, **self.settings.values(), "steps": steps}


def gather(
    model: Buildable | PathLike | None,
    data: Data | None,
    output: PathLike | None,
    resume: bool,
    options: Mapping[str, Any],
) -> Arguments:
    """The arguments of a run: those given (None means not given), those of a resumed run's folder, and the defaults.
    Raises InputError if an argument is missing, unknown, wrong, or differs from the resumed run's."""
    if output is None:
        raise InputError("output: expected the folder of the run, got none")
    folder = Path(output)
    options = {**named(options, list(_KINDS)), "data": data}
    given = {name: _KNOWN[name].check(name, value) for name, value in options.items() if value is not None}
    begun: tuple[str, int, dict[str, Any]] | None = None
    if isinstance(model, (str, os.PathLike)):
        model = os.fspath(model)
        if (file := weights_of(model)) is not None:
            if "init" in given:
                raise InputError(f"init: expected none with weights as the model, got {given['init']!r} and {file}")
            from srfast.models.loading import network_of  # torch, which a named network need not wait for

            begun = network_of(file, given.get("scale"))
            model, given["init"] = begun[0], os.path.abspath(file)
    if model is not None:
        given["model"] = describe(model).name
    saved = read(folder) if resume and (folder / NAME).exists() else {}
    fixed = [n for n in given if n in saved and n not in FREE]
    way = "resume with the same settings or train into another folder"
    check_same(folder, saved, given, fixed, done="trained", way=way)
    planned = saved.get("steps")
    # Updates that were counted from epochs are in ``steps``.
    replaced = {"epochs", "match_steps", *({"steps"} if "epochs" in given else ())} if saved else set()
    values = {**{k: v for k, v in saved.items() if k not in replaced}, **given}
    name, files = values.pop("model", None), tuple(values.pop("data", ()))
    meta = _meta(files)
    if begun:
        values.setdefault("model_options", begun[2])
    scored_at = meta.get("scale")
    values.setdefault("scale", scored_at if scored_at in PAIR_SCALES else begun[1] if begun else 2)
    if model is None and name is not None and name not in names() and not is_file(name):
        raise InputError(f"model: {folder} trains {name!r}, a network of your own", hint="pass it again in Python")
    model = name if model is None else model
    if model is None and resume:
        lacks = f"it holds no {NAME}" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: there is no run to resume, {lacks}", hint="name a model to begin one")
    if model is None:
        raise InputError(f"model: expected one of {', '.join(names())}, got none")
    if "clip" in values:
        values.setdefault("clip_by_rate", False)
    how = recipe(describe(model), values["scale"], values.get("recipe", "default"))
    side = meta.get("patch")
    if not {"lr_patch", "grow"} & values.keys() and type(side) is int and side > 0:
        # The recipe's crops may be larger than the patches of a core-set, which then limit them.
        most = side // values["scale"]
        if 2 * how.loss_border < most < how.lr_patch:
            values["lr_patch"] = most
    arguments = Arguments(model, files, TrainSettings(**{**vars(how), **values}), folder, planned)
    _check(arguments, resume)
    return arguments


def in_memory(value: object) -> bool:
    """Whether data are a table in memory: a score table, a core-set, an Arrow table or a DataFrame."""
    kind = type(value)
    return (hasattr(value, "meta") and hasattr(value, "table")) or (
        kind.__name__ in ("DataFrame", "Table") and kind.__module__.split(".")[0] in ("pandas", "polars", "pyarrow")
    )


def _meta(data: tuple[Any, ...]) -> dict[str, Any]:
    """The metadata of a table; none of images."""
    if len(data) != 1:
        return {}
    if in_memory(data[0]):
        from srfast.coreset.pairs import read_rows

        return read_rows(data[0])[2]
    if (parts := table_files(data[0])) and parts[0].is_file():
        from srfast.scoring.metadata import read_meta  # Arrow, which a command's help need not wait for

        return read_meta(parts[0])
    return {}


def check_growth(planned: int | None, steps: int, folder: Path) -> None:
    """Refuses a resumed run that would end before it was planned to."""
    if planned is not None and steps < planned:
        raise InputError(f"steps: {folder} was planned for {planned} steps, which may only grow, got {steps}")


def read(folder: Path) -> dict[str, Any]:
    """The arguments that ``write`` saved in a run's folder. Raises InputError if the file is not srfast's, or was
    changed into something else."""
    path = check_input(folder / NAME, "the settings of a training run")
    if kind_of(path) != KIND:
        raise InputError(f"{path}: expected the settings of a training run, got a foreign file")
    with inside(f"{path}: "), reading("expected the settings of a training run, got a damaged file"):
        values = json.loads(path.read_bytes())["arguments"]
        for name, value in values.items():
            if value is not None or name not in _KINDS:
                _KNOWN[name].check(name, value)
    return dict(values)


def write(folder: Path, values: Mapping[str, Any]) -> None:
    """Saves the arguments of a run in its folder, as run.json."""
    with output_file(folder / NAME, KIND) as temporary:
        text = json.dumps({"generator": generator(KIND), "arguments": dict(values)}, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _check(a: Arguments, resume: bool) -> None:
    s = a.settings
    if not a.data:
        lost = f"{a.output} was trained on a table in memory: pass it again in Python" if a.planned else None
        raise InputError(f"data: expected {_PATHS.expected}, got none", hint=lost)
    tables = all(in_memory(d) or table_files(d) for d in a.data)
    if s.root is not None and not tables:
        raise InputError("root: expected data to be a core-set, whose images it finds")
    if s.steps is not None:
        check_growth(a.planned, s.steps, a.output)
    for path in [*a.data, *_PATHS.convert(s.eval_data)]:
        if not in_memory(path) and not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
    began = (a.output / "last.pt").exists()
    if began and not resume:
        raise InputError(f"{a.output}: already holds a run", hint="resume it, or train into another folder")
    if s.init is not None and not began:
        check_input(s.init, "weights")
