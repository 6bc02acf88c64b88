"""The durable half of a scoring run: parts beside the output that survive a crash and are merged at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from srfast.data.images import ImageFile
from srfast.errors import InputError
from srfast.files import atomic_path
from srfast.table import KEY, SCHEMA, SETTINGS, encode_meta, parse_meta

ROWS = 1 << 16
"""Rows after which a part is written: about 1 MiB, and at most that much scoring is lost in a crash."""


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
    _cache: tuple[Path, pa.Table] | None = None

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
        for stale in parts.folder.glob(".*"):
            stale.unlink()
        return parts

    def _index(self, path: Path) -> None:
        try:
            metadata = pq.read_schema(path).metadata
        except (pa.ArrowException, OSError):
            if path.parent == self.folder:
                return  # a part the crash left unreadable: its images are scored again
            raise InputError(f"{path}: cannot be resumed, it is not a readable score table") from None
        meta = parse_meta(path, metadata)
        for name in ("root", *SETTINGS, "backend", "shard"):
            if meta.get(name) != self.settings.get(name):
                raise InputError(
                    f"{path}: cannot be resumed: {name} was {meta.get(name)!r} and is {self.settings.get(name)!r} now; "
                    "use the old setting, another output, or leave out --resume"
                )
        offset = 0
        for record in meta["records"] if "records" in meta else _records(meta):
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
        if self._rows >= ROWS or len(self._pending) >= 4096:
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
        self._pending, self._rows = [], 0

    def records(self, files: list[ImageFile]) -> list[dict[str, Any]]:
        return [self._places[f.name].record for f in files]

    def tables(self, files: list[ImageFile]) -> Iterator[pa.Table]:
        """The rows of the images, in order."""
        for file in files:
            place = self._places[file.name]
            if place.record["rows"]:
                yield self._read(place.part).slice(place.offset, place.record["rows"])

    def _read(self, path: Path) -> pa.Table:
        if self._cache is None or self._cache[0] != path:
            self._cache = (path, pq.read_table(path, partitioning=None).select(SCHEMA.names))
        return self._cache[1]

    def remove(self) -> None:
        if self.folder.is_dir():
            shutil.rmtree(self.folder)


def _records(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a finished table."""
    skipped = {e["image"]: e["reason"] for e in meta["skipped"]}
    small = {e["image"]: (e["height"], e["width"]) for e in meta["small"]}
    return [
        {"image": name, **state, "skipped": skipped.get(name), "small": small.get(name)}
        for name, state in meta["images"].items()
    ]


def clean_json(value: Any) -> Any:
    """A value as it comes back from JSON, so that settings compare equal to those of a file."""
    return json.loads(json.dumps(value))
