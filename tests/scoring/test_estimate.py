"""What is said before a run in patch mode whose patches overlap a lot."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import srfast
from srfast.data.grid import Grid
from srfast.data.images import find_images
from srfast.scoring import pipeline
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.estimate import Estimate, estimate
from srfast.scoring.settings import ScoreSettings


class Counting:
    """An engine that takes no time and counts what it is asked."""

    name, precision, concurrent = "counting", "fp32", True

    def windows(self, image: np.ndarray, grid: Grid, threads: int) -> Scores:
        return Scores(*(np.zeros(len(grid), np.float32) for _ in range(3)))

    dense = windows


def test_the_patches_are_counted(photo_folder: Path) -> None:
    settings = ScoreSettings(patch=48, stride=4)
    files = estimate(find_images(photo_folder), Counting(), settings, 2)  # type: ignore[arg-type]
    assert files is not None
    assert files.patches == len(srfast.score(photo_folder, patch=48, stride=4, mode="dense", scorer="bicubic"))


@pytest.mark.parametrize(
    "options", [{"patch": 48}, {"patch": 48, "stride": 24}, {"patch": 48, "stride": 2, "mode": "dense"}]
)
def test_nothing_is_said_where_patches_hardly_overlap(options: dict[str, object], photo_folder: Path) -> None:
    settings = ScoreSettings(**options)  # type: ignore[arg-type]
    assert estimate(find_images(photo_folder), Counting(), settings, 2) is None  # type: ignore[arg-type]


def test_it_is_said_before_scoring_starts(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "estimate", lambda *_: Estimate(1_014_000, 1260.0, 13.2))
    with caplog.at_level(logging.WARNING, "srfast"):
        srfast.score(photo_folder, patch=48, scorer="bicubic")
    assert caplog.messages == [
        "patch mode computes 1,014,000 overlapping patches one by one, about 21 min; `mode` dense takes about 13 s "
        "and ranks alike (docs/results/agreement.md)"
    ]
