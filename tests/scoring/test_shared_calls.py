"""Images that share a call of an engine: the same table as one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srfast.scoring import per_image as job
from srfast.scoring import pipeline
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.settings import ScoreArguments


@pytest.mark.parametrize("shared", [1, 1 << 22])
def test_the_table_is_that_of_one_image_at_a_time(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: int
) -> None:
    (photo_folder / "broken.png").write_bytes(b"not a picture")
    settings = ScoreArguments(stride=48, skip_bad=True)
    expected = pipeline.write_scores(photo_folder, tmp_path / "one.parquet", settings)
    calls = []

    class Counting(GpuEngine):
        def windows_of(self, images, grids, size):
            calls.append(len(images))
            return super().windows_of(images, grids, size)

    def engine(network, *_args, **_options):
        return Counting(network, "symmetric", "native", "fp32", "cpu")

    monkeypatch.setattr(job, "make_engine", engine)
    monkeypatch.setattr(pipeline, "SHARED", shared)
    actual = pipeline.write_scores(photo_folder, tmp_path / "together.parquet", settings)
    assert sum(calls) == 4
    assert max(calls) == (1 if shared == 1 else 4)
    assert actual.meta["images"] == expected.meta["images"]
    assert [entry["image"] for entry in actual.meta["skipped"]] == ["broken.png"]
    one, together = (pipeline.ScoreTable.read(tmp_path / f"{name}.parquet") for name in ("one", "together"))
    for column in ("x", "y"):
        np.testing.assert_array_equal(together.column(column), one.column(column))
    for column in ("loss", "bicubic", "sobel"):
        np.testing.assert_allclose(together.column(column), one.column(column), rtol=2e-5)
