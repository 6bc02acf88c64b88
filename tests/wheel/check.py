"""Run by the interpreter of an environment without torch and without a compiler: does the installed wheel score?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

MEANS = (6.02540, 1.16841, 83.0052)


def main() -> None:
    import srfast

    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        yy, xx = np.mgrid[:200, :300]
        for i in range(3):
            waves = 127 + 120 * np.sin(xx / (3 + i)) * np.cos(yy / (5 - i))
            Image.fromarray(np.repeat(waves[..., None], 3, 2).astype(np.uint8)).save(images / f"{i}.png")
        for arguments in (
            ["score", images, "-o", "scores.parquet", "--backend", "native"],
            ["select", "scores.parquet", "-o", "coreset.parquet", "--engine", "memory"],
            ["stats", "scores.parquet"],
            ["report", "scores.parquet", "--coreset", "coreset.parquet", "-o", "report.html"],
        ):
            subprocess.run([sys.executable, "-m", "srfast", *map(str, arguments)], check=True, cwd=folder)
        table = srfast.ScoreTable.read(Path(folder, "scores.parquet"))
    assert len(table) == 3 * 12, len(table)
    assert np.isfinite(table["loss"]).all()
    # What every backend gives for these waves, within fp32.
    means = [float(table[name].astype(np.float64).mean()) for name in ("loss", "bicubic", "sobel")]
    assert np.allclose(means, MEANS, rtol=1e-4), means
    torch = "with" if find_spec("torch") else "without"
    print(f"srfast {srfast.__version__} scores on Python {sys.version.split()[0]}, {torch} torch")


main()
