"""Conditions on the columns of a table, in DuckDB's SQL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from srfast.data.parquet import check_names
from srfast.errors import InputError
from srfast.runtime.optional import needing

ROW = "srfast row number"
"""Name under which a condition could see the number of a row."""
MET = "srfast condition met"


def passing(table: pa.Table, condition: str) -> np.ndarray:
    """The numbers of the rows for which a condition holds, ascending.

    Args:
        table: Any table.
        condition: One SQL expression over the columns that is true or false, such as ``blockiness < 30 and bicubic >
            0.5``. It cannot reach files, the network, other tables or the settings of the engine.

    Raises:
        InputError: the condition is not such an expression, or names a column that does not exist, or two columns of
            the table differ only in case.
        RunError: duckdb is not installed.
    """
    check_names("scores", table.schema)
    with needing("where:"):
        import duckdb
    with connected({}, "enable_external_access = false") as connection:
        rows = connection.from_arrow(table.append_column(ROW, pa.array(np.arange(len(table)))))
        expression = check_condition(rows, condition, table.column_names)
        try:
            met = rows.select(duckdb.ColumnExpression(ROW), expression.alias(MET))  # a filter takes no window functions
            found: dict[str, Any] = (
                met.filter(duckdb.ColumnExpression(MET)).select(duckdb.ColumnExpression(ROW)).fetchnumpy()
            )
        except duckdb.Error as error:
            raise not_met(error, table.column_names) from None
    return np.sort(found[ROW])


def connected(config: dict[str, Any], *settings: str) -> Any:
    """A connection with these settings, which can no longer be changed; the first ones are set from the start.

    DuckDB's own progress bar is off, since it would be printed on stdout.
    """
    import duckdb

    connection = duckdb.connect(config=config)
    for setting in ("enable_progress_bar = false", *settings, "lock_configuration = true"):
        connection.execute(f"SET {setting}")
    return connection


def check_condition(rows: Any, condition: str, columns: list[str]) -> Any:
    """A condition as an expression of DuckDB over a relation with these columns.

    Raises:
        InputError: it is not a condition.
    """
    import duckdb

    try:
        expression = duckdb.SQLExpression(condition)
        kind = str(rows.select(expression).types[0])
    except duckdb.Error as error:
        raise not_met(error, columns) from None
    if kind != "BOOLEAN":
        raise InputError(f"where: expected a condition that is true or false, got {condition!r} ({kind})")
    return expression


def not_met(error: Exception, columns: list[str]) -> InputError:
    """The error to raise for a condition that DuckDB refuses."""
    return InputError(f"where: {reason(error)}; the columns are {', '.join(columns)}")


def reason(error: Exception) -> str:
    """The first line of the engine's message."""
    return str(error).strip().splitlines()[0].rstrip(".!")
