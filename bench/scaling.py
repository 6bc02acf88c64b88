"""CPU seconds of every stage against the number of patches, and the plot of docs/scaling.md.

    python bench/scaling.py FOLDER OUT.json OUT.svg [LARGEST]

FOLDER: photographs; LARGEST: the rows of the largest table selected from, 10 million unless given, at least 10,000.

CPU seconds (user and system, all threads), as they do not depend on what else the machine does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # last: srfast is the installed one

from bench.measure import timed
from bench.test_scale import selected, write_table


def children(command: list[str]) -> float:
    """CPU seconds of a process that is run to its end."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def scoring(photos: list[Path], folder: Path) -> list[dict[str, Any]]:
    """Dense mode from files to table, process start included; the stride makes the patches."""
    import pyarrow.parquet as pq

    points = []
    for images, stride in ((40, 24), (400, 24), (400, 6)):
        output = folder / "scores.parquet"
        command = [sys.executable, "-P", "-m", "srfast", "score", *map(str, photos[:images]), "-o", str(output)]
        seconds = children([*command, "--mode", "dense", "--stride", str(stride)])
        points.append(
            {"patches": pq.read_metadata(output).num_rows, "images": len(photos[:images]), "cpu_seconds": seconds}
        )
    return points


def selecting(folder: Path, sizes: list[int]) -> list[dict[str, Any]]:
    points = []
    for n in sizes:
        table = folder / "table.parquet"
        write_table(table, n)
        points.append({"patches": n, **selected(table, folder / "coreset.parquet")})
    return points


def one_core(photos: list[Path]) -> dict[str, float]:
    """Rates of one thread: photographs decoded, and pixels scored in both modes."""
    from srfast.data.grid import Grid
    from srfast.data.images import read_rgb
    from srfast.scoring.per_image import open_job
    from srfast.scoring.settings import ScoreSettings

    _, decoded, images = timed(lambda: [read_rgb(p) for p in photos])
    engine: Any = open_job(ScoreSettings(threads=1), 1)[1].engine
    assert engine.name == "native", engine.name
    rates = {"decode_images": len(images) / decoded, "decode_mpix": _mpix(images) / decoded}
    grids = [Grid.over(i.shape[0], i.shape[1], 2, 96, 96) for i in images]
    for mode in ("windows", "dense"):
        score = getattr(engine, mode)
        _, seconds, _ = timed(partial(list, map(score, images, grids, [1] * len(images))))
        rates |= {f"{mode}_images": len(images) / seconds, f"{mode}_mpix": _mpix(images) / seconds}
    return rates


def _mpix(images: list[Any]) -> float:
    return sum(i.shape[0] * i.shape[1] for i in images) / 1e6


def plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "srfast"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    for job, marker, label in (("score", "o-", "score, dense, 40 and 400 photographs"), ("select", "s-", "select")):
        points = results[job]
        axes.loglog([p["patches"] for p in points], [p["cpu_seconds"] for p in points], marker, label=label)
    axes.set_xlabel("patches")
    axes.set_ylabel("CPU seconds")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def main(photographs: str, output: str, picture: str, largest: str = "10000000") -> None:
    photos = sorted(p for p in Path(photographs).iterdir() if p.suffix in (".jpg", ".png"))
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "one_core": one_core(photos[:100]),
            "score": scoring(photos, Path(folder)),
            "select": selecting(Path(folder), [10**i for i in range(4, 10) if 10**i <= int(largest)]),
        }
    Path(output).write_text(json.dumps(results, indent=1) + "\n")
    plot(results, Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
