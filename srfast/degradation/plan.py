"""A degradation: a file of operations or a preset, from which draws are made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data import toml
from srfast.data.hashing import of_pixels
from srfast.data.parquet import opened
from srfast.data.provenance import KEY
from srfast.degradation.carrying_out import carry_out
from srfast.degradation.chance import key_of
from srfast.degradation.operations import NESTED, Frame, Operation, Step, operation
from srfast.degradation.settings import PRESETS
from srfast.errors import InputError

_FOLDER = Path(__file__).with_name("presets")
_KEYS = {
    "title": toml.key("a text", lambda v: isinstance(v, str), ""),
    "source": toml.key("a text", lambda v: isinstance(v, str), ""),
    NESTED: toml.key("at least one [[operation]]", lambda v: isinstance(v, list) and bool(v)),
}
_MOST = 64
_TRIED = 24
"""Draws that are made of a degradation when it is read, to see whether they end at the size of an LR image."""


@dataclass(frozen=True)
class Degradation:
    """An ordered list of operations with distributions."""

    name: str
    """The name of the preset, or the path of the file."""
    operations: tuple[Operation, ...]
    title: str = ""
    source: str = ""

    @classmethod
    def read(cls, name: str | os.PathLike[str]) -> Degradation:
        """Reads a preset, a TOML file, or the degradation that made a degradation.parquet. Raises InputError if it is
        neither, a key is unknown or missing, a value does not fit, or the operations do not end at the size of an LR
        image; the message names what is wrong."""
        text = os.fspath(name)
        if text in PRESETS and not os.path.isfile(text):
            return cls.of(text, toml.parse(_FOLDER / f"{text}.toml", "a degradation"))
        if not os.path.exists(text):
            raise toml.unknown("degradation", text, (*PRESETS, "a TOML file"))
        return cls.of(text, _published(text) if text.endswith(".parquet") else toml.parse(Path(text), "a degradation"))

    @classmethod
    def of(cls, name: str, content: Mapping[str, Any]) -> Degradation:
        """The degradation of a file's content. Raises InputError as ``read`` does."""
        values = toml.read(f"{name}: ", dict(content), _KEYS)
        if len(given := values[NESTED]) > _MOST:
            raise InputError(f"{name}: {NESTED}: expected at most {_MOST}, got {len(given)}")
        operations = tuple(operation(f"{name}: {NESTED} {i}: ", o) for i, o in enumerate(given, 1))
        degradation = cls(name, operations, values["title"], values["source"])
        for draw in range(_TRIED):
            degradation.draw(96, 144, 2, key_of(0, "0" * 64, "1", draw))
        return degradation

    def draw(self, height: int, width: int, scale: int, key: np.ndarray) -> list[Step]:
        """The values drawn for an image of a given size, a multiple of the scale. Raises InputError if the operations
        do not end at the size of the LR image."""
        frame = Frame(height, width, (height // scale, width // scale), (height, width), scale)
        steps: list[Step] = []
        slot = 0
        for o in self.operations:
            steps += o.draw(key, slot, frame)
            slot += o.slots
        if (frame.height, frame.width) != frame.lr:
            raise InputError(
                f"{self.name}: expected operations that end at the size of the LR image",
                hint='make a resize with to = "lr", or bicubic, the last that changes the size',
            )
        return steps

    @property
    def digest(self) -> str:
        """SHA-256 of the operations and their settings, whatever the names, comments and order of keys in the file, and
        whether 1 is written 1.0."""
        tables = json.loads(json.dumps([o.table() for o in self.operations]), parse_int=float)
        return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()

    def content(self) -> dict[str, Any]:
        """The content of a file, from which ``of`` makes the same degradation."""
        words = {"title": self.title, "source": self.source}
        return {**{k: v for k, v in words.items() if v}, NESTED: [o.table() for o in self.operations]}


@dataclass(frozen=True)
class Draws:
    """The draws of a degradation with one seed."""

    degradation: Degradation
    seed: int = 0

    def lr(
        self, hr: np.ndarray, scale: int, *, draw: int = 0, pixels: str | None = None, size: str = "1", threads: int = 1
    ) -> tuple[np.ndarray, list[Step]]:
        """The LR image uint8 [H / scale, W / scale, 3] of an HR image uint8 [H, W, 3], cropped to a multiple of the
        scale, and what was drawn for it.

        ``pixels`` is the hash of the pixels of the file, not cropped and not reduced to ``size``; None takes that of
        ``hr``.
        """
        key, steps = self.steps(hr.shape[0], hr.shape[1], scale, draw=draw, pixels=pixels or of_pixels(hr), size=size)
        return carry_out(hr, steps, key, threads=threads), steps

    def steps(
        self, height: int, width: int, scale: int, *, draw: int, pixels: str, size: str
    ) -> tuple[np.ndarray, list[Step]]:
        """The key and the steps of ``lr`` by the size of the HR image, without its pixels."""
        key = key_of(self.seed, pixels, size, draw)
        return key, self.degradation.draw(height, width, scale, key)

    def settings(self) -> dict[str, Any]:
        """The settings that a resumed run compares and that metadata record."""
        return {"degradation": self.degradation.name, "operations": self.degradation.digest, "seed": self.seed}


def _published(path: str) -> dict[str, Any]:
    """The content of the degradation in the metadata of a degradation.parquet."""
    with opened(path, whole=False) as file, suppress(KeyError, TypeError, ValueError, RecursionError):
        if isinstance(content := json.loads((file.schema_arrow.metadata or {})[KEY])["content"], dict):
            return content
    raise InputError(f"{path}: expected a TOML file, or the table that an export with a degradation has")


def written(content: Mapping[str, Any]) -> str:
    """The TOML text of the content of a degradation."""
    lines = ["# srfast degradation"]
    lines += [f"{k} = {_value(v)}" for k, v in content.items() if k != NESTED]

    def add(operations: Sequence[Mapping[str, Any]], name: str) -> None:
        for o in operations:
            lines.append(f"\n[[{name}]]")
            lines.extend(f"{k} = {_value(v)}" for k, v in o.items() if k != NESTED)
            add(o.get(NESTED, ()), f"{name}.{NESTED}")

    add(content[NESTED], NESTED)
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)  # JSON's texts, numbers and lists are TOML's
