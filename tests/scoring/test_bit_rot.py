"""Bits that flip in a finished table: refused or harmless, never read as another value."""

import random

import pyarrow.parquet as pq
import pytest

import srfast
from srfast.errors import InputError
from srfast.scoring.pipeline import score
from srfast.scoring.table import SCHEMA, ScoreTable


@pytest.mark.parametrize("small", [0, 1 << 26])
def test_every_page_has_its_checksum(small, photo_folder, tmp_path, monkeypatch):
    """What other readers of parquet verify as well; whether srfast reads by column, or the whole."""
    path = tmp_path / "s.parquet"
    score(photo_folder, patch=24, stride=6, scorer="bicubic", output=path)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(SCHEMA.names.index("loss"))
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr("srfast.scoring.stored.SMALL", small)
    with pytest.raises(OSError, match=r"CRC|ZSTD|crc"):
        pq.read_table(path, page_checksum_verification=True)
    for read in (ScoreTable.read, srfast.select):
        with pytest.raises(InputError, match=r"s\.parquet: not a readable parquet file"):
            read(path)


def test_flipped_bits_are_found(photo_folder, tmp_path):
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
