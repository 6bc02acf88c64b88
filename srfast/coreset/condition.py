"""Conditions on the columns of a table, in DuckDB's SQL, and the selection that a core-set's metadata describe.

Anybody may have written the metadata: nothing in them is opened, and of conditions only those are run that cost a fixed
time for each row.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.coreset.settings import COUNTS, Selection
from srfast.data.parquet import check_names
from srfast.errors import InputError, inside
from srfast.runtime.optional import needing
from srfast.scoring.defect_columns import THRESHOLDS
from srfast.scoring.rows import PLAIN, Rows
from srfast.settings import Kind, fitting, whole

MEMORY = "1GiB"
"""Memory that DuckDB may hold before it spills."""
_DEFECTS = {t.column for t in THRESHOLDS}
"""Columns whose nan is null, as where thresholds are judged."""


def passing(table: Rows, condition: str, seconds: float | None = None) -> np.ndarray:
    """The numbers of the rows for which a condition holds, ascending.

    ``condition`` is one SQL expression over the columns that is true or false, such as ``blockiness < 30 and bicubic >
    0.5``. It cannot reach files, the network, other tables or the settings of the engine. After ``seconds`` it is given
    up; None is for conditions of the user's own. Raises InputError if it is not such an expression, names a column that
    does not exist, takes too long or too much memory, or two columns of the table differ only in case.
    """
    names = table.columns
    with needing("where:"):
        import duckdb
    number, met = (f"srfast {word}{'_' * max(map(len, names))}" for word in ("row", "met"))  # no column has these names
    text = condition.lower()
    wanted = [n for n in names if n.lower().replace('"', '""') in text or "columns" in text]
    passes = np.zeros(len(table), bool)

    def look(columns: list[str]) -> None:
        data = {name: _readable(name, table.arrow(name)) for name in columns}
        numbers = pa.array(np.arange(len(table), dtype=np.uint32))
        rows = connection.from_arrow(pa.table([*data.values(), numbers], [*data, number]))
        # A filter takes no window functions.
        kept = rows.select(duckdb.ColumnExpression(number), duckdb.SQLExpression(condition).alias(met))
        kept = kept.filter(duckdb.ColumnExpression(met)).select(duckdb.ColumnExpression(number))
        for batch in kept.to_arrow_reader(1 << 20):
            passes[batch.column(0).to_numpy()] = True

    with TemporaryDirectory(prefix="srfast-where-") as spill:
        connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill})
        try:
            # A bar would be printed on stdout.
            for setting in ("enable_progress_bar", "enable_external_access", "python_enable_replacements"):
                connection.execute(f"SET {setting} = false")
            connection.execute("SET lock_configuration = true")
            schema = table.schema
            check_names("scores", schema)
            empty = {f.name: pa.array([], PLAIN.get(f.type, f.type)) for f in schema}
            kind = str(connection.from_arrow(pa.table(empty)).select(duckdb.SQLExpression(condition)).types[0])
            if kind != "BOOLEAN":
                raise InputError(f"where: expected a condition that is true or false, got {condition!r} ({kind})")
            timer = Timer(seconds or 0, connection.interrupt)
            timer.daemon = True
            if seconds is not None:
                timer.start()
            try:
                look(wanted)
            except duckdb.BinderException:
                look(names)
            finally:
                timer.cancel()
        except duckdb.InterruptException:
            raise InputError(f"where: {condition!r} was given up after {seconds:g} seconds") from None
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0].rstrip(".!")
            raise InputError(f"where: {reason}", hint=f"the columns are {', '.join(names)}") from None
        finally:
            connection.close()
    return np.flatnonzero(passes)


def _readable(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if name in _DEFECTS and pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    return column.cast(PLAIN[column.type]) if column.type in PLAIN else column


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


_OBJECT = Kind("an object", fitting(lambda value: isinstance(value, Mapping)))


def check_coreset(name: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
    """Refuses a score table if a core-set is to be read, and as ``check_selection`` does."""
    if "selection" not in meta:
        raise InputError(f"{name}: expected a core-set, got a score table", hint="make one with `srfast select`")
    check_selection(name, meta["selection"])


def check_selection(name: str | os.PathLike[str], selection: Any) -> None:
    """Refuses a selection in metadata whose values are of other types than ``srfast.select`` writes. Raises InputError
    if a value is; the message names the file and the key."""
    if selection is None:
        return
    if not isinstance(selection, Mapping):
        raise InputError(f"{name}: selection: expected an object, got {type(selection).__name__}")
    kinds = {key: field.metadata["kind"] for key, field in Selection.__dataclass_fields__.items()}
    kinds |= dict.fromkeys(COUNTS, whole()) | dict.fromkeys(("rejected", "by_size"), _OBJECT)
    for key, kind in kinds.items():
        if (value := selection.get(key)) is not None:
            with inside(f"{name}: selection: "):
                kind.check(key, value)


def not_plain(condition: str, columns: Iterable[str]) -> str | None:
    """The part of a condition that is more than comparisons and arithmetic of columns; None if it has nothing else."""
    if len(condition) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if "--" in condition or "/*" in condition:
        return "has a comment"
    known = {c.lower() for c in columns}
    if rest := _TOKEN.sub("", condition):
        return f"has {rest[0]!r}"
    before, tokens = "", [(token.lastgroup, token[0]) for token in _TOKEN.finditer(condition) if token.lastgroup]
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
