"""The selection that a core-set's metadata describe: data, which anybody may have written.

Nothing in it is opened, and of conditions only those are run that cost a fixed time for each row.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from srfast.coreset.settings import Selection
from srfast.errors import InputError, inside

LONGEST = 4000
"""Characters of the longest condition that is run."""
FUNCTIONS = frozenset(
    {"abs", "ceil", "coalesce", "contains", "ends_with", "floor", "greatest", "hash", "isfinite", "isnan", "least",
     "length", "ln", "log10", "lower", "round", "sqrt", "starts_with", "upper"}
)  # fmt: skip
_KEYWORDS = frozenset({"and", "or", "not", "is", "null", "in", "between", "like", "true", "false"})
_RESERVED = frozenset(
    {"columns", "filter", "from", "join", "lambda", "over", "partition", "select", "table", "union", "unnest", "values",
     "window", "with"}
)  # fmt: skip
_TOKEN = re.compile(
    r"""\s+|(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|<>|!=|==|[-+*/%<>=(),])"""
)
_COUNTS = ("patches", "passing", "kept", "dropped_hardest")


def check_selection(name: str | os.PathLike[str], selection: Any) -> None:
    """Refuses a selection in metadata whose values are of other types than ``srfast.select`` writes. Raises InputError
    if a value is; the message names the file and the key."""
    if selection is None:
        return
    if not isinstance(selection, Mapping):
        raise InputError(f"{name}: selection: expected an object, got {type(selection).__name__}")
    for key, field in Selection.__dataclass_fields__.items():
        if (value := selection.get(key)) is not None:
            with inside(f"{name}: selection: "):
                field.metadata["kind"].check(key, value)
    for key in _COUNTS:
        value = selection.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise InputError(f"{name}: selection: {key}: expected a whole number of at least 0, got {value!r:.80}")
    for key in ("rejected", "by_size"):
        if not isinstance(selection.get(key, {}), Mapping):
            raise InputError(f"{name}: selection: {key}: expected an object, got {type(selection[key]).__name__}")


def not_repeated(selection: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """Why it cannot be found out again among which rows a selection was made; None if it can."""
    if selection.get("reject") is not None:
        return "the list of rejects that its metadata name is not opened"
    where = selection.get("where")
    what = None if where is None else not_plain(str(where), columns)
    return None if what is None else f"the condition in its metadata is not run, since it {what}"


def not_plain(condition: str, columns: Iterable[str]) -> str | None:
    """The part of a condition that is more than comparisons and arithmetic of columns; None if it has nothing else."""
    if len(condition) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if "--" in condition or "/*" in condition:
        return "has a comment"
    known = {c.lower() for c in columns}
    at, before, tokens = 0, "", list[tuple[str, str]]()
    while at < len(condition):
        token = _TOKEN.match(condition, at)
        if token is None:
            return f"has {condition[at]!r}"
        if token.lastgroup is not None:
            tokens.append((token.lastgroup, token[0]))
        at = token.end()
    for (kind, text), (_, after) in zip(tokens, [*tokens[1:], ("", "")], strict=True):
        word = text.lower()
        if kind == "word" and word not in _KEYWORDS and (word in _RESERVED or word not in known | FUNCTIONS):
            return f"has {text!r}"
        if after == "(" and (kind == "name" or (kind == "word" and word not in _KEYWORDS | FUNCTIONS)):
            return f"calls {text}"
        if kind == "text" and (before not in _KEYWORDS and before[-1:].isalnum()):
            return f"has {before} before a text"
        if before == "like" and (kind != "text" or text.count("%") > 2):
            return "has a pattern with more than two %"
        before = word if kind == "word" else "" if kind in ("text", "number") else text
    return None
