"""The recipe "train for my images" of docs/recipes.md, with fewer crops and updates than it takes there."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import srfast
from srfast.cli import main
from srfast.coreset import influence

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def stripes(period: float, across: bool) -> Image.Image:
    """Fine lines of one direction, 160 x 112 pixels."""
    y, x = np.mgrid[:112, :160]
    plane = 128 + 90 * np.sign(np.sin(2 * np.pi * (x if across else y) / period))
    return Image.fromarray(np.repeat(plane[..., None], 3, 2).astype(np.uint8))


def test_train_for_my_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Train for my images")[1].split("\n## ")[0]
    lines = section.split("```sh\n")[1].split("```")[0].replace("--steps 2000", "--steps 2").splitlines()
    assert [line.split()[1] for line in lines] == ["score", "influence", "select", "train", "eval"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "mine").mkdir()
    for i, period in enumerate((5.3, 6.1, 7.4)):
        stripes(period, True).save(tmp_path / "photos" / f"across{i}.png")
        stripes(period, False).save(tmp_path / "photos" / f"down{i}.png")
    stripes(6.7, True).save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(influence, "PROBES", 60)
    for line in lines:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line)[1:])
        assert not ended.value.code, line
    assert "are predicted to lower the loss on the target -> for-mine.parquet" in capsys.readouterr().out
    kept = srfast.ScoreTable.read("quarter.parquet")
    assert all(name.startswith("across") for name in kept["image"]), "lines of the target's direction"
    assert Path("run-mine", "model.safetensors").is_file()
    with pytest.raises(SystemExit) as ended:
        main(["report", "for-mine.parquet", "-o", "report.html"])
    assert not ended.value.code
    assert '"influence":{"label":"Influence"' in Path("report.html").read_text(encoding="utf-8"), "as any other column"
