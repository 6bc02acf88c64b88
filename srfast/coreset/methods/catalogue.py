"""The functions of a method by its name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from srfast.coreset.methods.base import Ready
from srfast.coreset.settings import GROUP, METHODS, Method
from srfast.errors import InputError
from srfast.runtime import plugins

if TYPE_CHECKING:
    import numpy as np


def find(method: Any, columns: tuple[str, ...] = ()) -> Ready:
    """A method by its name, a function of the user's own, or the sort by the column of that name.

    A column has priority over an entry point of the same name.
    """
    if isinstance(method, str):
        if method in METHODS:
            return _ready(METHODS[method])
        if plugins.is_file(method):
            name, method = method, plugins.from_file(method)
        elif method not in columns and method in plugins.added(GROUP):
            name, method = method, plugins.loaded(GROUP, method)
        else:
            return _ready(Method("a column of the table", method))
        if not callable(method) and not isinstance(method, Method):
            raise InputError(f"method: expected {name} to be a function, got {type(method).__name__}")
    own = method if isinstance(method, Method) else Method("a function of the user's", partial(_number_of, method))
    return _ready(own)


def targeted(table: Any, settings: Any) -> Any:
    """The score table with the column of the method ``settings.method`` for ``settings.target``. Raises InputError if
    an image cannot be read or has changed, or ``srfast.influence`` would raise it, and RunError if the method is
    influence and PyTorch is not installed."""
    add = METHODS[settings.method].target
    assert add is not None
    return plugins.named("srfast.coreset", add)(table, settings)


def _ready(method: Method) -> Ready:
    from srfast.coreset.methods.sorting import by_key, column

    named = isinstance(method.key, str) and ":" not in method.key
    key = partial(column, str(method.key)) if named else plugins.named("srfast.coreset", method.key)
    return Ready(
        method.source, key, plugins.named("srfast.coreset", method.ordering or partial(by_key, key)), method.counts
    )


def _number_of(function: Any, table: Any) -> np.ndarray:
    """The numbers that a function returns for the rows of a table, one finite number for each."""
    import numpy as np

    name = getattr(function, "__name__", "method")
    values = np.asarray(function(table.whole()))
    if values.shape != (len(table),) or values.dtype.kind not in "fiub":
        raise InputError(
            f"method: expected {name} to return {len(table)} numbers, one per row, got {values.dtype} "
            f"{list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(f"method: expected {name} to return finite numbers, got missing ones or nan")
    return values.astype(np.float64) if values.dtype.kind == "b" else values
