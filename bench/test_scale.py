"""select over tables larger than memory: the time, and what it holds."""

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
from srfast.scoring.table import CHECKED, ROW_GROUP, SCHEMA, arrow

PER_IMAGE = 10_000
SELECT = """
import json, os, sys, time
from srfast.coreset.settings import SelectArguments
from srfast.coreset.selection import write_selection
wall, before = time.perf_counter(), os.times()
done = write_selection([sys.argv[1]], sys.argv[2], SelectArguments(keep=0.5))
after = os.times()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": time.perf_counter() - wall,
    "cpu_seconds": after.user + after.system - before.user - before.system,
    "peak_mib": peak / 1024,
    "kept": done[0]["kept"],
}))
"""


def write_table(path: Path, n: int) -> None:
    """n patches of images of 10,000: a long-tailed loss, one patch in twenty flat."""
    rng = np.random.default_rng(0)
    meta = {"version": 1, "root": "/data", "scale": 2, "patch": 96, "stride": 6, "mode": "dense", "images": {}}
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


def selected(table: Path, output: Path) -> dict[str, Any]:
    command = [sys.executable, "-c", SELECT, str(table), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("rows", [10_000_000, 100_000_000])
def test_many(benchmark: Any, tmp_path: Path, rows: int) -> None:
    """The hardest half, and its peak memory: at 100 million patches at most 2 GiB."""
    if rows > 10_000_000 and "SRFAST_BENCH_LARGE" not in os.environ:
        pytest.skip("SRFAST_BENCH_LARGE=1 runs it: 5 GB of disk")
    table = tmp_path / "scores.parquet"
    write_table(table, rows)
    figures: dict[str, Any] = {}
    benchmark.pedantic(lambda: figures.update(selected(table, tmp_path / "coreset.parquet")), rounds=1, iterations=1)
    benchmark.extra_info.update({k: round(v, 2) for k, v in figures.items()})
    assert figures["kept"] == rows // 2
    assert figures["peak_mib"] < (1024 if rows == 10_000_000 else 2048)
