"""The durable half of a scoring run: parts beside the output that survive a crash and are merged at the end."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
from srfast.runtime.locks import LOCK, Lock
from srfast.scoring.defect_columns import names
from srfast.scoring.metadata import NOTED, PASSED, Outcome, file_metadata, of_records, read_meta, records_of
from srfast.scoring.scored import ScoredImages
from srfast.scoring.settings import RESUMED
from srfast.scoring.table import CHECKED, SCHEMA, check_columns, read_parquet, repeated, schema_with, write_parquet
from srfast.settings import first_difference

ROWS = 1 << 16
"""Number of rows after which a part is written, about 1 MiB."""
KIND = "scoring parts"
"""Kind of a folder of parts until it becomes a table."""
_PART = re.compile(r"part-\d{8,}-[0-9a-f]{8}\.parquet")
_WAY = "use the old setting, another output, or leave out `resume`"
SECONDS = 20.0
"""Seconds after which a part is written however few the rows: a crash loses at most that much scoring."""


@dataclass(slots=True)
class _Stored:
    part: Path
    offset: int
    record: dict[str, Any]
    run: str | None
    """The run that wrote the part; None for a finished table."""


@dataclass
class Parts:
    """The parts of one run, in the folder ``<output>.parts``, which one process at a time holds.

    The name and metadata of a part say which run wrote it; its metadata also say with which settings, and which rows
    belong to which image. The merge checks all that again, so that no row of other settings or of another image slips
    in.
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
    _stored: dict[str, _Stored] = field(default_factory=dict)
    _pending: list[Outcome] = field(default_factory=list)
    _rows: int = 0
    _next: int = 0
    _flushed: float = field(default_factory=time.monotonic)
    _cache: dict[Path, pa.Table] = field(default_factory=dict)

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
        for path in sorted(self.folder.glob("part-*.parquet")):
            self._index(path)
        output = Path(os.path.realpath(self._target))
        if resume and output.exists():
            self._continue(output, known is not None)
        if known is None:
            self._folder.mark(self._compared)
        if self._whole and os.path.lexists(output / LOCK):  # of a run between the rename of its parts and its end
            Lock.take(output / LOCK, self._target).release()

    @property
    def folder(self) -> Path:
        return self._folder.path

    @property
    def _compared(self) -> dict[str, Any]:
        return {name: self.settings.get(name) for name in RESUMED}

    def _continue(self, output: Path, begun: bool) -> None:
        """Takes over the rows of a finished table; one with other settings an interrupted run was about to replace."""
        try:
            for path in sorted(output.glob("part-*.parquet")) if output.is_dir() else [output]:
                self._index(path)
        except OtherSettings as other:
            if begun:
                return
            if any(self.folder.glob("part-*.parquet")):
                raise
            raise InputError(
                f"{other.message}; it is finished, and there is no interrupted run",
                hint="leave out `resume` to replace it, or choose another output",
            ) from None

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
        finally:
            self.close(keep=kind is not None and issubclass(kind, KeyboardInterrupt))

    def _index(self, path: Path) -> None:
        own = path.parent == self.folder
        if own:
            self._next = max(self._next, int(path.stem.split("-")[1]) + 1)
        try:
            table, meta = read_parquet(path)
            check_columns(path, table, SCHEMA)
            records, run = (meta["records"], meta["run"]) if "records" in meta else (records_of(meta), None)
            if "selection" in meta:
                raise InputError("expected a score table, got a core-set")
            check_same(path, meta, self.settings, RESUMED, done="scored", way=_WAY)
            check_columns(path, table, self.schema)
            if extra := [name for name in table.column_names if name not in self.schema.names]:
                raise InputError(f"scoring would lose its column {extra[0]!r}", hint="use another output")
            # The rows are counted before their names are built: a few bytes may claim any number.
            known = sum(r.get("rows", table.num_rows + 1) for r in records) == table.num_rows
            if not known or not table.column("image").equals(_names(records)):
                raise InputError("rows were taken out or put in another order since it was scored")
        except OtherSettings:
            raise
        except (InputError, KeyError) as error:
            if own:
                return  # a part that a crash left unreadable or whose bytes have changed: its images are scored again
            reason = str(getattr(error, "message", error)).removeprefix(f"{path}: ")
            hint = getattr(error, "hint", None)
            raise InputError(f"{path}: cannot be resumed: {reason}", hint=hint) from None
        offset = 0
        for record in records:
            # A part that comes later holds the newer score of an image.
            if record["image"] not in self._stored or own:
                self._stored[record["image"]] = _Stored(path, offset, record, run)
            offset += record["rows"]

    def missing(self, threads: int) -> list[ImageFile]:
        """The files that were not scored in their present state, or could not be read."""
        return [file for file, known in ordered_map(self._has, self.files, threads) if not known]

    def _has(self, file: ImageFile) -> bool:
        stored = self._stored.get(file.name)
        if stored is None or stored.record["skipped"] or (file.lr is None) != (stored.record.get("lr") is None):
            return False
        lr = LowRes.of(self.settings) if file.lr is not None else None
        try:
            ScoredImages(file.root, {"images": {file.name: stored.record}}, lr=lr).check(file.name)
        except InputError:
            return False
        return True

    def add(self, outcome: Outcome) -> None:
        """Keeps the outcome of an image, and writes a part when there are enough rows."""
        self._pending.append(outcome)
        self._rows += outcome.rows.num_rows if outcome.rows is not None else 0
        late = time.monotonic() - self._flushed >= SECONDS
        if self._rows >= ROWS or len(self._pending) >= 4096 or late:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        path = self.folder / f"part-{self._next:08d}-{self.run}.parquet"
        records = [o.record() for o in self._pending]
        tables = [o.rows for o in self._pending if o.rows is not None]
        table = pa.concat_tables(tables) if tables else self.schema.empty_table()
        meta = {**self.settings, "records": records, "run": self.run}
        table = table.replace_schema_metadata(file_metadata(meta))
        with atomic_path(path) as temporary, TableWriter(temporary, table.schema, **CHECKED) as writer:
            writer.write_table(table)
        offset = 0
        for record in records:
            self._stored[record["image"]] = _Stored(path, offset, record, self.run)
            offset += record["rows"]
        self._next += 1
        self._pending, self._rows, self._flushed = [], 0, time.monotonic()

    def meta(self) -> dict[str, Any]:
        """The metadata of the table, once every image was added."""
        self.flush()
        about = {**self.settings, **of_records(self._stored[f.name].record for f in self.files)}
        for file in self.files:  # the same contents may have come with another time
            about["images"][file.name]["mtime_ns"] = file.mtime_ns
            if file.lr is not None:
                about["images"][file.name]["lr"] = list(file.lr)
        return about

    def tables(self) -> Iterator[pa.Table]:
        """Yields the rows of the images, in order. Raises RunError if a part is not the one that this run wrote or
        found."""
        for file in self.files:
            stored = self._stored[file.name]
            count = stored.record["rows"]
            if count:
                rows = self._read(stored).slice(stored.offset, count)
                if not rows.column("image").equals(pa.chunked_array([repeated(file.name, count)])):
                    raise _changed(stored.part)
                yield rows

    def _read(self, stored: _Stored) -> pa.Table:
        # A resumed run alternates between the table it continues and the parts of the runs since.
        path = stored.part
        if path not in self._cache:
            if len(self._cache) == 3:
                del self._cache[next(iter(self._cache))]
            try:
                table, meta = read_parquet(path)
            except InputError:
                raise _changed(path) from None
            if meta.get("run") != stored.run or any(meta.get(k) != v for k, v in self.settings.items() if k != PASSED):
                raise _changed(path)
            self._cache[path] = table.select(self.schema.names)
        self._cache[path] = self._cache.pop(path)
        return self._cache[path]

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
            self.remove()

    def _publish(self) -> None:
        """Makes the folder of parts the score table, in the order of the images, by a rename.

        Parts that a resumed run left in another order, or with rows that were scored again, are written anew first.
        """
        check_folder(self.folder, _is_part)
        last = self._next
        stored_files = [self._stored[f.name] for f in self.files]
        held = sum(len(read_parquet(p)[1]["records"]) for p in self.folder.glob("part-*.parquet"))
        order = [(p.part, p.offset) for p in stored_files]
        if (
            held != len(stored_files)
            or any(p.part.parent != self.folder for p in stored_files)
            or order != sorted(order)
        ):
            whole = replace(self, _stored={}, _pending=[], _flushed=time.monotonic())
            for file, stored in zip(self.files, stored_files, strict=True):
                rows = self._read(stored).slice(stored.offset, stored.record["rows"]) if stored.record["rows"] else None
                small = stored.record["small"]
                more = {n: stored.record.get(n, {}) for n in ("small_at", "tried")}
                more["hashes"] = {key: stored.record[key] for key in NOTED if key in stored.record}
                whole.add(Outcome(file, rows, stored.record["skipped"], small and (small[0], small[1]), **more))
            whole.flush()
            for path in sorted(self.folder.glob("part-*.parquet")):
                if int(path.stem.split("-")[1]) < last:
                    path.unlink()
        names = sorted(p.name for p in self.folder.glob("part-*.parquet"))
        self._folder.mark(self._compared, "score table", parts=names)
        target = Path(os.path.realpath(self._target))
        check_table_folder(target)
        self._folder.publish(target, replaces=True)

    def remove(self) -> None:
        """Removes the parts and releases the folder."""
        self._folder.clear()
        self.close()

    def close(self, *, keep: bool = False) -> None:
        """Releases the folder, and removes it if it holds no part; ``keep`` leaves a run that can be resumed."""
        self._folder.close(keep=keep)


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


def _changed(path: Path) -> RunError:
    return RunError(f"{path}: has been changed or damaged while the run was going on", hint="run again with `resume`")


def _names(records: list[dict[str, Any]]) -> pa.ChunkedArray:
    """The column ``image`` of a table with these records."""
    return pa.chunked_array([repeated(r["image"], r["rows"]) for r in records if r["rows"]], pa.string())
