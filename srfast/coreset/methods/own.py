"""Methods of the user's own: functions that return a number for each row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from srfast.errors import InputError

GROUP = "srfast.methods"
"""Group of entry points of installed packages: a name, and a function or ``Method``."""


def number_of(function: Any, table: Any) -> np.ndarray:
    """The numbers that a function returns for the rows of a table.

    Raises:
        InputError: it does not return one finite number for each row.
    """
    name = getattr(function, "__name__", "method")
    values = np.asarray(function(table))
    if values.shape != (len(table),) or values.dtype.kind not in "fiub":
        raise InputError(
            f"method: expected {name} to return {len(table)} numbers, one per row, got {values.dtype} "
            f"{list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"method: expected {name} to return finite numbers, got missing ones or nan")
    return values.astype(np.float64) if values.dtype.kind == "b" else values
