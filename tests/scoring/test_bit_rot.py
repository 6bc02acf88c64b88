"""Bits that flip in a finished table: refused or harmless, never read as another value."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from srfast.errors import InputError
from srfast.scoring.pipeline import score
from srfast.scoring.table import ScoreTable


def test_flipped_bits_are_found(photo_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    table = score(photo_folder, patch=24, stride=6, scorer="bicubic", output=path)
    data = path.read_bytes()
    rng = random.Random(0)
    wrong = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            stored = ScoreTable.read(path)
        except InputError:
            continue
        wrong += not (stored.table.equals(table.table) and stored.meta == table.meta)
    assert wrong == 0


def test_every_page_has_its_checksum(photo_folder: Path, tmp_path: Path) -> None:
    """What other readers of parquet verify as well."""
    path = tmp_path / "s.parquet"
    table = score(photo_folder, patch=24, stride=6, scorer="bicubic", output=path)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    assert column.path_in_schema == "loss"
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"CRC|ZSTD|crc"):
        pq.read_table(path, page_checksum_verification=True)
    with pytest.raises(InputError, match=r"s\.parquet: not a readable parquet file"):
        ScoreTable.read(path)
    assert np.isfinite(table.column("loss")).all()
