"""Losses that are not finite are refused where they arise, also where an engine takes several images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from srfast.data import dali
from srfast.data.grid import Grid
from srfast.errors import RunError
from srfast.scoring import device_loading, patches, pipeline
from srfast.scoring import per_image as job
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.settings import ScoreArguments


class Broken:
    """An engine as that of a GPU, whose network gives NaN for the last patch of an image it is told of."""

    name, precision, concurrent = "native", "fp32", False
    device = torch.device("cpu")

    def __init__(self, broken: int = 0) -> None:
        self.broken = broken
        self.calls = 0

    def _scores(self, grid: Grid) -> Scores:
        loss = np.ones(len(grid), np.float32)
        if self.calls == self.broken:
            loss[-1] = np.nan
        self.calls += 1
        return Scores(loss, loss * 0, loss * 0)

    def submit(self, _images: Any, grids: Sequence[Grid], _dense: bool) -> Any:
        return lambda: [self._scores(grid) for grid in grids]

    def batch_tensor(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.full((len(batch),), torch.inf)


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_of_several_images_at_once(
    mode: str, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second image of a group; the finished first one is kept for ``--resume``."""
    output = tmp_path / "s.parquet"
    settings = ScoreArguments(patch=48, mode=mode)
    monkeypatch.setattr(job, "make_engine", lambda *_args, **_options: Broken(1))
    with pytest.raises(RunError, match=r"chelsea\.jpg: expected finite losses, got nan for patch 19"):
        pipeline.write_scores(photo_folder, output, settings)
    assert not output.exists()
    scored: list[int] = []
    monkeypatch.setattr(job, "make_engine", lambda *_args, **_options: Broken(-1))
    again = replace(settings, resume=True, progress=lambda done, *_: scored.append(done))
    pipeline.write_scores(photo_folder, output, again)
    assert scored[0] == 1


def test_of_images_that_were_decoded_on_the_device(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((96, 96, 3), np.uint8)
    stream = SimpleNamespace(batches=lambda: iter([[(0, torch.from_numpy(pixels))]]))
    monkeypatch.setattr(dali, "PatchStream", lambda *_args, **_options: stream)
    monkeypatch.setattr(device_loading, "read_rgb", lambda _path: pixels)
    files = pipeline.find_images(photo_folder / "chelsea.jpg")
    with pytest.raises(RunError, match=r"chelsea\.jpg: expected finite losses, got nan for patch 3"):
        list(device_loading.outcomes(Broken(), ScoreArguments(patch=48), files, 1))


def test_of_tensors_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "make_engine", lambda *_args, **_options: Broken())
    with pytest.raises(RunError, match="scorer: expected finite losses, got inf for patch 0"):
        patches.score_patches(torch.zeros(2, 48, 48, 3, dtype=torch.uint8))
