"""The footer of a table: its metadata list every image, and are written once."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.data.parquet import TableWriter

NUMBERS = pa.schema(
    [pa.field("image", pa.string(), nullable=False), pa.field("loss", pa.float32()), pa.field("z", pa.float16())]
)
ROWS = {"image": ["ä.png", "b.png"], "loss": [1.5, None], "z": [0.5, 0.25]}
OPTIONS = {"compression": "zstd", "write_page_checksum": True}
PEAK = """
import sys
import pyarrow as pa
from srfast.data.parquet import TableWriter
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
schema = pa.schema([pa.field("x", pa.int32())], {"srfast": "m" * (64 << 20)})
before = peak()
with TableWriter(sys.argv[1], schema) as writer:
    writer.write_table(pa.table({"x": pa.array([1], pa.int32())}))
print((peak() - before) / (64 << 10))
"""


def written(path: Path, schema: pa.Schema) -> bytes:
    with TableWriter(path, schema, **OPTIONS) as writer:
        writer.write_table(pa.table(ROWS).cast(schema), 1)
    return path.read_bytes()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 100_000])
@pytest.mark.parametrize("keys", [1, 2, 14])
def test_the_bytes_are_those_of_pyarrow(tmp_path, length, keys):
    meta = {f"key {i}".encode(): ("ö" * length).encode()[:length] for i in range(keys)}
    ours = written(tmp_path / "ours.parquet", NUMBERS.with_metadata(meta))
    with pq.ParquetWriter(tmp_path / "theirs.parquet", NUMBERS, store_schema=False, **OPTIONS) as writer:
        if not hasattr(writer, "add_key_value_metadata"):
            pytest.skip("this pyarrow adds no metadata to a file")
        writer.write_table(pa.table(ROWS).cast(NUMBERS), 1)
        writer.add_key_value_metadata(meta)
    assert ours == (tmp_path / "theirs.parquet").read_bytes()
    assert pq.read_table(tmp_path / "ours.parquet").schema.equals(NUMBERS.with_metadata(meta), check_metadata=True)


def test_a_type_that_parquet_lacks_is_given_back(tmp_path):
    schema = pa.schema([pa.field("image", pa.dictionary(pa.int32(), pa.string()))], {"srfast": "{}"})
    with TableWriter(tmp_path / "t.parquet", schema) as writer:
        writer.write_table(pa.table({"image": ["a", "b", "a"]}).cast(schema))
    assert pq.read_table(tmp_path / "t.parquet").schema.equals(schema, check_metadata=True)


def test_metadata_are_held_and_written_once(tmp_path):
    path = tmp_path / "t.parquet"
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, timeout=100
    )
    # One copy as bytes; half a copy more is the allocator's and pyarrow's own. pyarrow alone takes 15.
    assert float(done.stdout) < 1.5
    assert path.stat().st_size < (64 << 20) + 4096
