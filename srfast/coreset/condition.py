"""Conditions on the columns of a table, in DuckDB's SQL."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from threading import Timer

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.data.parquet import check_names
from srfast.errors import InputError
from srfast.runtime.optional import needing
from srfast.scoring.defects.thresholds import THRESHOLDS
from srfast.scoring.rows import PLAIN, Rows

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
