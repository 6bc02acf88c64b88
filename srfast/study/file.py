"""The file of a study: its reading into a checked description, and the ready-made files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
from srfast.scoring.settings import Scale
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
    content = toml.read(f"{path}: ", toml.parse(path), _TOP)
    data, scoring, training = (
        toml.read(f"{path}: {name}.", content[name], {**keys(Study, name), **(_RECIPE if name == "training" else {})})
        for name in ("data", "scoring", "training")
    )
    folder = path.resolve().parent
    joined = joining.added(folder / scoring["join"]) if scoring["join"] else []
    arms = _arms(path, content["arm"], (*SCORES, *joined))
    tests = {k: str(folder / text("a folder").check(f"{path}: data.test.{k}", v)) for k, v in data["test"].items()}
    if images:
        data["train"] = [str(Path(p).resolve()) for p in images]
        tests = {}
    if test:
        tests = {k: str(Path(v).resolve()) for k, v in test.items()}
    if not data["train"]:
        raise InputError(f"{path}: data.train: expected folders of images, here or as `images`, got nothing")
    named = bool(data["test"])
    data |= {"train": tuple(str(folder / p) for p in data["train"]), "test": tests}
    scoring |= {
        "stride": scoring["stride"] or scoring["patch"],
        "scales": scoring.pop("scale"),
        "scorers": tuple(str(folder / s) if Path(s).suffix else s for s in scoring["scorers"]),  # weights, or a name
        "join": str(folder / scoring["join"]) if scoring["join"] else "",
    }
    with inside(f"{path}: scoring."):
        for scale in scoring["scales"]:
            check_grid(scale, scoring["patch"], scoring["stride"])
    changes = {name: value for name in RECIPE if (value := training.pop(name)) is not None}
    own = _own_models(path, [*training["models"], *(m for arm in arms for m in arm.models)])
    training["models"] = tuple(map(_short, training["models"]))
    training["options"] = {_short(name): sizes for name, sizes in training["options"].items()}
    if (degradation := training["degradation"]) and degradation not in PRESETS:
        training["degradation"] = degradation = str(folder / degradation)
    if degradation:
        with inside(f"{path}: training."):
            Degradation.read(degradation)
        if taken := [t for t in tests if t.endswith(DEGRADED)]:
            raise InputError(f"{path}: data.test: expected names that do not end in {DEGRADED}, got {taken[0]}")
    for arm in arms:
        if arm.models and not set(arm.models) & set(training["models"]):
            raise InputError(
                f"{path}: arm {arm.name!r}.models: expected one of training.models ({', '.join(training['models'])}), "
                f"got {list(arm.models)}"
            )
    for scorer, count in Counter(Path(s).name for s in scoring["scorers"]).items():
        if count > 1:
            raise InputError(
                f"{path}: scoring.scorers: expected scorers of different names, got {count} named {scorer!r}"
            )
    for name in training["options"]:
        if name not in training["models"]:
            raise toml.unknown(f"{path}: training.options.{name}", name, training["models"])
    datasets = [*tests, *(f"{t}{DEGRADED}" for t in tests if degradation)] if named else []
    study = Study(
        name=path.stem,
        title=content["title"] or path.stem,
        **data,
        **scoring,
        **training,
        recipe=changes,
        arms=arms,
        claims=_claims(path, content["claim"], arms, training["models"], datasets, scoring["scales"]),
        own=own,
    )
    _check_recipes(path, study)
    _check_claims(path, study)
    return study


def _short(model: str) -> str:
    """The name of a model in results: NAME of FILE.py:NAME."""
    return model.rpartition(":")[2] if is_file(model) else model


def _own_models(path: Path, named: Sequence[str]) -> dict[str, str]:
    """FILE.py:NAME of the models of the user's, with absolute paths, by their NAME."""
    own: dict[str, str] = {}
    for name in dict.fromkeys(named):
        if not is_file(name):
            if name not in models.names() and name not in {_short(n) for n in named if is_file(n)}:
                raise toml.unknown(f"{path}: training.models", name, [*models.names(), "FILE.py:NAME"])
            continue
        place = str(path.resolve().parent / name)
        with inside(f"{path}: training.models: "):
            models.describe(place)
        if own.setdefault(_short(name), place) != place or _short(name) in models.names():
            raise InputError(
                f"{path}: training.models: expected models of different names, since results distinguish them by "
                f"name, got "
                f"{_short(name)!r} twice"
            )
    return own


def _check_recipes(path: Path, study: Study) -> None:
    """The recipes are sound, and every crop lies within a patch."""
    for arm, scale in product(study.arms, study.scales):
        where = f"{path}: arm {arm.name!r}." if arm.recipe else f"{path}: training."
        for model in arm.models or study.models:
            with inside(where):
                crop = study.recipe_of(arm, model, scale).lr_patch
            if crop * scale > study.patch:
                raise InputError(
                    f"{where}lr_patch: expected at most {study.patch // scale} (patches are {study.patch} px), "
                    f"got {crop} for {model}"
                )


def _check_claims(path: Path, study: Study) -> None:
    """Both sides of every claim are trained, on the whole pool, for as many updates as it says."""
    arms = {arm.name: arm for arm in study.arms}
    if study.claims and 1 not in study.pool:
        raise InputError(f"{path}: data.pool: expected 1.0 too, on which claims are judged, got {list(study.pool)}")
    for i, claim in enumerate(study.claims):
        model, updates = claim.model or study.models[0], claim.updates or study.updates
        for side, name, keep in (("arm", claim.arm, claim.keep), ("control", claim.against, claim.against_keep)):
            arm = arms[name]
            trained = arm.models or study.models
            if model not in trained:
                raise InputError(
                    f"{path}: claim {i + 1}.model: expected one of {', '.join(trained)}, which its {side} {name!r} "
                    f"trains, got {model!r}"
                )
            own = sorted({study.updates_of(budget, keep, 1.0) for budget in arm.budget})
            if updates not in own:
                what = f"expected one of {own}, for which its {side} {name!r} trains (keep = {keep:g}), got {updates}"
                hint = f'budget = "updates" trains it for all {study.updates}'
                raise InputError(f"{path}: claim {i + 1}.updates: {what}", hint=hint)


def _arms(path: Path, tables: Any, columns: Sequence[str]) -> tuple[Arm, ...]:
    if not isinstance(tables, list) or not tables:
        raise InputError(f"{path}: arm: expected {_TOP['arm'].kind.expected}, got {tables!r}")
    arms: list[Arm] = []
    for i, table in enumerate(tables):
        where = f"{path}: arm {i + 1}."
        values = toml.read(where, table, _ARM)
        where = f"{path}: arm {values['name']!r}."
        if values["name"] in {a.name for a in arms}:
            raise InputError(f"{where}name: expected different names, got this one twice")
        # Cells are folders, and some file systems take A for a.
        if other := next((a.name for a in arms if a.name.casefold() == values["name"].casefold()), None):
            raise InputError(f"{where}name: expected names that differ not only in case, got {other!r} too")
        of_loss = values.pop("keep_loss")
        if of_loss is not None and values["keep"] is not None:
            raise InputError(f"{where}keep: expected either keep or keep_loss")
        values["of_loss"] = of_loss is not None
        values["keep"] = of_loss or values["keep"] or (1.0,)
        if values["of_loss"] and "epochs" in values["budget"]:
            raise InputError(
                f"{where}budget: expected 'updates' or fractions of the updates with keep_loss, got 'epochs'"
            )
        values["models"] = tuple(map(_short, values["models"]))
        changes = {name: value for name in RECIPE if (value := values.pop(name)) is not None}
        select = {name: value for name in SELECT if (value := values.pop(name)) is not None}
        if is_file(str(select.get("method", ""))):
            select["method"] = str(path.resolve().parent / select["method"])
        with inside(where):
            Selection(**select).checked(columns)
            if select.get("target"):
                select["target"] = str(path.resolve().parent / select["target"])
            arm = Arm(**values, select=select, recipe=changes)
            for keep in arm.keep:
                arm.selection(keep, 0)
        if arm.of_loss and arm.redraw == "pass":
            raise InputError(f"{where}keep_loss: cannot be combined with redraw = 'pass'")
        if arm.redraw == "pass" and select != {"method": "random"}:
            raise InputError(f"{where}redraw: expected only method = 'random' with 'pass', got {select}")
        for known in (a for a in arms if arm.column and a.column == arm.column):
            if known.select["target"] != select["target"]:
                raise InputError(f"{where}target: expected folders whose names differ, got that of arm {known.name!r}")
        arms.append(arm)
    return tuple(arms)


def _claims(
    path: Path,
    tables: Any,
    arms: Sequence[Arm],
    models_: Sequence[str],
    datasets: Sequence[str],
    scales: Sequence[Scale],
) -> tuple[Claim, ...]:
    """The claims, with defaults filled in."""
    claims: list[Claim] = []
    by_name = {arm.name: arm for arm in arms}
    for i, table in enumerate(tables):
        where = f"{path}: claim {i + 1}."
        values = toml.read(where, table, keys(Claim))
        for side in ("arm", "against"):
            if values[side] not in by_name:
                raise toml.unknown(f"{where}{side}", values[side], list(by_name))
        arm, control = by_name[values["arm"]], by_name[values["against"]]
        keep = values["keep"] or arm.keep[0]
        own = values["against_keep"] or (keep if keep in control.keep else control.keep[0])
        for key, value, of in (("keep", keep, arm), ("against_keep", own, control)):
            if value not in of.keep:
                raise InputError(f"{where}{key}: expected one of {list(of.keep)}, got {value}")
        if datasets and values["dataset"] and values["dataset"] not in datasets:
            raise toml.unknown(f"{where}dataset", values["dataset"], datasets)
        values["model"] = _short(values["model"])
        if values["model"] and values["model"] not in models_:
            raise toml.unknown(f"{where}model", values["model"], models_)
        if (values["scale"] or len(scales) > 1) and values["scale"] not in scales:
            raise InputError(f"{where}scale: expected one of {list(scales)}, got {values['scale'] or 'nothing'}")
        if (values["arm"], keep) == (values["against"], own):
            raise InputError(
                f"{where}against: expected another arm than {values['arm']!r}, or another against_keep than {keep:g}"
            )
        claims.append(Claim(**{**values, "keep": keep, "against_keep": own}))
    if len(primary := [c for c in claims if not c.stratum]) > MOST_CLAIMS:
        raise InputError(f"{path}: claim: expected at most {MOST_CLAIMS} without a stratum, got {len(primary)}")
    return tuple(claims)


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
