"""Weights of the networks' authors, recognised by their names and shapes and converted to srfast's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srfast.errors import InputError
from srfast.models import layers, registry
from srfast.models.official.layouts import RGB_LAYOUTS, Y_LAYOUTS
from srfast.models.official.readers import Layout, State

LAYOUTS = (*Y_LAYOUTS, *RGB_LAYOUTS)
_WRAPPERS = ("module.", "model.")  # what DataParallel and trainers put before every name
_SCALE_IN_NAME = re.compile(r"(?:^|[^0-9a-z])(?:x([234])|([234])x)(?=$|[^0-9a-z])", re.IGNORECASE)
_UNITS_IN_NAME = re.compile(r"B1U(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Recognised:
    """Foreign weights as those of a network of srfast."""

    name: str
    scale: int
    options: dict[str, Any]
    state: State


def recognise(state: Mapping[str, Tensor], path: Path, scale: int | None = None) -> Recognised | None:
    """The network whose authors' names and shapes the tensors have, or None.

    If the scale does not follow from the weights (SRCNN, FSRCNN, DRRN, IDN), it is the requested one, or that in the
    name of their file or its folder (``x3``, ``3x``). Raises InputError if the network is known, but its scale is not.
    """
    theirs = _bare(state)
    for layout in LAYOUTS:
        try:
            recognised = _converted(layout, theirs, path, scale)
        except (KeyError, IndexError, ZeroDivisionError, RuntimeError, ValueError):
            continue
        if recognised is None:
            continue
        if recognised.scale == 0:
            raise InputError(
                f"scale: {path} holds the weights of {layout.model} ({layout.source}), which are alike at all scales",
                hint=f"give the scale, or name the file by it, such as {path.stem}_x2{path.suffix}",
            )
        said = scale_of(path)
        if layout.scale is None and layout.model != "drrn" and said not in (None, recognised.scale):
            raise InputError(f"scale: the name of {path} says x{said}, got {recognised.scale}")
        return recognised
    return None


def nearest(state: Mapping[str, Tensor]) -> str:
    """The known network whose names resemble the tensors' most, in words; empty if none is near."""
    theirs = _bare(state)
    best, share = None, 0.3
    for layout in LAYOUTS:
        fitting = sum(_own_name(key, layout) is not None for key in theirs) / max(1, len(theirs))
        marks = sum(mark in theirs for mark in layout.marks) / len(layout.marks)
        if fitting * marks > share:
            best, share = layout, fitting * marks
    if best is None:
        return ""
    strange = [k for k in theirs if _own_name(k, best) is None]
    missing = [k for k in best.marks if k not in theirs]
    why = f"{strange[0]} is not of it" if strange else f"{missing[0]} is missing" if missing else "shapes differ"
    return f"nearest is {best.model} as {best.source} names it, but {why}"


def _bare(state: Mapping[str, Tensor]) -> State:
    bare = dict(state)
    for prefix in _WRAPPERS:
        if bare and all(k.startswith(prefix) for k in bare):
            bare = {k.removeprefix(prefix): v for k, v in bare.items()}
    return bare


def _own_name(key: str, layout: Layout) -> str | None:
    """Our name of a tensor; empty if it is not used, None if it does not belong to the layout."""
    module, _, leaf = key.rpartition(".")
    for pattern, ours in layout.patterns:
        if match := pattern.fullmatch(module):
            name = ours
            for group, value in match.groupdict().items():
                name = name.replace(f"{{{group}}}", value)
                name = name.replace(f"{{{group}-1}}", str(int(value) - 1)) if value.isdigit() else name
            return f"{name}.{leaf}" if name else leaf
    return "" if any(re.fullmatch(u, key) for u in layout.unused) else None


def scale_of(path: Path) -> int | None:
    """The scale in the name of a file or of its folder."""
    for name in (path.name, path.parent.name):
        if match := _SCALE_IN_NAME.search(name):
            return int(match[1] or match[2])
    return None


def _converted(layout: Layout, theirs: State, path: Path, requested: int | None) -> Recognised | None:
    """The weights converted to ours, at scale 0 if it is not known, or None if their names or shapes are not those of
    the layout."""
    if not all(mark in theirs for mark in layout.marks):
        return None
    names = {key: _own_name(key, layout) for key in theirs}
    if None in names.values():
        return None
    own = {n: v.float() if v.is_floating_point() else v for k, v in theirs.items() if (n := names[k])}
    options, units = layout.options(theirs), _UNITS_IN_NAME.search(path.name)
    scale = (layout.scale(theirs) if layout.scale else requested or scale_of(path)) or 0
    if layout.single_unit and units:
        options = {**options, "units": int(units[1])}
    if layout.convert:
        own = layout.convert(own, theirs, scale or 2)
    own, shift = _mean_shift(layout, own, theirs)
    options = options | shift
    if "deconv.weight" in own:
        options["kernel"] = own["deconv.weight"].shape[-1]
    name = "edsr_baseline" if layout.model == "edsr" and options["weight"] == 1 else layout.model
    with torch.device("meta"):
        expected = registry.create(name, scale or 2, **options).state_dict()
    same = {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in expected.items()}
    return Recognised(name, scale, options, own) if same else None


def _mean_shift(layout: Layout, own: State, theirs: State) -> tuple[State, dict[str, Any]]:
    """DIV2K's mean and the range, 1 x 1 convolutions in the file: constants here, or weights if they were trained."""
    keys = [f"{part}_mean.{kind}" for part in ("sub", "add") for kind in ("weight", "bias")]
    if not layout.mean_range or not all(k in theirs for k in keys):
        return own, {}
    first, shift, last, back = (theirs[k].float() for k in keys)
    # The range that they work in, 255 or 1, in ours.
    ratio = (255.0 if shift.abs().max() > 2 else 1.0) / layout.mean_range
    mean = torch.tensor(layers.DIV2K_MEAN) * ratio * layout.mean_range
    identity = torch.eye(3)[..., None, None]
    pairs = ((first, identity), (shift, -mean), (last, identity), (back, mean))
    if all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in pairs):
        if ratio != 1:
            rescaled = {k: own[k] / ratio for k in ("tail.1.weight", "tail.1.bias")}
            own = own | rescaled | {"head.weight": own["head.weight"] * ratio}
        return own, {}
    moved = {"before.weight": first * ratio, "before.bias": shift}
    moved |= {"after.weight": last / ratio, "after.bias": back / ratio}
    return own | {f"centred.{k}": v for k, v in moved.items()}, {"mean_shift": True}
