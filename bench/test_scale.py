"""select over tables larger than memory: the same core-set, and what each way holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srfast.scoring.metadata import KEY, encode_meta
from srfast.scoring.settings import COMPARED
from srfast.scoring.table import CHECKED, ROW_GROUP, SCHEMA, arrow

PER_IMAGE = 10_000
SELECT = """
import json, os, sys, time
from srfast.coreset.settings import SelectArguments
from srfast.coreset.selected_files import write_selection
wall, before = time.perf_counter(), os.times()
done = write_selection([sys.argv[1]], sys.argv[2], SelectArguments(keep=0.5, engine=sys.argv[3]))
after = os.times()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": time.perf_counter() - wall,
    "cpu_seconds": after.user + after.system - before.user - before.system,
    "peak_mib": peak / 1024,
    "kept": done.selection["kept"],
}))
"""


def write_table(path: Path, n: int) -> None:
    """n patches of images of 10,000: a long-tailed loss, one patch in twenty flat."""
    rng = np.random.default_rng(0)
    meta = {"version": 1, "root": "/data", **dict.fromkeys(COMPARED, 1), "images": {}, "skipped": [], "small": []}
    schema = SCHEMA.with_metadata({KEY: encode_meta(meta)})
    with pq.ParquetWriter(path, schema, **CHECKED) as writer:
        for start in range(0, n, ROW_GROUP):
            rows = np.arange(start, min(n, start + ROW_GROUP))
            first = start // PER_IMAGE
            names = [f"part/{i:07d}.png" for i in range(first, int(rows[-1]) // PER_IMAGE + 1)]
            image = pa.DictionaryArray.from_arrays(pa.array((rows // PER_IMAGE - first).astype(np.int32)), names)
            loss = rng.gamma(0.7, 60, len(rows)) * (rng.random(len(rows)) >= 0.05)
            place = rows % PER_IMAGE
            columns = [
                image.cast(pa.string()),
                *(arrow(v, np.int32) for v in (place % 100 * 6, place // 100 * 6, np.full(len(rows), 96))),
                *(arrow(v, np.float32) for v in (loss, loss * (1 + rng.random(len(rows))), rng.random(len(rows)) * 99)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def selected(table: Path, output: Path, engine: str) -> dict[str, Any]:
    command = [sys.executable, "-c", SELECT, str(table), str(output), engine]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def test_ten_million(benchmark: Any, tmp_path: Path) -> None:
    """10 million patches: DuckDB beside memory, byte for byte the same core-set; peak memory of each process."""
    table = tmp_path / "scores.parquet"
    write_table(table, 10_000_000)
    found = {}
    for engine in ("memory", "duckdb"):
        output = tmp_path / f"{engine}.parquet"
        found[engine] = selected(table, output, engine)
        benchmark.extra_info.update({f"{engine}_{k}": round(v, 2) for k, v in found[engine].items()})
    assert (tmp_path / "memory.parquet").read_bytes() == (tmp_path / "duckdb.parquet").read_bytes()
    assert found["duckdb"]["peak_mib"] < 1024
    benchmark.extra_info["ratio_cpu"] = found["memory"]["cpu_seconds"] / found["duckdb"]["cpu_seconds"]
    benchmark.pedantic(lambda: selected(table, tmp_path / "again.parquet", "duckdb"), rounds=1, iterations=1)


@pytest.mark.skipif("SRFAST_BENCH_ROWS" not in os.environ, reason="SRFAST_BENCH_ROWS=100000000 runs it: 3 GB of disk")
def test_many(benchmark: Any, tmp_path: Path) -> None:
    """As many patches as asked for, in under 1 GiB."""
    table = tmp_path / "scores.parquet"
    rows = int(os.environ["SRFAST_BENCH_ROWS"])
    write_table(table, rows)
    found: dict[str, Any] = {}
    benchmark.pedantic(
        lambda: found.update(selected(table, tmp_path / "coreset.parquet", "duckdb")), rounds=1, iterations=1
    )
    benchmark.extra_info.update({k: round(v, 2) for k, v in found.items()})
    assert found["kept"] == rows // 2
    assert found["peak_mib"] < 1024
