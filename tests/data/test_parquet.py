"""The footer of a table: its metadata list every image, and are written once."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from srfast.data.parquet import TableWriter

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


def test_a_type_that_parquet_lacks_is_given_back(tmp_path):
    schema = pa.schema([pa.field("image", pa.dictionary(pa.int32(), pa.string()))], {"srfast": "{}"})
    with TableWriter(tmp_path / "t.parquet", schema) as writer:
        writer.write_table(pa.table({"image": ["a", "b", "a"]}).cast(schema))
    assert pq.read_table(tmp_path / "t.parquet").schema.equals(schema, check_metadata=True)


def test_metadata_are_written_once(tmp_path):
    path = tmp_path / "t.parquet"
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, timeout=100
    )
    # pyarrow takes 4 copies on the way to the file, and 15 of a schema's.
    assert float(done.stdout) < 5
    assert path.stat().st_size < (64 << 20) + 4096
