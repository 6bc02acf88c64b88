"""The keys of a study's file: their values and defaults."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from srfast.coreset.settings import ARGUMENTS
from srfast.data import toml
from srfast.data.toml import Key
from srfast.training.recipes import Recipe

BUDGETS = ("epochs", "updates")
_OWN_FIELDS = ("lr_factors",)
SELECT = tuple(name for name in ARGUMENTS if name not in ("keep", "keep_loss", "seed"))
"""Arguments of ``srfast.select`` that an arm may set."""
RECIPE = {f.name: f for f in dataclasses.fields(Recipe) if f.name not in _OWN_FIELDS}
"""Fields of a model's recipe that a study, or one of its arms, may change."""


_budget = toml.some(lambda v: v in BUDGETS if isinstance(v, str) else toml.number(v))
_scale = toml.some(lambda v: toml.integer(v) and v in (2, 3, 4))


def _seeds(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(toml.integer(v) and v < 1 << 31 for v in value) and len(set(value)) == len(value)
    return toml.integer(value, 1) and value < 1 << 16


def _one_of(*values: str) -> Key:
    return Key(f"one of {', '.join(values)}", lambda v: v in values, values[0])


def _field(name: str) -> Key:
    """A field of ``Recipe``, whose values have the type of its default."""
    example = RECIPE[name].default
    if isinstance(example, bool):
        return Key("true or false", lambda v: isinstance(v, bool), None)
    if isinstance(example, int):
        return Key("a non-negative integer", toml.integer, None)
    if isinstance(example, float):
        return Key("a non-negative number", lambda v: toml.number(v, above=-1e-300), None)
    if isinstance(example, tuple):
        return Key("a list of numbers", lambda v: isinstance(v, list) and all(toml.number(n, -1) for n in v), None)
    options = re.findall(r"['\"](\w+)['\"]", str(RECIPE[name].type))
    return Key(f"one of {', '.join(options)}", lambda v: v in options, None)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _options(value: Any) -> bool:
    try:
        json.dumps(value)  # dates, which models do not take either, cannot be kept beside the results
    except TypeError:
        return False
    return _is_table(value) and all(map(_is_table, value.values()))


TOP = {
    "title": Key("a line of text", toml.text, ""),
    "data": Key("a table", _is_table, {}),
    "scoring": Key("a table", _is_table, {}),
    "training": Key("a table", _is_table),
    "arm": Key("at least one [[arm]]", lambda v: isinstance(v, list) and bool(v)),
    "claim": Key("[[claim]] tables", lambda v: isinstance(v, list), []),
}
DATA = {
    "train": Key("a list of folders of images", toml.texts, []),
    "test": Key("a table of folders", _is_table, {}),
    "holdout": Key("a fraction below 1", lambda v: toml.number(v, 0, 0.999), 0.1),
    "pool": Key("a fraction with 0 < pool <= 1, or a list", toml.fractions, 1.0),
}
SCORING = {
    "scale": Key("2, 3 or 4, or a list of them", _scale, 2),
    "patch": Key("a positive multiple of the scale", lambda v: toml.integer(v, 1), 96),
    "stride": Key("a positive multiple of the scale", lambda v: toml.integer(v, 1), 0),
    "mode": _one_of("patch", "dense"),
    "shrink": Key("a text such as 1,3/4,1/2", toml.text, "1"),
    "defects": Key("true or false", lambda v: isinstance(v, bool), False),
    "scorers": Key("a list of srcnn, srcnn:SEED, bicubic or weight files", toml.texts, ["srcnn"]),
    "scorer_updates": Key("a positive integer", lambda v: toml.integer(v, 1), 500),
    "join": Key("a .csv, .parquet or .txt file", toml.text, ""),
}
TRAINING = {
    "models": Key("a list of models", toml.texts),
    "updates": Key("a positive integer", lambda v: toml.integer(v, 1) and v < 1 << 31),
    "seeds": Key("a number of seeds below 65,536, or a list of different ones below 2^31", _seeds, 4),
    "precision": _one_of("fp32", "bf16", "fp16"),
    "device": _one_of("auto", "cpu", "cuda"),
    "save_every": Key("a positive integer", lambda v: toml.integer(v, 1), 250),
    "cache_mb": Key("a positive integer", lambda v: toml.integer(v, 1), 2048),
    "options": Key("a table of tables, one a model", _options, {}),
    **{name: _field(name) for name in RECIPE},
}
CLAIM = {
    "arm": Key("the name of an arm", toml.text),
    "keep": Key("a fraction with 0 < keep <= 1", lambda v: toml.number(v, 0, 1), 0.0),
    "against": Key("the name of an arm", toml.text),
    "against_keep": Key("a fraction with 0 < against_keep <= 1", lambda v: toml.number(v, 0, 1), 0.0),
    "updates": Key("a number of updates", toml.integer, 0),
    "dataset": Key("the name of a test set", toml.text, ""),
    "stratum": Key("one of easy, middle, hard, flat", lambda v: v in ("easy", "middle", "hard", "flat"), ""),
    "model": Key("the name of a model", toml.text, ""),
    "scale": Key("2, 3 or 4", lambda v: toml.integer(v) and v in (2, 3, 4), 0),
}
ARM = {
    "name": Key("letters, digits, . and _", lambda v: toml.text(v) and re.fullmatch(r"[\w.]+", v) is not None),
    "keep": Key("a fraction with 0 < keep <= 1, or a list", toml.fractions, None),
    "keep_loss": Key("a fraction with 0 < keep_loss <= 1, or a list", toml.fractions, None),
    "budget": Key("'epochs', 'updates', a fraction of the updates, or a list of these", _budget, "epochs"),
    "redraw": _one_of("seed", "pass"),
    "models": Key("a list of models", toml.texts, []),
    **{name: Key("an argument of select", lambda _: True, None) for name in SELECT},
    **{name: _field(name) for name in RECIPE},
}
