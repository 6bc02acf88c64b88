"""Numbered .tar shards of KEY.hr.png, KEY.lr.png and KEY.json, which WebDataset reads."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from srfast.exporting.arrangement import Arrangement
from srfast.exporting.stream import EncodedPair
from srfast.exporting.writer import count_complete, shard_count, shard_rows


class WebDataset:
    """Shards with equal numbers of patches; KEY.json holds the core-set's columns.

    The archives are POSIX.1-2001 (PAX), in which a name may be longer than 100 characters; with shorter names the bytes
    are those of the older format.
    """

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.folder, self.plan = folder, plan
        self._rows = shard_rows(plan)
        names = [shard_name(i, shard_count(plan)) for i in range(written // self._rows)]
        self.written = count_complete(folder, names) * self._rows
        self._tar: tarfile.TarFile | None = None

    def add(self, pairs: list[EncodedPair]) -> None:
        about = self.plan.table.slice(pairs[0].row, len(pairs)).to_pylist()
        for pair, columns in zip(pairs, about, strict=True):
            if self._tar is None:
                path = self.folder / shard_name(pair.row // self._rows, shard_count(self.plan))
                self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
            key = self.plan.names[pair.row]
            self._member(f"{key}.hr.{self.plan.suffix}", pair.hr)
            if pair.lr is not None:
                self._member(f"{key}.lr.{self.plan.suffix}", pair.lr)
            self._member(f"{key}.json", json.dumps(_plain(columns), ensure_ascii=False, default=str).encode())
            if (pair.row + 1) % self._rows == 0:
                self.finish()
                self.written = pair.row + 1

    def finish(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._tar = None

    def close(self) -> None:
        if self._tar is not None and self._tar.fileobj is not None:
            self._tar.fileobj.close()  # not the archive, whose last blocks may not fit on a full disk
            self._tar = None

    def _member(self, name: str, data: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o644
        self._tar.addfile(member, io.BytesIO(data))


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    """Replaces numbers that JSON lacks, nan and the infinities, by null, and dates and bytes by text."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in columns.items()}


def shard_name(number: int, count: int) -> str:
    return f"{number:0{max(6, len(str(count - 1)))}d}.tar"


def read_webdataset(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads samples shard by shard; a sample consists of consecutive files with one key, up to the first dot."""
    for path in sorted(folder.glob("*.tar")):
        key = ""
        sample: dict[str, bytes] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                name, _, field = member.name.partition(".")
                if name != key and sample:
                    yield key, sample[f"hr.{plan.suffix}"], sample.get(f"lr.{plan.suffix}")
                    sample = {}
                key = name
                content = tar.extractfile(member)
                assert content is not None
                sample[field] = content.read()
        if sample:
            yield key, sample[f"hr.{plan.suffix}"], sample.get(f"lr.{plan.suffix}")
