"""Score tables and core-sets as arrays: ranks, the status of each patch, figures per image, agreement."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from srfast.coreset.condition import check_coreset, not_plain, passing
from srfast.coreset.joining import located
from srfast.coreset.limits import one_size
from srfast.coreset.methods.base import relative_part
from srfast.coreset.rejects import rejected
from srfast.data.shrink import sizes_of
from srfast.errors import InputError, RunError
from srfast.report.pictures import Reconstruction
from srfast.scoring.metadata import as_read
from srfast.scoring.rows import Rows, descending, numbers, summed, within
from srfast.scoring.settings import COMPARED
from srfast.scoring.stored import Stored
from srfast.scoring.table import SCHEMA, check_columns, checked, numeric_columns

log = logging.getLogger(__name__)
LEFT_OUT, KEPT, DROPPED = 0, 1, 2
STATUS = {LEFT_OUT: "left", KEPT: "kept", DROPPED: "dropped"}
_PATIENCE = 10.0
"""Seconds for a condition that the metadata of a core-set name."""
WORDS = 1000
"""Largest number of different values of a column of text that is shown."""


@dataclass(frozen=True, eq=False)
class ReportScores:
    """A score table as arrays [N], one element per patch, in the order of the table's rows."""

    images: list[str]
    code: np.ndarray
    """Index into ``images``."""
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    loss: np.ndarray
    bicubic: np.ndarray
    sobel: np.ndarray
    extra: dict[str, np.ndarray]
    """The other numeric columns [N], with booleans as 1 and 0, float32 where the table has it, else float64; NaN for
    missing values."""
    flags: frozenset[str]
    """Names of the boolean columns."""
    words: dict[str, tuple[list[str], np.ndarray]]
    """Columns of text with at most WORDS different values: the values, and the index [N] of each row's, or -1."""
    status: np.ndarray | None
    """LEFT_OUT, KEPT or DROPPED; None without a core-set."""
    meta: dict[str, Any]
    selection: dict[str, Any]
    root: Path
    factor: np.ndarray
    """Factor by which ``srfast.imresize`` shrinks the file, if x, y and size are pixels of a shrunk image;
    otherwise 1."""
    network: Reconstruction | None
    """The network that makes LR, SR and error; None if they cannot be made again."""
    decision: Any = None
    """The recommendation that the core-set follows, as its metadata have it, which may be anything."""

    def __len__(self) -> int:
        return len(self.loss)

    @cached_property
    def order(self) -> np.ndarray:
        """Row numbers [N], highest loss first; ties by row."""
        return hardest_first(self.loss)

    @cached_property
    def ranked(self) -> np.ndarray:
        """Losses [N], float32, highest first."""
        return self.loss[self.order]

    @cached_property
    def rank(self) -> np.ndarray:
        """Rank of each row [N]; 0 is the hardest."""
        return ranked(self.order)

    @cached_property
    def by_bicubic(self) -> bool:
        """Whether the loss is that of bicubic up-sampling, which needs no second column."""
        return bool(np.array_equal(self.loss, self.bicubic))

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """The columns [N] by which ``select --method`` can sort, the loss first; all their values are finite."""
        columns = {"loss": self.loss}
        if self.by_bicubic:
            columns["sobel"] = self.sobel
        else:
            columns |= {"bicubic": self.bicubic, "sobel": self.sobel, "reducible": self.bicubic - self.loss}
            columns["relative"] = relative_part(self.bicubic, self.loss)
        return columns | {k: v for k, v in self.extra.items() if k not in self.flags and np.isfinite(v).all()}

    @cached_property
    def cut_by_loss(self) -> bool:
        """Whether the selection is a few stretches of the loss order, at most five, whose cuts can be drawn."""
        return self.status is not None and bool(np.count_nonzero(np.diff(self.status[self.order])) <= 4)

    def count(self, status: int) -> int:
        return 0 if self.status is None else int(np.count_nonzero(self.status == status))

    def ranks(self, status: int) -> np.ndarray:
        """Ranks of the patches of one status, ascending."""
        assert self.status is not None
        return np.flatnonzero(self.status[self.order] == status)

    def held(self, status: np.ndarray) -> dict[str, dict[str, Any]]:
        """By the words of ``STATUS``, the number of patches, and their share of the summed loss of the dataset."""
        total = float(self.loss.sum(dtype=np.float64)) or 1.0
        parts = {word: self.loss[status == s] for s, word in STATUS.items()}
        return {w: {"patches": len(p), "error": float(p.sum(dtype=np.float64) / total)} for w, p in parts.items()}

    @cached_property
    def half_of_error(self) -> float:
        """The share of the patches, hardest first, that has half of the summed loss."""
        total = np.cumsum(self.ranked, dtype=np.float64)
        return float((np.searchsorted(total, total[-1] / 2) + 1) / len(self)) if total[-1] else 0.5

    @cached_property
    def per_image(self) -> dict[str, np.ndarray]:
        """Figures per image [number of images], in the order of ``images``."""
        n = len(self.images)
        patches = summed(self.code, n)
        sorted_loss = within(self.code, self.loss)
        first = np.cumsum(patches) - patches
        counts = {
            word: np.zeros(n, np.int64) if self.status is None else summed(self.code[self.status == status], n)
            for word, status in (("kept", KEPT), ("dropped", DROPPED))
        }
        parts = {"largest": 1.0, "q10": 0.1, "median": 0.5, "q90": 0.9}
        at = {name: first + np.rint(part * (patches - 1)).astype(np.int64) for name, part in parts.items()}
        mean = summed(self.code, n, self.loss) / patches
        return {"patches": patches, **counts, "mean": mean, **{name: sorted_loss[rows] for name, rows in at.items()}}


def read_scores(
    table: Rows, coreset: Rows | None, *, root: Path | None = None, scorer: Path | None = None
) -> ReportScores:
    """Checks both tables and turns them into arrays; the arguments are those of ``srfast.report.write_report``."""
    table, meta = table.held(), as_read("score table", table.meta)
    checked("score table", table.table, meta)
    if not len(table):
        raise InputError("score table: expected at least one patch, got none")
    sizes, at = sizes_of(table.table, meta, "score table")
    factor = _short([float(f) for f in sizes], at)
    images, code = table.coded()
    x, y, size = (table.column(name) for name in ("x", "y", "size"))
    size = _short([size[0]], np.zeros(len(size), np.int8)) if (size == size[0]).all() else size
    loss, bicubic, sobel = (_checked(table, name) for name in ("loss", "bicubic", "sobel"))
    extra, flags, words = _extras(table)
    selection: dict[str, Any] = {}
    status = decision = None
    if coreset is not None:
        own = as_read("core-set", coreset.meta)
        check_coreset("core-set", own)
        _check_belongs(meta, own, root is not None)
        selection, decision = own["selection"] or {}, own.get("decision")
        if not isinstance(coreset, Stored):
            check_columns("core-set", coreset.table, SCHEMA)
        places = located(table, coreset)
        if strangers := int(np.count_nonzero(places < 0)):
            raise InputError(f"core-set: {strangers} of its {len(coreset)} patches are not in the score table")
        dropped = int(selection.get("dropped_hardest") or 0)
        status = statuses(loss, places, _passing(table, selection) if dropped else places, dropped)
    folder = root if root is not None else Path(str(meta.get("root") or "."))
    return ReportScores(images, code, x, y, size, loss, bicubic, sobel, extra, flags, words, status, meta, selection,
                        folder, factor, Reconstruction.of(meta, scorer), decision)  # fmt: skip


def statuses(loss: np.ndarray, kept: np.ndarray, rows: np.ndarray, dropped: int) -> np.ndarray:
    """The status of each row [N] of a selection of some rows, of which the hardest were dropped first."""
    status = np.full(len(loss), LEFT_OUT, np.uint8)
    if dropped:
        status[rows[hardest_first(loss[rows])[:dropped]]] = DROPPED
    status[kept] = KEPT
    return status


def _short(values: Sequence[Any], at: np.ndarray) -> np.ndarray:
    """The value of each row [N]; of a single value without memory for each."""
    every = np.array(values)
    return every[at] if len(every) > 1 else np.broadcast_to(every[0], at.shape)


def _extras(table: Rows) -> tuple[dict[str, np.ndarray], frozenset[str], dict[str, tuple[list[str], np.ndarray]]]:
    """The columns beyond those of every score table: numbers, the names of boolean ones, and texts."""
    extra, words = {}, {}
    flags = frozenset(field.name for field in table.schema if pa.types.is_boolean(field.type))
    for field in table.schema:
        if field.name in SCHEMA.names or field.name == "rank":
            continue
        column = table.arrow(field.name)
        if field.name in (*flags, *numeric_columns(table.schema)):
            values = numbers(column if column.type == pa.float32() else pc.cast(column, pa.float64(), safe=False))
            extra[field.name] = np.where(np.isinf(values), np.nan, values) if np.isinf(values).any() else values
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            whole = column.dictionary_encode().unify_dictionaries().combine_chunks()
            if len(whole.dictionary) <= WORDS:
                words[field.name] = list(map(str, whole.dictionary.to_pylist())), whole.indices.fill_null(-1).to_numpy()
    return extra, flags, words


def _check_belongs(table: dict[str, Any], coreset: dict[str, Any], moved: bool) -> None:
    """Refuses a core-set that was selected from other scores."""
    for setting in (*(() if moved else ("root",)), *COMPARED):
        if table.get(setting) != coreset.get(setting):
            raise InputError(
                f"core-set: {setting} differs: the score table has {table.get(setting)!r}, the core-set was selected "
                f"from one with {coreset.get(setting)!r}"
            )


def hardest_first(values: np.ndarray) -> np.ndarray:
    """Row numbers [N], highest value first; ties by row."""
    if values.dtype == np.float32:
        return descending(values, "des")
    exact = values.astype(np.float32)
    return descending(exact if np.array_equal(exact, values) else values, "des")


def ranked(order: np.ndarray) -> np.ndarray:
    """The rank of each row [N], uint32; 0 is the first of an order."""
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    return rank


def _checked(table: Rows, name: str) -> np.ndarray:
    values = table.column(name)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise InputError(f"score table: row {bad[0]}: expected a finite {name} >= 0, got {values[bad[0]]}")
    return values


def _passing(table: Rows, selection: dict[str, Any]) -> np.ndarray:
    """The rows of which a selection took its fractions; none if they cannot be found again from the table alone."""
    where, every = selection.get("where"), np.arange(len(table))
    why = None if where is None else not_plain(where, table.columns)
    if why or selection.get("reject") is not None:
        said = (
            f"the condition in its metadata is not run, since it {why}"
            if why
            else ("the list of rejects that its metadata name is not opened")
        )
        log.warning("core-set: the patches that it dropped as the hardest are not shown: %s", said)
        return every[:0]
    try:
        rows = every if where is None else passing(table, where, _PATIENCE)
        rows = rows[~rejected(table, bool(selection.get("clean")), None)[0][rows]]
        if selection.get("one_size"):
            rows, _ = one_size(table, rows)
    except (InputError, RunError):
        return every[:0]
    return rows if len(rows) == selection.get("passing", len(rows)) else every[:0]
