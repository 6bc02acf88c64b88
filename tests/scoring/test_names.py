"""``srfast.join``, ``stats``, ``dedup`` and ``export_onnx``: what the commands do, by tables and by paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import srfast
from srfast.coreset.joining import join_columns
from srfast.scoring.statistics import summary


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("names")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        noise = Image.fromarray(rng.integers(0, 256, (20, 28, 3), np.uint8))
        noise.resize((112, 80), Image.Resampling.BICUBIC).save(folder / "photos" / f"{i}.png")
    srfast.score(folder / "photos", patch=32, output=folder / "scores.parquet", scorer="bicubic")
    return folder / "scores.parquet"


def test_join(scores: Path, tmp_path: Path) -> None:
    (tmp_path / "quality.csv").write_text("file,quality\n0.png,0.5\n")
    joined = srfast.join(scores, tmp_path / "quality.csv", on="image=file")
    table = srfast.ScoreTable.read(scores)
    assert joined.table.equals(join_columns(table, tmp_path / "quality.csv", ["image=file"]).table.table)
    assert srfast.select(joined, where="quality = 0.5", keep=1.0)["image"].tolist() == ["0.png"] * 12


def test_stats(scores: Path, tmp_path: Path) -> None:
    table = srfast.ScoreTable.read(scores)
    half = srfast.select(table, keep=0.5)
    half.write(tmp_path / "half.parquet")
    assert srfast.stats(scores) == srfast.stats([scores]) == srfast.stats(table) == summary(table)
    assert srfast.stats(tmp_path / "half.parquet") == srfast.stats(half)
    assert srfast.stats(half)["patches"] == 12


def test_dedup(scores: Path, tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    marked = srfast.dedup(scores, against=scores.parent / "photos")
    assert marked.columns[-3:] == ["duplicate", "group", "leak"]
    assert len(srfast.select(marked, where="leak is not null", keep=1.0)) == len(marked)


def test_export_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    assert srfast.export_onnx(tmp_path / "scorer.onnx", scale=3) == tmp_path / "scorer.onnx"
    with pytest.raises(srfast.InputError, match="scale"):
        srfast.export_onnx(tmp_path / "scorer.onnx", scale=5)
