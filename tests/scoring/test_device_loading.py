"""``--loader dali``: the same table to the bit as srfast's own decoder, or a refusal. DALI runs on the CPU here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.errors import InputError, RunError
from srfast.scoring import device_loading, pipeline
from srfast.scoring import per_image as job
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.settings import ScoreArguments

needs_dali = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None or importlib.util.find_spec("nvidia.dali") is None,
    reason="DALI is not installed (pip install 'srfast[dali]')",
)


@pytest.fixture
def gpu_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU engine on the CPU, where its kernels fall back to torch."""
    monkeypatch.setattr(
        job,
        "make_engine",
        lambda network, *_args, **_options: GpuEngine(network, "symmetric", "native", "fp32", "cpu"),
    )


@pytest.fixture
def jpegs(tmp_path: Path, photographs: dict[str, np.ndarray]) -> Path:
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for name, size in (("astronaut", (150, 190)), ("chelsea", (97, 133)), ("coffee", (60, 200))):
        Image.fromarray(photographs[name][: size[0], : size[1]]).save(folder / f"{name} é.jpg", quality=92)
    return folder


@needs_dali
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_the_same_table_to_the_bit(gpu_engine: None, jpegs: Path, tmp_path: Path, mode: str) -> None:
    tables = []
    for loader in ("srfast", "dali"):
        settings = ScoreArguments(stride=48, mode=mode, loader=loader)
        summary = pipeline.write_scores(jpegs, tmp_path / f"{loader}.parquet", settings)
        assert [entry["image"] for entry in summary.meta["small"]] == ["coffee é.jpg"]
        tables.append(pipeline.ScoreTable.read(tmp_path / f"{loader}.parquet"))
    # One image a call or several: float32 convolutions of another batch size may add in another order.
    for column in ("x", "y", "bicubic", "sobel"):
        np.testing.assert_array_equal(tables[1].column(column), tables[0].column(column))
    np.testing.assert_allclose(tables[1].column("loss"), tables[0].column("loss"), rtol=1e-6)


@needs_dali
def test_other_pixels_are_refused(
    gpu_engine: None, jpegs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_loading, "read_rgb", lambda path: np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(RunError, match="to other pixels than srfast"):
        pipeline.write_scores(jpegs, tmp_path / "out.parquet", ScoreArguments(loader="dali"))
    assert not (tmp_path / "out.parquet").exists()


def test_png_is_refused_with_the_reason(gpu_engine: None, photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dali decodes JPEG on the GPU, all else on the CPU.*\.png"):
        pipeline.write_scores(photo_folder, tmp_path / "out.parquet", ScoreArguments(loader="dali"))


def test_skip_bad_is_refused(gpu_engine: None, jpegs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave --skip-bad out"):
        pipeline.write_scores(jpegs, tmp_path / "out.parquet", ScoreArguments(loader="dali", skip_bad=True))


def test_the_cpu_engine_is_refused(jpegs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="loader: dali decodes for --device cuda"):
        pipeline.write_scores(jpegs, tmp_path / "out.parquet", ScoreArguments(loader="dali", device="cpu"))
