"""Numbered files of equally many patches: .tar archives for WebDataset, parquet files for Hugging Face datasets."""

from __future__ import annotations

import io
import json
import math
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Generator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data.parquet import TableWriter, opened
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.encode import EncodedPair
from srfast.exporting.folder import count_complete

_GROUP = 100
"""Pairs that are written together: rows of a row group, which is read to get one image (Hugging Face's own number)."""
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


class _Shards(ABC):
    """Writes a shard after the other; an interrupted run keeps those that are whole."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.folder, self.plan, self._rows = folder, plan, plan.shard_rows
        self._count = -(-len(plan) // self._rows)
        names = [self.name(i) for i in range(written // self._rows)]
        self.written = count_complete(folder, names) * self._rows
        self._shard: Any = None
        self._pending: list[EncodedPair] = []

    @abstractmethod
    def name(self, number: int) -> str:
        """The file of a shard."""

    @abstractmethod
    def begin(self, path: Path) -> Any:
        """Opens a shard."""

    @abstractmethod
    def put(self, pairs: list[EncodedPair], about: pa.Table) -> None:
        """Writes pairs, and the core-set's columns of their rows, into ``_shard``."""

    @abstractmethod
    def give_up(self) -> None:
        """Closes a shard that is not whole."""

    def add(self, pairs: list[EncodedPair]) -> None:
        for pair in pairs:
            self._pending.append(pair)
            if (pair.row + 1) % self._rows == 0:
                self.finish()
                self.written = pair.row + 1
            elif len(self._pending) == _GROUP:
                self._flush()

    def finish(self) -> None:
        self._flush()
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def close(self) -> None:
        if self._shard is not None:
            self.give_up()

    def _flush(self) -> None:
        pairs, self._pending = self._pending, []
        if pairs:
            if self._shard is None:
                self._shard = self.begin(self.folder / self.name(pairs[0].row // self._rows))
            self.put(pairs, self.plan.table.slice(pairs[0].row, len(pairs)))


class WebDataset(_Shards):
    """KEY.hr.png, KEY.lr.png, and KEY.json with the core-set's columns.

    The archives are POSIX.1-2001 (PAX), in which a name may be longer than 100 characters; with shorter names the bytes
    are those of the older format.
    """

    def name(self, number: int) -> str:
        return f"{number:0{max(6, len(str(self._count - 1)))}d}.tar"

    def begin(self, path: Path) -> tarfile.TarFile:
        return tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def put(self, pairs: list[EncodedPair], about: pa.Table) -> None:
        for pair, columns in zip(pairs, about.to_pylist(), strict=True):
            # Numbers that JSON lacks, nan and the infinities, become null, and dates and bytes text.
            plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in columns.items()}
            files = {f"hr.{self.plan.suffix}": pair.hr, f"lr.{self.plan.suffix}": pair.lr,
                     "json": json.dumps(plain, ensure_ascii=False, default=str).encode()}  # fmt: skip
            for field, data in files.items():
                if data is not None:
                    member = tarfile.TarInfo(f"{self.plan.names[pair.row]}.{field}")
                    member.size, member.mode = len(data), 0o644
                    self._shard.addfile(member, io.BytesIO(data))

    def give_up(self) -> None:
        self._shard.fileobj.close()  # not the archive, whose last blocks may not fit on a full disk


class Embedded(_Shards):
    """The bytes of the files in hr and lr, as Hugging Face's type Image."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        super().__init__(folder, plan, written)
        self._schema = _schema(plan)

    def name(self, number: int) -> str:
        return f"train-{number:05d}-of-{self._count:05d}.parquet"

    def begin(self, path: Path) -> TableWriter:
        return TableWriter(path, self._schema, compression="none", write_page_checksum=True)

    def put(self, pairs: list[EncodedPair], about: pa.Table) -> None:
        names = pa.array([f"{self.plan.names[p.row]}.{self.plan.suffix}" for p in pairs], pa.string())
        sides = [[p.hr for p in pairs], *([[p.lr for p in pairs]] if self.plan.lr else [])]
        columns = [
            pa.StructArray.from_arrays([pa.array(files, pa.binary()), names], fields=list(_IMAGE)) for files in sides
        ]
        columns += [about[name].combine_chunks() for name in about.column_names]
        self._shard.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def give_up(self) -> None:
        self._shard.give_up()


def _schema(plan: Arrangement) -> pa.Schema:
    """The columns, with their features under the key "huggingface"."""
    table = plan.table.schema
    images = ["hr", "lr"] if plan.lr else ["hr"]
    features: dict[str, Any] = {name: {"_type": "Image"} for name in images}
    for field in table:
        kind = str(field.type).replace("double", "float64")
        features[field.name] = {"dtype": "float32" if kind == "float" else kind, "_type": "Value"}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([*(pa.field(name, _IMAGE) for name in images), *table], metadata=about)


def read_webdataset(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads samples shard by shard; a sample consists of consecutive files with one key, up to the first dot."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for key, members in groupby(tar, lambda member: member.name.partition(".")[0]):
                sample = {m.name.partition(".")[2]: tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
                yield key, sample[f"hr.{plan.suffix}"], sample.get(f"lr.{plan.suffix}")


def read_embedded(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs shard by shard, one row group at a time."""
    for path in sorted(folder.glob("train-*.parquet")):
        with opened(path, whole=False) as file:
            for batch in file.iter_batches(_GROUP, columns=["hr", "lr"] if plan.lr else ["hr"]):
                for row in batch.to_pylist():
                    name = row["hr"]["path"].split(".")[0]
                    yield name, row["hr"]["bytes"], row["lr"]["bytes"] if plan.lr else None
