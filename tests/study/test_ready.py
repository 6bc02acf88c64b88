"""The ready-made studies that come with the package, and a study as a practitioner runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import srfast
from srfast.cli import main
from srfast.errors import InputError
from srfast.study.file import find_study, read_study, ready_made

STUDIES = Path(__file__).resolve().parents[2] / "studies"
TWO = """
[[arm]]
name = "full"
keep = 1.0
[[arm]]
name = "random"
method = "random"
keep = 0.5
"""


def test_every_study_comes_with_the_package() -> None:
    files = {p.name: p.read_text() for p in STUDIES.glob("*.toml")}
    assert {name: p.read_text() for name, p in ready_made().items()} == files
    for path in ready_made().values():
        assert read_study(path, images=[STUDIES]).train == (str(STUDIES),)


def test_a_file_of_the_users_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_study("how-much.toml") == ready_made()["how-much.toml"]
    Path("how-much.toml").write_text("title = 1")
    assert find_study("how-much.toml") == Path("how-much.toml")
    for name in ("how-mach.toml", "how-much", "nowhere/how-much.toml"):
        with pytest.raises(InputError, match=rf"study: expected .*how-much\.toml, .* got '{name}'"):
            find_study(name)


def test_a_ready_made_study_asks_for_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^images: how-much\.toml is a ready-made study and needs your images"):
        srfast.run_study("how-much.toml", "out")
    with pytest.raises(InputError, match="no such file or folder"):
        srfast.run_study("how-much.toml", "out", images=["nowhere"])
    assert list(tmp_path.iterdir()) == []


def test_images_alone_run_a_study_to_its_tables(
    write_study: Callable[..., Path],
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    study = write_study(updates=4, arms=TWO)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("srfast.study.file.ready_made", lambda: {"tiny.toml": study})

    def run(*more: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["study", "tiny.toml", "--images", str(photo_folder), "--jobs", "1", *more])
        assert stop.value.code == 0
        return capfd.readouterr()

    out, err = run("--only", "full")
    assert out == "", "a part of a study has no answer"
    assert "A study of seconds -> tiny\n[1/1] fsrcnn-full-k100-u4-s0 done" in err
    out, err = run()
    assert "[2/2] fsrcnn-random-k50-u2-s0 done" in err
    assert out.startswith("# A study of seconds\n")
    assert "Table 1: selections on holdout" in out
    assert (tmp_path / "work" / "tiny" / "results.parquet").exists()
