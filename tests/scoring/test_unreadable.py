"""Files that cannot be read are all named before anything is scored, with the option that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import srfast
from srfast.cli import group
from srfast.errors import InputError
from srfast.scoring import pipeline


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two photographs, an empty file, a text and a PNG header without a body's length."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "z.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / name)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "head.png").write_bytes((folder / "a.png").read_bytes()[:20])
    return folder


def test_all_of_them_are_named_at_once(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline._Local, "outcomes", lambda *_: pytest.fail("something was scored"))
    with pytest.raises(InputError) as error:
        srfast.score(mixed, patch=32, output=tmp_path / "s.parquet", scorer="bicubic")
    text = str(error.value)
    assert text.startswith("3 of 5 files cannot be read: ")
    assert all(str(mixed / name) in text for name in ("empty.png", "text.jpg", "head.png"))
    assert not any(str(mixed / name) in text for name in ("a.png", "z.jpg"))
    assert text.endswith("; `skip_bad` leaves such files out")
    assert not (tmp_path / "s.parquet").exists()


def test_the_command_names_its_option(mixed: Path, tmp_path: Path) -> None:
    from srfast.cli import _as_options

    arguments = ["score", str(mixed), "--patch", "32", "--scorer", "bicubic", "-o", str(tmp_path / "s.parquet")]
    with group.make_context("srfast", arguments) as context, pytest.raises(InputError) as error, _as_options(context):
        group.invoke(context)
    assert "; --skip-bad leaves such files out" in str(error.value)
    assert "\n" not in str(error.value)


def test_more_than_ten_are_counted(mixed: Path, tmp_path: Path) -> None:
    for i in range(20):
        (mixed / f"bad{i:02d}.png").write_bytes(b"")
    with pytest.raises(InputError) as error:
        srfast.score(mixed, patch=32, output=tmp_path / "s.parquet", scorer="bicubic")
    assert str(error.value).startswith("23 of 25 files cannot be read: ")
    assert "; and 13 more; `skip_bad`" in str(error.value)


def test_without_them_it_goes_on(mixed: Path, tmp_path: Path) -> None:
    line = [
        "score",
        str(mixed),
        "--patch",
        "32",
        "--scorer",
        "bicubic",
        "--skip-bad",
        "-o",
        str(tmp_path / "s.parquet"),
    ]
    done = CliRunner().invoke(group, line)
    assert done.exit_code == 0, done.output
    table = srfast.ScoreTable.read(tmp_path / "s.parquet")
    assert sorted(set(table["image"])) == ["a.png", "z.jpg"]
    assert [s["image"] for s in table.meta["skipped"]] == ["empty.png", "head.png", "text.jpg"]
    assert all(s["reason"] for s in table.meta["skipped"])
