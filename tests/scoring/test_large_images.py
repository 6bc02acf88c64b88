"""Images that share a call of an engine: the same table as one by one; and places of workers."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from srfast.scoring import per_image as job
from srfast.scoring import pipeline
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.settings import ScoreArguments

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_places(tmp_path):
    """tests/cpp/places_check.cpp."""
    program = tmp_path / "places_check"
    source = ROOT / "tests" / "cpp" / "places_check.cpp"
    subprocess.run(["g++", "-std=c++20", "-I", ROOT / "csrc", source, "-o", program, "-pthread"], check=True)
    run = subprocess.run([program], capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("", 0)


@pytest.mark.parametrize("mode", ["patch", "dense"])
@pytest.mark.parametrize("shared", [1, 1 << 22])
def test_the_table_is_that_of_one_image_at_a_time(photo_folder, tmp_path, monkeypatch, shared, mode):
    (photo_folder / "broken.png").write_bytes(b"not a picture")
    settings = ScoreArguments(stride=48, skip_bad=True, mode=mode)
    expected = pipeline.write_scores(photo_folder, tmp_path / "one.parquet", settings)
    events: list[int | str] = []

    class Counting(GpuEngine):
        def submit(self, images, grids, dense):
            events.append(len(images))
            wait = super().submit(images, grids, dense)
            return lambda: events.append("fetch") or wait()

    def engine(network, *_args, **_options):
        return Counting(network, "native", "fp32", "cpu")

    monkeypatch.setattr(job, "make_engine", engine)
    monkeypatch.setattr(pipeline, "SHARED", shared)
    actual = pipeline.write_scores(photo_folder, tmp_path / "together.parquet", settings)
    if shared == 1:  # the scores of an image are fetched once the next one is submitted
        assert events == [1, 1, "fetch", 1, "fetch", 1, "fetch", "fetch"]
    else:
        assert events == [4, "fetch"]
    assert actual.meta["images"] == expected.meta["images"]
    assert [entry["image"] for entry in actual.meta["skipped"]] == ["broken.png"]
    one, together = (pipeline.ScoreTable.read(tmp_path / f"{name}.parquet") for name in ("one", "together"))
    for column in ("x", "y"):
        np.testing.assert_array_equal(together.column(column), one.column(column))
    for column in ("loss", "bicubic", "sobel"):
        np.testing.assert_allclose(together.column(column), one.column(column), rtol=2e-5)


def test_what_was_submitted_before_a_failure_is_kept():
    def waits():
        yield lambda: ["first"]
        yield lambda: ["second"]
        raise RuntimeError("out of memory")

    outcomes = job.pipelined(waits())
    assert [next(outcomes), next(outcomes)] == ["first", "second"]
    with pytest.raises(RuntimeError, match="out of memory"):
        next(outcomes)
