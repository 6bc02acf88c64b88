"""The durable half of a scoring run: parts beside the output that survive a crash and are merged at the end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from srfast.data.files import atomic_path
from srfast.data.images import ImageFile
from srfast.errors import InputError
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import KEY, LIMITS, SCHEMA, encode_meta, parse_meta, read_metadata, read_parquet

ROWS = 1 << 16
"""Rows after which a part is written: about 1 MiB."""
SECONDS = 20.0
"""Time after which a part is written however few the rows: at most that much scoring is lost in a crash."""
NAME = re.compile(r"part-\d{8,}\.parquet|\.srfast-[0-9a-f]{16}.*")
"""The files of a folder of parts: finished ones, and one that was being written."""


@dataclass
class Outcome:
    """What became of one image: rows, or a reason why there are none."""

    file: ImageFile
    rows: pa.Table | None = None
    skipped: str | None = None
    """Why the file could not be read."""
    small: tuple[int, int] | None = None
    """[H, W] of an image smaller than a patch."""

    def record(self) -> dict[str, Any]:
        return {
            "image": self.file.name,
            "size": self.file.size,
            "mtime_ns": self.file.mtime_ns,
            "rows": self.rows.num_rows if self.rows is not None else 0,
            "skipped": self.skipped,
            "small": self.small,
        }


@dataclass
class _Place:
    part: Path
    offset: int
    record: dict[str, Any]


@dataclass
class Parts:
    """The parts of one run, in the folder ``<output>.parts``."""

    folder: Path
    settings: dict[str, Any]
    _places: dict[str, _Place] = field(default_factory=dict)
    _pending: list[Outcome] = field(default_factory=list)
    _rows: int = 0
    _next: int = 0
    _flushed: float = field(default_factory=time.monotonic)
    _cache: dict[Path, pa.Table] = field(default_factory=dict)

    @classmethod
    def start(cls, output: Path, settings: dict[str, Any], resume: bool) -> Parts:
        """Opens the parts of ``output``: those of an interrupted run when resuming, else none.

        Raises:
            InputError: resuming a run or a table that was made with other settings; names the setting.
        """
        parts = cls(output.with_name(output.name + ".parts"), settings)
        if not resume:
            parts.remove()
        elif parts.folder.is_dir():
            for path in sorted(parts.folder.glob("part-*.parquet")):
                parts._index(path)
        if resume and output.exists():
            parts._index(output)
        try:
            parts.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{output}: cannot write beside it ({error.strerror})") from None
        for stale in parts.folder.glob(".srfast-*"):
            stale.unlink()
        return parts

    def _index(self, path: Path) -> None:
        try:
            metadata = read_metadata(path)
        except (pa.ArrowException, OSError):
            if path.parent == self.folder:
                return  # a part the crash left unreadable: its images are scored again
            raise InputError(f"{path}: cannot be resumed, it is not a readable score table") from None
        meta = parse_meta(path, metadata)
        if "selection" in meta:
            raise InputError(f"{path}: cannot be resumed: expected a score table, got a core-set")
        for name in ("root", *COMPARED, "backend", "shard"):
            if meta.get(name) != self.settings.get(name):
                raise InputError(
                    f"{path}: cannot be resumed: {name} was {meta.get(name)!r} and is {self.settings.get(name)!r} now; "
                    "use the old setting, another output, or leave out --resume"
                )
        records = meta["records"] if "records" in meta else _records(path, meta)
        offset = 0
        for record in records:
            # A part that comes later holds the newer score of an image.
            if record["image"] not in self._places or path.parent == self.folder:
                self._places[record["image"]] = _Place(path, offset, record)
            offset += record["rows"]
        if path.parent == self.folder:
            self._next = max(self._next, int(path.stem.removeprefix("part-")) + 1)

    def has(self, file: ImageFile, retry_skipped: bool) -> bool:
        """Whether this state of the file was scored; files that could not be read are tried again when asked."""
        place = self._places.get(file.name)
        if place is None or (retry_skipped and place.record["skipped"]):
            return False
        return place.record["size"] == file.size and place.record["mtime_ns"] == file.mtime_ns

    def add(self, outcome: Outcome) -> None:
        """Keeps the outcome of an image; writes a part when enough rows are there."""
        self._pending.append(outcome)
        self._rows += outcome.rows.num_rows if outcome.rows is not None else 0
        late = time.monotonic() - self._flushed >= SECONDS
        if self._rows >= ROWS or len(self._pending) >= 4096 or late:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        path = self.folder / f"part-{self._next:08d}.parquet"
        records = [o.record() for o in self._pending]
        tables = [o.rows for o in self._pending if o.rows is not None]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        meta = {**self.settings, "records": records}
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata({KEY: encode_meta(meta)}), temporary, compression="zstd")
        offset = 0
        for record in records:
            self._places[record["image"]] = _Place(path, offset, record)
            offset += record["rows"]
        self._next += 1
        self._pending, self._rows, self._flushed = [], 0, time.monotonic()

    def records(self, files: list[ImageFile]) -> list[dict[str, Any]]:
        return [self._places[f.name].record for f in files]

    def tables(self, files: list[ImageFile]) -> Iterator[pa.Table]:
        """The rows of the images, in order."""
        for file in files:
            place = self._places[file.name]
            if place.record["rows"]:
                yield self._read(place.part).slice(place.offset, place.record["rows"])

    def _read(self, path: Path) -> pa.Table:
        # A resumed run alternates between the table it continues and the parts of the runs since.
        if path not in self._cache:
            if len(self._cache) == 3:
                del self._cache[next(iter(self._cache))]
            # Not read_table, which imports the dataset module and with it pandas, where that is installed.
            with pq.ParquetFile(path, **LIMITS) as file:
                self._cache[path] = file.read(SCHEMA.names)
        self._cache[path] = self._cache.pop(path)
        return self._cache[path]

    def remove(self) -> None:
        """Removes the parts; raises InputError when the folder holds anything else."""
        if not self.folder.is_dir():
            return
        files = list(self.folder.iterdir())
        foreign = next((f for f in files if not NAME.fullmatch(f.name)), None)
        if foreign is not None:
            raise InputError(f"{self.folder}: holds {foreign.name}, which srfast did not write; choose another output")
        for file in files:
            file.unlink()
        self.folder.rmdir()


def _records(path: Path, meta: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a finished table."""
    skipped = {e["image"]: e["reason"] for e in meta["skipped"]}
    small = {e["image"]: (e["height"], e["width"]) for e in meta["small"]}
    records = [
        {"image": name, **state, "skipped": skipped.get(name), "small": small.get(name)}
        for name, state in sorted(meta["images"].items())
    ]
    names = np.repeat([r["image"] for r in records], [r["rows"] for r in records])
    if not read_parquet(path)[0].column("image").equals(pa.chunked_array([pa.array(names, pa.string())])):
        raise InputError(f"{path}: cannot be resumed: rows were taken out or put in another order since it was scored")
    return records


def clean_json(value: Any) -> Any:
    """A value as it comes back from JSON, so that settings compare equal to those of a file."""
    return json.loads(json.dumps(value))
