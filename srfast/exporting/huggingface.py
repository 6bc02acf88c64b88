"""metadata.parquet beside the images, or images inside parquet files, which Hugging Face datasets reads."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyarrow as pa

from srfast.data.parquet import TableWriter, opened
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.folder import Folder
from srfast.exporting.stream import EncodedPair
from srfast.exporting.writer import count_complete, shard_count, shard_rows
from srfast.scoring.table import CHECKED

_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_GROUP = 100
"""Rows of a row group, which is read to get one image (Hugging Face's own number for images)."""


class ImageFolder(Folder):
    """An "imagefolder": hr_file_name and lr_file_name become the columns hr and lr, followed by the core-set's
    columns."""

    def finish(self) -> None:
        plan = self.plan
        columns = {"hr_file_name": pa.array(f"HR/{n}.{plan.suffix}" for n in plan.names)}
        if plan.lr:
            columns["lr_file_name"] = pa.array(f"{plan.lr_folder}/{n}.{plan.suffix}" for n in plan.names)
        columns |= {name: plan.table[name] for name in plan.table.column_names}
        table = pa.table(columns)
        with TableWriter(self.hr.parent / "metadata.parquet", table.schema, **CHECKED) as writer:
            writer.write_table(table)


class Embedded:
    """Parquet shards with the bytes of the files in hr and lr, as Hugging Face's type Image."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.folder, self.plan = folder, plan
        self._rows = shard_rows(plan)
        names = [embedded_name(i, shard_count(plan)) for i in range(written // self._rows)]
        self.written = count_complete(folder, names) * self._rows
        self._schema = _schema(plan)
        self._writer: TableWriter | None = None
        self._pending: list[EncodedPair] = []

    def add(self, pairs: list[EncodedPair]) -> None:
        for pair in pairs:
            self._pending.append(pair)
            end = (pair.row + 1) % self._rows == 0
            if end or len(self._pending) == _GROUP:
                self._flush()
            if end:
                self._end_shard()
                self.written = pair.row + 1

    def finish(self) -> None:
        self._flush()
        self._end_shard()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.give_up()

    def _flush(self) -> None:
        if not self._pending:
            return
        first = self._pending[0].row
        if self._writer is None:
            name = embedded_name(first // self._rows, shard_count(self.plan))
            self._writer = TableWriter(self.folder / name, self._schema, compression="none", write_page_checksum=True)
        names = [f"{self.plan.names[p.row]}.{self.plan.suffix}" for p in self._pending]
        columns = [_images([p.hr for p in self._pending], names)]
        if self.plan.lr:
            columns.append(_images([p.lr for p in self._pending], names))
        about = self.plan.table.slice(first, len(self._pending))
        columns += [about[name].combine_chunks() for name in about.column_names]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._pending = []

    def _end_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def embedded_name(number: int, count: int) -> str:
    return f"train-{number:05d}-of-{count:05d}.parquet"


def _images(files: list[Any], names: list[str]) -> pa.Array:
    return pa.StructArray.from_arrays([pa.array(files, pa.binary()), pa.array(names, pa.string())], fields=list(_IMAGE))


def _schema(plan: Arrangement) -> pa.Schema:
    """The columns, with their features under the key "huggingface"."""
    table = plan.table.schema
    images = ["hr", "lr"] if plan.lr else ["hr"]
    features: dict[str, Any] = {name: {"_type": "Image"} for name in images}
    for field in table:
        kind = str(field.type).replace("double", "float64")
        features[field.name] = {"dtype": "float32" if kind == "float" else kind, "_type": "Value"}
    fields = [*(pa.field(name, _IMAGE) for name in images), *table]
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=about)


def read_imagefolder(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs by metadata.parquet, whose paths are relative to its folder."""
    with opened(folder / "metadata.parquet") as file:
        table = file.read()
    lows = table["lr_file_name"].to_pylist() if plan.lr else [None] * len(table)
    for high, low in zip(table["hr_file_name"].to_pylist(), lows, strict=True):
        name = Path(high).name.split(".")[0]
        yield name, (folder / high).read_bytes(), None if low is None else (folder / low).read_bytes()


def read_embedded(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs shard by shard, one row group at a time."""
    for path in sorted(folder.glob("train-*.parquet")):
        with opened(path, whole=False) as file:
            for batch in file.iter_batches(_GROUP, columns=["hr", "lr"] if plan.lr else ["hr"]):
                for row in batch.to_pylist():
                    name = row["hr"]["path"].split(".")[0]
                    yield name, row["hr"]["bytes"], row["lr"]["bytes"] if plan.lr else None
