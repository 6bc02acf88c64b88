"""The file of a study: its keys, their values and defaults, and the ready-made files."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import MISSING, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from srfast.coreset.settings import ARGUMENTS
from srfast.data.toml import Key
from srfast.errors import InputError
from srfast.scoring.settings import ScoreArguments
from srfast.settings import SCALES, Kind, Settings, fitting, fraction, number, one_of, several, text, whole
from srfast.training.recipes import Recipe
from srfast.training.settings import TrainSettings

Keys = dict[str, Key]


BUDGETS = ("epochs", "updates")
SELECT = tuple(name for name in ARGUMENTS if name not in ("keep", "keep_loss", "seed"))
"""Arguments of ``srfast.select`` that an arm may set."""
RECIPE = tuple(f.name for f in dataclasses.fields(Recipe) if f.name != "lr_factors")
"""Fields of a model's recipe that a study, or one of its arms, may change."""


def _of(settings: type[Settings], *names: str, **defaults: Any) -> Keys:
    """Settings of a command as keys, with its default unless another one is given."""
    fields = settings.__dataclass_fields__
    return {n: Key(fields[n].metadata["kind"], defaults.get(n, fields[n].default)) for n in (*names, *defaults)}


_TABLE = Kind("a table", fitting(lambda value: isinstance(value, dict)))
_TABLES = Kind("[[claim]] tables", fitting(lambda value: isinstance(value, list)))
_NAME = fitting(lambda value: isinstance(value, str) and re.fullmatch(r"[\w.]+", value))


def _options(value: Any) -> dict[str, Any]:
    json.dumps(value)  # dates, which models do not take either, cannot be kept beside the results
    return {model: _TABLE.convert(sizes) for model, sizes in _TABLE.convert(value).items()}


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return tuple(range(whole(1, (1 << 16) - 1).convert(value)))
    seeds = tuple(whole(0, (1 << 31) - 1).convert(v) for v in value)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError
    return seeds


def _budget(value: Any) -> str | float:
    return str(one_of(*BUDGETS).convert(value)) if isinstance(value, str) else float(_PART.convert(value))


_PART = number("a number above 0", lambda v: 0 < v <= sys.float_info.max)
_UPDATES = whole(1, (1 << 31) - 1)


def _fractions(name: str) -> Kind:
    return several(fraction(name, zero=False, one=True))


MINIMAL = """\
training = {models = "fsrcnn", updates = 2000}
arm = [{name = "all"}, {name = "half", keep = 0.5, budget = "updates"}]
"""
"""A study of images that are given on the command line."""
_SUCH = "(two lines make a study: {} and {})".format(*MINIMAL.splitlines())


TOP: Keys = {
    "title": Key(text("a line of text"), ""),
    "data": Key(_TABLE, {}),
    "scoring": Key(_TABLE, {}),
    "training": Key(replace(_TABLE, expected=f"a table {_SUCH}"), MISSING),
    "arm": Key(replace(_TABLES, expected=f"at least one [[arm]] {_SUCH}"), MISSING),
    "claim": Key(_TABLES, []),
}
DATA: Keys = {
    "train": Key(several(text("a folder of images")), ()),
    "test": Key(_TABLE, {}),
    "holdout": Key(number("a fraction below 1", lambda v: 0 < v <= 0.999), 0.1),
    "pool": Key(_fractions("pool"), (1.0,)),
}
SCORING: Keys = {
    "scale": Key(several(one_of(*SCALES)), (2,)),
    **_of(ScoreArguments, "patch", "mode", "shrink", "defects", stride=None),
    "scorers": Key(several(text("srcnn, srcnn:SEED, bicubic or a file of weights")), ("srcnn",)),
    "scorer_updates": Key(_UPDATES, 500),
    "join": Key(text("a .csv, .parquet or .txt file"), ""),
}
TRAINING: Keys = {
    "models": Key(several(text("a model")), MISSING),
    "updates": Key(_UPDATES, MISSING),
    "seeds": Key(Kind("a number of seeds below 65,536, or a list of different ones below 2^31", _seeds), (0, 1, 2, 3)),
    **_of(TrainSettings, "precision", "device", "save_every", "cache_mb"),
    "degradation": Key(text("a degradation: a TOML file, or a preset"), ""),
    "options": Key(Kind("a table of tables, one a model", _options), {}),
    **_of(Recipe, **dict.fromkeys(RECIPE)),
}
CLAIM: Keys = {
    "arm": Key(text("the name of an arm"), MISSING),
    "keep": Key(fraction("keep", zero=False, one=True), 0.0),
    "against": Key(text("the name of an arm"), MISSING),
    "against_keep": Key(fraction("against_keep", zero=False, one=True), 0.0),
    "updates": Key(_UPDATES, 0),
    "dataset": Key(text("the name of a test set"), ""),
    "stratum": Key(one_of("easy", "middle", "hard", "flat"), ""),
    "model": Key(text("the name of a model"), ""),
    "scale": Key(one_of(*SCALES), 0),
}
ARM: Keys = {
    "name": Key(Kind("letters, digits, . and _", _NAME), MISSING),
    "keep": Key(_fractions("keep"), None),
    "keep_loss": Key(_fractions("keep_loss"), None),
    "budget": Key(several(Kind("'epochs', 'updates' or a fraction of the updates", _budget)), ("epochs",)),
    "redraw": Key(one_of("seed", "pass"), "seed"),
    "models": Key(several(text("a model")), ()),
    **{name: Key(Kind("an argument of select", lambda value: value), None) for name in SELECT},
    **_of(Recipe, **dict.fromkeys(RECIPE)),
}


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
