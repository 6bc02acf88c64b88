"""The durable half of a scoring run: parts beside the output that survive a crash and are merged at the end."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from srfast.data import provenance
from srfast.data.atomic import atomic_path, no_folder
from srfast.data.files import PARTS, check_output
from srfast.data.images import ImageFile, shard_of
from srfast.data.lowres import LowRes
from srfast.data.parquet import TableWriter
from srfast.data.run_folder import OtherSettings, RunFolder, check_folder, check_folder_name, check_same, made_of
from srfast.data.shrink import COLUMN
from srfast.data.workers import ordered_map
from srfast.errors import InputError, RunError
from srfast.scoring.defect_columns import names
from srfast.scoring.metadata import PASSED, Outcome, by_image, file_metadata, read_meta, together
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import RESUMED
from srfast.scoring.table import (
    CHECKED,
    check_columns,
    check_scored,
    read_parquet,
    repeated,
    schema_with,
    write_parquet,
)
from srfast.settings import first_difference

ROWS = 1 << 16
"""Number of rows after which a part is written, about 1 MiB."""
KIND = "scoring parts"
"""Kind of a folder of parts until it becomes a table."""
_PART = re.compile(r"part-\d{8,}-[0-9a-f]{8}\.parquet")
_WAY = "use the old setting, another output, or leave out `resume`"
SECONDS = 20.0
"""Seconds after which a part is written however few the rows: a crash loses at most that much scoring."""


class _Held(NamedTuple):
    """Where the rows of an image lie, and what the metadata of a table say of it."""

    part: Path
    offset: int
    rows: int
    about: dict[str, Any]


@dataclass
class Parts:
    """The parts of one run, in the folder ``<output>.parts``, which one process at a time holds.

    A part is a score table of some images, and its name says which run wrote it. The merge checks settings and images
    again, so that no row of other settings or of another image slips in.
    """

    files: list[ImageFile]
    """The images of the table, which another shard's are not."""
    root: str
    _target: Path
    """The table as the user named it."""
    _whole: bool
    """Whether the table is a folder: the parts themselves."""
    _folder: RunFolder
    settings: dict[str, Any] = field(default_factory=dict)
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    _held: dict[str, _Held] = field(default_factory=dict)
    _resumed: bool = False
    """Whether rows or parts of an earlier run were there."""
    _pending: list[tuple[dict[str, Any], pa.Table | None]] = field(default_factory=list)
    _rows: int = 0
    _next: int = 0
    _flushed: float = field(default_factory=time.monotonic)
    # A resumed run alternates between the table it continues and the parts of the runs since.
    _read: Any = field(default_factory=lambda: lru_cache(3)(read_parquet))

    @classmethod
    def take(
        cls, output: str | os.PathLike[str], files: list[ImageFile], shard: tuple[int, int] | None = None
    ) -> Parts:
        """Takes the folder of the parts of ``output``, a table of the ``shard`` of these files. Raises InputError if
        the table may not be written, or the folder holds other files, and RunError if another process scores into
        ``output`` now; the message names it."""
        target, inputs = Path(output), [f.path for f in files]
        whole = os.fspath(output).endswith(("/", os.sep)) or target.is_dir()
        if whole:
            check_table_folder(target, inputs)
        else:
            check_output(target, "score table", inputs)
        final = Path(os.path.realpath(target))
        folder = RunFolder.take(final.with_name(final.name + PARTS), KIND, final, _is_part)
        return cls(shard_of(files, shard), str(files[0].root), target, whole, folder)

    def begin(self, settings: dict[str, Any], resume: bool | None) -> None:
        """Opens the parts: those of an interrupted run when resuming, otherwise none; None resumes what has the same
        settings. Raises InputError if the run or table to resume was made with other settings; the message names the
        setting."""
        self.settings = settings
        if resume is None:
            with suppress(InputError):
                written = read_meta(self._target) if self._target.is_file() else {"selection": None}
                resume = "selection" not in written and first_difference(written, settings, RESUMED) is None
        if not resume:
            self._folder.clear()
        known = made_of(self.folder)
        if known is not None:
            check_same(self.folder, known, settings, RESUMED, done="scored", way=_WAY)
        for path in _parts(self.folder):
            self._index(path)
        output = Path(os.path.realpath(self._target))
        if resume and output.exists():
            try:
                for path in _parts(output) if output.is_dir() else [output]:
                    self._index(path)
            except OtherSettings:  # an interrupted run was about to replace the table
                if known is None:
                    raise
        if known is None:
            self._folder.mark(self._compared)
        self._resumed = bool(self._next or self._held)

    @property
    def folder(self) -> Path:
        return self._folder.path

    @property
    def _compared(self) -> dict[str, Any]:
        return {name: self.settings.get(name) for name in RESUMED}

    @property
    def schema(self) -> pa.Schema:
        """The columns of the table."""
        known = self.settings.get
        more = names(bool(known("lr"))) if known("defects") else ["blockiness"] * bool(known("blockiness"))
        return schema_with(more, bool(known(COLUMN)))

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with suppress(Exception):  # so that --resume loses nothing; the first error is the one to report
                self.flush()
        finally:  # a run that was interrupted is left to be resumed even if it has no part
            self._folder.close(keep=kind is not None and issubclass(kind, KeyboardInterrupt))

    def _index(self, path: Path) -> None:
        own = path.parent == self.folder
        if own:
            self._next = max(self._next, int(path.stem.split("-")[1]) + 1)
        try:
            table, meta = read_parquet(path)
            check_scored(path, meta)
            check_same(path, meta, self.settings, RESUMED, done="scored", way=_WAY)
            check_columns(path, table, self.schema)
            if extra := [name for name in table.column_names if name not in self.schema.names]:
                raise InputError(f"scoring would lose its column {extra[0]!r}", hint="use another output")
            each = by_image(meta)
            counts = [about["images"][name].get("rows", table.num_rows + 1) for name, about in each.items()]
            # The rows are counted before their names are built: a few bytes may claim any number.
            known = sum(counts) == table.num_rows
            named = [repeated(name, n) for name, n in zip(each, counts, strict=True) if n] if known else []
            if not known or not table.column("image").equals(pa.chunked_array(named, pa.string())):
                raise InputError("rows were taken out or put in another order since it was scored")
        except OtherSettings:
            raise
        except InputError as error:
            if own:
                return  # a part that a crash left unreadable or whose bytes have changed: its images are scored again
            reason = error.message.removeprefix(f"{path}: ")
            raise InputError(f"{path}: cannot be resumed: {reason}", hint=error.hint) from None
        for (name, about), end, count in zip(each.items(), accumulate(counts), counts, strict=True):
            # A part that comes later holds the newer score of an image.
            if own or name not in self._held:
                self._held[name] = _Held(path, end - count, count, about)

    def missing(self, threads: int) -> list[ImageFile]:
        """The files that were not scored in their present state, or could not be read."""
        return [file for file, known in ordered_map(self._has, self.files, threads) if not known]

    def _has(self, file: ImageFile) -> bool:
        held = self._held.get(file.name)
        if held is None or held.about.get("skipped"):
            return False
        if (file.lr is None) != (held.about["images"][file.name].get("lr") is None):
            return False
        lr = LowRes.of(self.settings) if file.lr is not None else None
        try:
            ScoredImages(file.root, held.about, lr=lr).check(file.name)
        except InputError:
            return False
        return True

    def add(self, outcome: Outcome) -> None:
        """Keeps the outcome of an image, and writes a part when there are enough rows."""
        self._keep(outcome.about(), outcome.rows)

    def _keep(self, about: dict[str, Any], rows: pa.Table | None) -> None:
        self._pending.append((about, rows))
        self._rows += 0 if rows is None else rows.num_rows
        late = time.monotonic() - self._flushed >= SECONDS
        if self._rows >= ROWS or len(self._pending) >= 4096 or late:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        path = self.folder / f"part-{self._next:08d}-{self.run}.parquet"
        tables = [rows for _, rows in self._pending if rows is not None]
        table = pa.concat_tables(tables) if tables else self.schema.empty_table()
        meta = {**self.settings, **together(about for about, _ in self._pending)}
        table = table.replace_schema_metadata(file_metadata(meta))
        with atomic_path(path) as temporary, TableWriter(temporary, table.schema, **CHECKED) as writer:
            writer.write_table(table)
        offset = 0
        for about, rows in self._pending:
            [name], count = about["images"], 0 if rows is None else rows.num_rows
            self._held[name] = _Held(path, offset, count, about)
            offset += count
        self._next += 1
        self._pending, self._rows, self._flushed = [], 0, time.monotonic()

    def meta(self) -> dict[str, Any]:
        """The metadata of the table, once every image was added."""
        self.flush()
        about = {**self.settings, **together(self._held[f.name].about for f in self.files)}
        for file in self.files:  # the same contents may have come with another time
            about["images"][file.name]["mtime_ns"] = file.mtime_ns
            if file.lr is not None:
                about["images"][file.name]["lr"] = list(file.lr)
        return about

    def tables(self) -> Iterator[pa.Table]:
        """Yields the rows of the images, in order. Raises RunError if a part is not the one that this run wrote or
        found."""
        return (rows for file in self.files if (rows := self._table(file.name, self._held[file.name])) is not None)

    def _table(self, name: str, held: _Held) -> pa.Table | None:
        if not held.rows:
            return None
        try:
            table, meta = self._read(held.part)
            rows = table.select(self.schema.names).slice(held.offset, held.rows)
            same = rows.column("image").equals(pa.chunked_array([repeated(name, held.rows)]))
            if same and all(meta.get(k) == v for k, v in self.settings.items() if k != PASSED):
                return rows
        except (InputError, KeyError):
            pass
        raise RunError(
            f"{held.part}: has been changed or damaged while the run was going on", hint="run again with `resume`"
        )

    def finish(self, meta: dict[str, Any], through: Callable[[Iterator[pa.Table]], Iterator[pa.Table]]) -> None:
        """Makes the score table of the parts, which are then gone: a file into which they are merged, or the folder
        which they become. Every row passes ``through`` a function on its way."""
        tables = through(self.tables())
        if self._whole:
            for _ in tables:  # a part that was damaged meanwhile is found before its folder is the table
                pass
            self._publish()
        else:
            write_parquet(self._target, tables, self.schema, meta, aside=self.folder)
            self._folder.clear()

    def _publish(self) -> None:
        """Makes the folder of parts the score table, in the order of the images, by a rename. Those of a resumed run
        are written anew first, since they may be in another order, or hold rows that were scored again."""
        check_folder(self.folder, _is_part)
        if self._resumed:
            older = _parts(self.folder)
            for name, held in [(file.name, self._held[file.name]) for file in self.files]:
                self._keep(held.about, self._table(name, held))
            self.flush()
            for path in older:
                path.unlink()
        self._folder.mark(self._compared, "score table", parts=[path.name for path in _parts(self.folder)])
        target = Path(os.path.realpath(self._target))
        check_table_folder(target)
        self._folder.publish(target, replaces=True)

    def remove(self) -> None:
        """Removes the parts."""
        self._folder.clear()


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def check_table_folder(folder: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Checks that a score table may be written as this folder: a new or empty one, or an earlier table. Raises
    InputError if it may not."""
    folder = check_folder_name(folder)
    if not folder.parent.is_dir():
        raise InputError(f"{folder}: expected a folder in an existing folder; {no_folder(folder.parent)}")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of parts to write; a file is there")
    if any(folder in Path(item).parents for item in inputs):
        raise InputError(f"{folder}: is an input of this run", hint="choose another output")
    if any(folder.iterdir()) and provenance.kind_of(folder) != "score table":
        raise InputError(
            f"{folder}: holds files and is not a score table of srfast", hint="choose a new or an empty folder"
        )
    check_folder(folder, _is_part)


def _is_part(name: str) -> bool:
    return _PART.fullmatch(name) is not None
