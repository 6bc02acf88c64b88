"""The largest image that is read, and how more is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from srfast.data import limits
from srfast.data.images import read_rgb
from srfast.errors import InputError


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice Pillow's own, which warns from half of it on."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_rgb(tmp_path / "a.png").shape == (40, 40, 3)
    Image.new("RGB", (50, 50)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="too many pixels"):
        read_rgb(tmp_path / "b.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_more_pixels_are_read_where_they_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    monkeypatch.setattr(limits, "PIXELS", 4000)
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.bmp"
    Image.new("RGB", (100, 50)).save(path)
    words = ("score", tmp_path / "photos", "--patch", "48", "--scorer", "bicubic", "-o", tmp_path / "s.parquet")
    code, _, err = run(*words)
    assert code == 2
    assert "too many pixels: expected at most 4,000, got 5000 pixels; allow more by --max-pixels N or SRFAST_MAX" in err
    code, _, err = run(*words, "--max-pixels", "5000")
    assert code == 0
    assert "a.bmp: has 0 million pixels; decoding it takes about 0.0 GB\n" in err
    with pytest.raises(InputError, match="too many pixels"):
        read_rgb(path)
    monkeypatch.setenv(limits.VARIABLE, "x")
    with pytest.raises(InputError, match="SRFAST_MAX_PIXELS: expected a whole number of at least 1, got 'x'"):
        read_rgb(path)
    monkeypatch.setenv(limits.VARIABLE, "4999")
    assert run("eval", "bicubic", "--data", tmp_path / "photos", "--scale", "2")[0] == 2
    assert run("eval", "bicubic", "--data", tmp_path / "photos", "--scale", "2", "--max-pixels=5000")[0] == 0
