"""The methods by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from srfast.coreset.methods import clusters, draws
from srfast.coreset.methods.base import Method
from srfast.coreset.methods.sorting import by_column, by_key, column, reducible, relative
from srfast.errors import InputError
from srfast.runtime import plugins

GROUP = "srfast.methods"
"""Group of entry points of installed packages: a name, and a function or ``Method``."""
_LOSS = partial(column, "loss")

_METHODS = {
    "loss": by_column("loss", "Moser, Raue, Dengel (2024), arXiv 2403.17083, Section 3.2"),
    "bicubic": by_column("bicubic", "the control without a network: the same loss of plain bicubic"),
    "sobel": by_column("sobel", "Ding et al., Hierarchical Dataset Condensation (IEEE SPL 2023), texture complexity"),
    "reducible": by_key(reducible, "after Mindermann et al. (2022), arXiv 2206.07137"),
    "relative": by_key(relative, "reducible as a part of bicubic's loss"),
    "random": Method("the control of every comparison", _LOSS, draws.random),
    "stratified": Method("stratified sampling by loss, 20 quantiles", _LOSS, draws.stratified, True),
    "hdc": Method(
        "Ding et al., Hierarchical Dataset Condensation (IEEE SPL 2023)", partial(column, "sobel"), clusters.hdc, True
    ),
    "diverse": Method("coverage: k-means on the patches' spectra", _LOSS, clusters.diverse, True),
    "influence": by_column(
        "influence", "influence functions of the scorer (Koh and Liang, ICML 2017): docs/influence.md"
    ),
    "similar": by_column("similar", "the control of influence: the nearest spectrum"),
}


def find(method: Any, columns: tuple[str, ...] = ()) -> Method:
    """A method by its name, a function of the user's own, or the sort by the column of that name.

    A column has priority over an entry point of the same name.
    """
    if isinstance(method, str):
        if method in _METHODS:
            return _METHODS[method]
        if plugins.is_file(method):
            name, method = method, plugins.from_file(method)
        elif method not in columns and method in plugins.added(GROUP):
            name, method = method, plugins.loaded(GROUP, method)
        else:
            return by_column(method, "a column of the table")
        if not callable(method) and not isinstance(method, Method):
            raise InputError(f"method: expected {name} to be a function, got {type(method).__name__}")
    return method if isinstance(method, Method) else by_key(partial(_number_of, method), "a function of the user's")


def _number_of(function: Any, table: Any) -> np.ndarray:
    """The numbers that a function returns for the rows of a table, one finite number for each."""
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
