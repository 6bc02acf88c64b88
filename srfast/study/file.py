"""The file of a study: its reading into a checked description, and the ready-made files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from srfast.coreset import joining
from srfast.coreset.settings import SCORES, Selection
from srfast.data import toml
from srfast.data.grid import check_grid
from srfast.data.toml import Key
from srfast.degradation.plan import Degradation
from srfast.degradation.settings import PRESETS
from srfast.errors import InputError, inside
from srfast.models import registry as models
from srfast.runtime.plugins import is_file
from srfast.settings import Kind, fitting, several, text
from srfast.study.description import DEGRADED, RECIPE, SELECT, TABLE, Arm, Claim, Study, keys, share
from srfast.training.recipes import Recipe

MOST_CLAIMS = 10
"""Largest number of claims about whole test sets; the more there are, the less each can detect."""
MINIMAL = """\
training = {models = "fsrcnn", updates = 2000}
arm = [{name = "all"}, {name = "half", keep = 0.5, budget = "updates"}]
"""
"""A study of images that are given on the command line."""
_SUCH = "(two lines make a study: {} and {})".format(*MINIMAL.splitlines())
_TABLES = Kind("[[claim]] tables", fitting(lambda value: isinstance(value, list)))
_TOP = {
    "title": Key(text("a line of text"), ""),
    "data": Key(TABLE, {}),
    "scoring": Key(TABLE, {}),
    "training": Key(replace(TABLE, expected=f"a table {_SUCH}"), MISSING),
    "arm": Key(replace(_TABLES, expected=f"at least one [[arm]] {_SUCH}"), MISSING),
    "claim": Key(_TABLES, []),
}
_RECIPE = {name: Key(Recipe.__dataclass_fields__[name].metadata["kind"], None) for name in RECIPE}
_ARM = {
    **keys(Arm),
    "keep_loss": Key(several(share("keep_loss")), None),
    **{name: Key(Kind("an argument of select", lambda value: value), None) for name in SELECT},
    **_RECIPE,
}


def read_study(
    path: str | Path, images: Sequence[str | Path] = (), test: Mapping[str, str | Path] | None = None
) -> Study:
    """Reads a study from a TOML file; paths in it are relative to it.

    ``images`` and ``test`` (name to folder) replace those of the file. With ``images`` alone, a part of them
    (``data.holdout``) is held out for testing. Raises InputError if the file is not a study; the message names the key,
    what was expected and what came.
    """
    path = Path(path)
    content = toml.parse(path)
    with inside(f"{path}: "):
        return _study(path.resolve().parent, path.stem, content, images, test)


def _study(folder: Path, name: str, content: Any, images: Sequence[str | Path], test: Any) -> Study:
    top = toml.read("", content, _TOP)
    data, scoring, training = (
        toml.read(f"{table}.", top[table], {**keys(Study, table), **(_RECIPE if table == "training" else {})})
        for table in ("data", "scoring", "training")
    )
    join = scoring["join"] = str(folder / scoring["join"]) if scoring["join"] else ""
    arms = tuple(_arms(folder, top["arm"], (*SCORES, *(joining.added(Path(join)) if join else ()))))
    named = {k: text("a folder").check(f"data.test.{k}", v) for k, v in data["test"].items()}
    tests = {k: str(folder / v) for k, v in named.items() if not images}
    if test:
        tests = {k: str(Path(v).resolve()) for k, v in test.items()}
    train = tuple(str(Path(p).resolve()) for p in images) or tuple(str(folder / p) for p in data["train"])
    if not train:
        raise InputError("data.train: expected folders of images, here or as `images`, got nothing")
    data |= {"train": train, "test": tests}
    scoring |= {
        "stride": scoring["stride"] or scoring["patch"],
        "scales": scoring.pop("scale"),
        "scorers": tuple(str(folder / s) if Path(s).suffix else s for s in scoring["scorers"]),  # weights, or a name
    }
    with inside("scoring."):
        for scale in scoring["scales"]:
            check_grid(scale, scoring["patch"], scoring["stride"])
    scorers = [Path(s).name for s in scoring["scorers"]]
    if twice := [s for s in scorers if scorers.count(s) > 1]:
        raise InputError(f"scoring.scorers: expected scorers of different names, got {len(twice)} named {twice[0]!r}")
    changes = {name: value for name in RECIPE if (value := training.pop(name)) is not None}
    own = _own_models(folder, [*training["models"], *(m for arm in arms for m in arm.models)])
    arms = tuple(replace(arm, models=tuple(map(_short, arm.models))) for arm in arms)
    training["models"] = tuple(map(_short, training["models"]))
    training["options"] = {_short(name): sizes for name, sizes in training["options"].items()}
    for model in training["options"]:
        if model not in training["models"]:
            raise toml.unknown(f"training.options.{model}", model, training["models"])
    if (degradation := training["degradation"]) and degradation not in PRESETS:
        training["degradation"] = degradation = str(folder / degradation)
    if degradation:
        with inside("training."):
            Degradation.read(degradation)
        if taken := [t for t in tests if t.endswith(DEGRADED)]:
            raise InputError(f"data.test: expected names that do not end in {DEGRADED}, got {taken[0]}")
    title = top["title"] or name
    study = Study(name=name, title=title, **data, **scoring, **training, recipe=changes, arms=arms, own=own)
    _check_recipes(study)
    datasets = [*tests, *(f"{t}{DEGRADED}" for t in tests if degradation)] if named else []
    claims = tuple(_claims(study, top["claim"], datasets))
    if (count := sum(not claim.stratum for claim in claims)) > MOST_CLAIMS:
        raise InputError(f"claim: expected at most {MOST_CLAIMS} without a stratum, got {count}")
    return replace(study, claims=claims)


def _short(model: str) -> str:
    """The name of a model in results: NAME of FILE.py:NAME."""
    return model.rpartition(":")[2] if is_file(model) else model


def _own_models(folder: Path, named: Sequence[str]) -> dict[str, str]:
    """FILE.py:NAME of the models of the user's, with absolute paths, by their NAME."""
    own: dict[str, str] = {}
    for name in filter(is_file, dict.fromkeys(named)):
        place = str(folder / name)
        with inside("training.models: "):
            models.describe(place)
        if own.setdefault(_short(name), place) != place or _short(name) in models.names():
            raise InputError(
                "training.models: expected models of different names, since results distinguish them by name, got "
                f"{_short(name)!r} twice"
            )
    for name in named:
        if not is_file(name) and name not in {*models.names(), *own}:
            raise toml.unknown("training.models", name, [*models.names(), "FILE.py:NAME"])
    return own


def _check_recipes(study: Study) -> None:
    """Every arm trains a model of the study, the recipes are sound, and every crop lies within a patch."""
    for arm, scale in product(study.arms, study.scales):
        if arm.models and not set(arm.models) & set(study.models):
            raise InputError(
                f"arm {arm.name!r}.models: expected one of training.models ({', '.join(study.models)}), "
                f"got {list(arm.models)}"
            )
        with inside(f"arm {arm.name!r}." if arm.recipe else "training."):
            for model in arm.models or study.models:
                crop = study.recipe_of(arm, model, scale).lr_patch
                if crop * scale > study.patch:
                    raise InputError(
                        f"lr_patch: expected at most {study.patch // scale} (patches are {study.patch} px), got {crop} "
                        f"for {model}"
                    )


def _arms(folder: Path, tables: Any, columns: Sequence[str]) -> Iterator[Arm]:
    if not tables:
        raise InputError(f"arm: expected {_TOP['arm'].kind.expected}, got {tables!r}")
    arms: list[Arm] = []
    for i, table in enumerate(tables):
        values = toml.read(f"arm {i + 1}.", table, _ARM)
        # Cells are folders, and some file systems take A for a.
        with inside(f"arm {values['name']!r}."):
            if other := next((a.name for a in arms if a.name.casefold() == values["name"].casefold()), None):
                raise InputError(f"name: expected names that differ in more than case, got {other!r} too")
            arm = _arm(folder, values, columns)
            for known in (a for a in arms if arm.column and a.column == arm.column):
                if known.select["target"] != arm.select["target"]:
                    raise InputError(f"target: expected folders whose names differ, got that of arm {known.name!r}")
        arms.append(arm)
        yield arm


def _arm(folder: Path, values: dict[str, Any], columns: Sequence[str]) -> Arm:
    """The arm of a table's values."""
    of_loss, passes = values.pop("keep_loss"), values["redraw"] == "pass"
    changes, select = (
        {name: value for name in names if (value := values.pop(name)) is not None} for names in (RECIPE, SELECT)
    )
    if is_file(str(select.get("method", ""))):
        select["method"] = str(folder / select["method"])
    Selection(**select).checked(columns)
    if select.get("target"):
        select["target"] = str(folder / select["target"])
    for refused, message in (
        (of_loss and values["keep"], "keep: expected either keep or keep_loss"),
        (
            of_loss and "epochs" in values["budget"],
            "budget: expected 'updates' or fractions of the updates with keep_loss, got 'epochs'",
        ),
        (of_loss and passes, "keep_loss: cannot be combined with redraw = 'pass'"),
        (
            passes and select != {"method": "random"},
            f"redraw: expected only method = 'random' with 'pass', got {select}",
        ),
    ):
        if refused:
            raise InputError(message)
    keep = of_loss or values["keep"] or (1.0,)
    arm = Arm(**{**values, "keep": keep, "of_loss": of_loss is not None}, select=select, recipe=changes)
    for part in keep:
        arm.selection(part, 0)
    return arm


def _claims(study: Study, tables: Any, datasets: Sequence[str]) -> Iterator[Claim]:
    """The claims, with the keeps that they leave out. Both sides are trained, on the whole pool, for as many updates as
    the claim says."""
    arms = {arm.name: arm for arm in study.arms}
    if tables and 1 not in study.pool:
        raise InputError(f"data.pool: expected 1.0 too, on which claims are judged, got {list(study.pool)}")
    for i, table in enumerate(tables):
        values = toml.read(f"claim {i + 1}.", table, keys(Claim))
        values["model"] = _short(values["model"])
        with inside(f"claim {i + 1}."):
            for key, known in (("arm", arms), ("against", arms), ("dataset", datasets), ("model", study.models)):
                if values[key] and known and values[key] not in known:
                    raise toml.unknown(key, values[key], known)
            arm, control = arms[values["arm"]], arms[values["against"]]
            values["keep"] = values["keep"] or arm.keep[0]
            same = values["keep"] if values["keep"] in control.keep else control.keep[0]
            values["against_keep"] = values["against_keep"] or same
            claim = Claim(**values)
            if (claim.scale or len(study.scales) > 1) and claim.scale not in study.scales:
                raise InputError(f"scale: expected one of {list(study.scales)}, got {claim.scale or 'nothing'}")
            if (claim.arm, claim.keep) == (claim.against, claim.against_keep):
                raise InputError(
                    f"against: expected another arm than {claim.arm!r}, or another against_keep than {claim.keep:g}"
                )
            for side, key, of in (("arm", "keep", arm), ("control", "against_keep", control)):
                _check_side(study, claim, side, key, of)
        yield claim


def _check_side(study: Study, claim: Claim, side: str, key: str, arm: Arm) -> None:
    """The arm trains what one side of the claim compares."""
    keep, model, updates = getattr(claim, key), claim.model or study.models[0], claim.updates or study.updates
    if keep not in arm.keep:
        raise InputError(f"{key}: expected one of {list(arm.keep)}, got {keep}")
    if model not in (trained := arm.models or study.models):
        raise InputError(
            f"model: expected one of {', '.join(trained)}, which its {side} {arm.name!r} trains, got {model!r}"
        )
    own = sorted({study.updates_of(budget, keep, 1.0) for budget in arm.budget})
    if updates not in own:
        what = f"expected one of {own}, for which its {side} {arm.name!r} trains (keep = {keep:g}), got {updates}"
        hint = f'budget = "updates" trains it for all {study.updates}'
        raise InputError(f"updates: {what}", hint=hint)


FOLDER = "studies"


def ready_made() -> dict[str, Path]:
    """The ready-made studies: name (``how-much.toml``) to file."""
    # The build puts them beside the compiled module, which in an editable install is not where the sources are.
    spec = find_spec("srfast")
    places = spec.submodule_search_locations if spec else None
    files = [file for place in places or () for file in Path(place, FOLDER).glob("*.toml")]
    return {file.name: file for file in sorted(files)}


def find_study(study: str | Path) -> Path:
    """The study of a given name: a file or folder of the user's, or else a ready-made one. Raises InputError if there
    is neither."""
    path = Path(study)
    if path.exists():
        return path
    ready = ready_made()
    if str(study) in ready:
        return ready[str(study)]
    raise InputError(
        f"study: expected a TOML file, a folder that a study was run into, or a ready-made study "
        f"({', '.join(ready) or 'none is installed'}), got {str(study)!r}"
    )


def find_runnable(study: str | Path, images: Sequence[str | Path]) -> Path:
    """The study of a given name, for a run: a ready-made study needs images. Raises InputError if there is no such
    study, or it is ready-made and there are no images."""
    path = find_study(study)
    if not images and path != Path(study):
        raise InputError(f"images: {study} is a ready-made study and needs your images (`images` FOLDER), got none")
    return path
