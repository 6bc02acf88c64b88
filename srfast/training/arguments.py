"""The arguments of a training: gathered and checked before anything heavy is loaded, kept in the run's folder."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from srfast.data.files import atomic_path, check_input
from srfast.data.origin import generator, kind_of
from srfast.errors import InputError
from srfast.models.registry import describe, names
from srfast.training.plan import Plan
from srfast.training.recipes import Recipe, recipe

Path_ = str | os.PathLike[str]
Paths = Path_ | Sequence[Path_]

NAME = "run.json"
KIND = "run settings"


class RecipeOptions(TypedDict, total=False):
    """The fields of ``srfast.training.recipes.Recipe`` as keyword arguments, for type checkers (PEP 692)."""

    loss: Literal["l1", "mse", "euclidean"] | None
    optimizer: Literal["adam", "soap", "sgd"] | None
    lr: float | None
    betas: tuple[float, float] | None
    momentum: float | None
    weight_decay: float | None
    schedule: Literal["halving", "cosine"] | None
    milestones: tuple[float, ...] | None
    decay: float | None
    warmup: float | None
    lr_factors: Mapping[str, float] | None
    clip: float | None
    clip_by_rate: bool | None
    ema: float | None
    loss_border: int | None
    fp32_tail: float | None
    batch: int | None
    lr_patch: int | None
    quantise: bool | None
    channels_last: bool | None


class TrainOptions(RecipeOptions, total=False):
    """The other keyword arguments of ``srfast.train``."""

    scale: Literal[2, 3, 4]
    steps: int | None
    epochs: float | None
    match_steps: bool
    seed: int
    init: Path_ | None
    model_options: Mapping[str, Any]
    rescale: Sequence[float]
    grow: int
    root: Path_ | None
    lr_images: Path_ | None
    lr_template: str
    recipe: Literal["default", "paper"]
    reselect_every: int | None
    reselect_keep: float
    reselect_drop: float
    precision: Literal["fp32", "bf16", "fp16"]
    device: Literal["auto", "cpu", "cuda"]
    threads: int
    cache_mb: int
    eval_data: Paths | None
    eval_protocol: Literal["classic", "rgb"] | None
    eval_ssim: Literal["wang", "skimage"]
    eval_every: int
    log_every: int
    save_every: int


DEFAULTS: dict[str, Any] = {
    "model": None, "data": (), "scale": 2, "steps": None, "epochs": None, "match_steps": False, "seed": 0, "init": None,
    "model_options": {}, "rescale": (), "grow": 0, "recipe": "default", "reselect_every": None, "reselect_keep": 0.5,
    "reselect_drop": 0.05, "precision": "fp32", "device": "auto", "threads": 0, "cache_mb": 2048, "eval_data": (),
    "eval_protocol": None, "eval_ssim": "wang", "eval_every": 0, "log_every": 100, "save_every": 1000,
    "root": None, "lr_images": None, "lr_template": "{}",
}  # fmt: skip
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "model": str, "steps": int, "epochs": (int, float), "init": str, "reselect_every": int, "eval_protocol": str,
    "root": str, "lr_images": str,
}  # fmt: skip
_FREE = {"data", "steps", "epochs", "match_steps", "device", "threads", "cache_mb", "eval_data", "eval_protocol"}
_FREE |= {"eval_ssim", "eval_every", "log_every", "save_every", "root", "lr_images"}
"""What may change when a run is resumed; where the data are no longer the same, their fingerprint says so."""
_CHANGES = {f.name: getattr(Recipe(), f.name) for f in dataclasses.fields(Recipe)}


@dataclass(frozen=True)
class Arguments:
    """All arguments of a run, checked."""

    values: dict[str, Any]
    """By name: everything in ``DEFAULTS``, and the fields of the recipe that were changed."""
    output: Path
    planned: int | None
    """The updates that the run in ``output`` was planned for, where it is resumed."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def recipe(self) -> Recipe:
        """The model's recipe with the changes."""
        changes = {k: v for k, v in self.values.items() if k in _CHANGES}
        if "clip" in changes:
            changes.setdefault("clip_by_rate", False)
        return dataclasses.replace(recipe(self["model"], self["scale"], self["recipe"]), **changes)

    def plan(self, steps: int) -> Plan:
        """The run but for its data and for what is reselected."""
        return Plan(
            self["model"], self["scale"], steps, self.recipe(), self["seed"], self["precision"], self["model_options"]
        )


def gather(
    model: str | None, data: Paths | None, output: Path_ | None, resume: bool, options: Mapping[str, Any]
) -> Arguments:
    """The arguments of a run: those given, those its folder names where it is resumed, and the defaults.

    Args:
        model: None takes the resumed run's.
        data: None takes the resumed run's.
        output: Folder of the run.
        resume: Read the run's own arguments, if there is a run.
        options: As in ``TrainOptions``; None is not given.

    Raises:
        InputError: missing, unknown or wrong, or another value than the run has been trained with.
    """
    if output is None:
        raise InputError("output: expected the folder of the run, got none")
    given = {k: _plain(k, v) for k, v in {"model": model, "data": data, **options}.items() if v is not None}
    for name in given:
        if name not in DEFAULTS and name not in _CHANGES:
            near = difflib.get_close_matches(name, [*DEFAULTS, *_CHANGES], 1)
            raise InputError(f"{name}: no such argument" + (f"; did you mean {near[0]}?" if near else ""))
    if "model" in given:
        given["model"] = describe(given["model"]).name
    folder = Path(output)
    saved = read(folder) if resume and (folder / NAME).exists() else {}
    for name, value in given.items():
        if name in saved and name not in _FREE and saved[name] != value:
            raise InputError(
                f"{_flag(name)}: {folder} was trained with {saved[name]!r}, got {value!r}; "
                "resume with the same settings or train into another directory"
            )
    planned = saved.get("steps")
    # Updates that were counted from epochs are in ``steps``.
    replaced = {"epochs", "match_steps", *({"steps"} if "epochs" in given else ())} if saved else set()
    kept = {k: v for k, v in saved.items() if k not in replaced}
    values = {**{k: _plain(k, v) for k, v in DEFAULTS.items()}, **kept, **given}
    if "scale" not in kept and "scale" not in given:
        values["scale"] = _scored_at(values["data"]) or values["scale"]
    for name in ("rescale", "betas", "milestones"):
        if name in values:
            values[name] = tuple(values[name])
    arguments = Arguments(values, folder, planned)
    _check(arguments, resume)
    return arguments


def _scored_at(data: list[str]) -> int | None:
    """The scale that a core-set was scored at; None for images."""
    if len(data) != 1 or not data[0].endswith(".parquet") or not os.path.isfile(data[0]):
        return None
    from srfast.scoring.table import parse_meta, read_metadata  # Arrow, which a command's help need not wait for

    scale = parse_meta(data[0], read_metadata(Path(data[0]))).get("scale")
    return scale if scale in (2, 3, 4) else None


def check_growth(planned: int | None, steps: int, folder: Path) -> None:
    """Raises InputError where a resumed run would end before it was planned to."""
    if planned is not None and steps < planned:
        raise InputError(f"steps: {folder} was planned for {planned} steps, which may only grow, got {steps}")


def read(folder: Path) -> dict[str, Any]:
    """The arguments that ``write`` kept in a run's folder.

    Raises:
        InputError: not a file of srfast's, or one that was changed into something else.
    """
    path = check_input(folder / NAME, "the settings of a training run")
    if kind_of(path) != KIND:
        raise InputError(f"{path}: expected the settings of a training run, got a foreign file")
    try:
        values = json.loads(path.read_bytes())["arguments"]
        wrong = [k for k, v in values.items() if not _fits(k, v)]
    # A damaged file makes its reader raise almost anything; whatever it raises, the file is at fault.
    except Exception:
        raise InputError(f"{path}: expected the settings of a training run, got a damaged file") from None
    if wrong:
        raise InputError(f"{path}: expected the settings of a training run, got a damaged file ({wrong[0]})")
    return dict(values)


def write(folder: Path, values: Mapping[str, Any]) -> None:
    """Keeps the arguments of a run in its folder: run.json."""
    with atomic_path(folder / NAME) as temporary:
        text = json.dumps({"generator": generator(KIND), "arguments": dict(values)}, indent=2, allow_nan=False)
        temporary.write_text(text + "\n")


def _check(a: Arguments, resume: bool) -> None:
    if a["model"] is None:
        known = f"one of {', '.join(names())}"
        raise InputError(f"model: expected {known}, got none" + (f"; {a.output} holds no {NAME}" if resume else ""))
    if a["scale"] not in (2, 3, 4):
        raise InputError(f"scale: expected 2, 3 or 4, got {a['scale']!r}")
    if not a["data"]:
        raise InputError("data: expected images, folders of them or one coreset.parquet, got none")
    if (a["steps"] is None) == (a["epochs"] is None):
        raise InputError("steps: expected either steps or epochs")
    if a["match_steps"] and a["epochs"] is None:
        raise InputError("match-steps: expected epochs with it")
    if a["reselect_every"] is not None and not all(p.endswith(".parquet") for p in a["data"]):
        raise InputError("reselect-every: expected data to be scores.parquet or a core-set, whose patches it scores")
    if a["root"] is not None:
        if not all(p.endswith(".parquet") for p in a["data"]):
            raise InputError("root: expected data to be a core-set, whose images it finds")
        if not os.path.isdir(a["root"]):
            raise InputError(f"root: expected the folder of the core-set's images, got {a['root']!r}, which is none")
    if a["lr_images"] is not None:
        from srfast.data.lowres import LowRes  # NumPy, which a command's help need not wait for

        LowRes.open(a["lr_images"], a["lr_template"], "lr-images")
        if a["rescale"]:
            raise InputError("rescale: expected LR images that are made; those that exist have one size")
    elif a["lr_template"] != "{}":
        raise InputError("lr-template: expected lr-images with it")
    a.plan(1 if a["steps"] is None else a["steps"]).check()
    if a["steps"] is not None:
        check_growth(a.planned, a["steps"], a.output)
    for path in [*a["data"], *a["eval_data"]]:
        if not os.path.exists(path):
            raise InputError(f"{path}: no such file or folder")
    began = (a.output / "last.pt").exists()
    if began and not resume:
        raise InputError(f"{a.output}: already holds a run; resume it, or train into another directory")
    if a["init"] is not None and not began:
        check_input(a["init"], "weights")


def _plain(name: str, value: Any) -> Any:
    """As JSON gives it back; paths absolute, since a run may be resumed from elsewhere."""
    if name in ("data", "eval_data"):
        paths = [value] if isinstance(value, (str, os.PathLike)) else value
        return [os.path.abspath(p) for p in paths]
    if name in ("init", "root", "lr_images") and value is not None:
        return os.path.abspath(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _fits(name: str, value: Any) -> bool:
    """Whether a value has the type of an argument."""
    if name in _OPTIONAL:
        return value is None or (isinstance(value, _OPTIONAL[name]) and not isinstance(value, bool))
    default = DEFAULTS[name] if name in DEFAULTS else _CHANGES[name]
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(default, str):
        return isinstance(value, str)
    if isinstance(default, tuple):
        kind: Any = str if name.endswith("data") else (int, float)
        return isinstance(value, list) and all(isinstance(v, kind) for v in value)
    return isinstance(value, dict)


def _flag(name: str) -> str:
    return name.replace("_", "-")
