"""The ready-made studies that come with the package, and a study as a practitioner runs it."""

from pathlib import Path

import pytest

import srfast
from srfast.errors import InputError
from srfast.study.file import find_study, read_study, ready_made

STUDIES = Path(__file__).resolve().parents[2] / "studies"


def test_every_study_comes_with_the_package():
    files = {p.name: p.read_text() for p in STUDIES.glob("*.toml")}
    assert {name: p.read_text() for name, p in ready_made().items()} == files
    for path in ready_made().values():
        assert read_study(path, images=[STUDIES]).train == (str(STUDIES),)


def test_a_file_of_the_users_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_study("how-much.toml") == ready_made()["how-much.toml"]
    Path("how-much.toml").write_text("title = 1")
    assert find_study("how-much.toml") == Path("how-much.toml")
    for name in ("how-mach.toml", "how-much", "nowhere/how-much.toml"):
        with pytest.raises(InputError, match=rf"study: expected .*how-much\.toml, .* got '{name}'"):
            find_study(name)


def test_a_ready_made_study_asks_for_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^images: how-much\.toml is a ready-made study and needs your images"):
        srfast.run_study("how-much.toml", "out")
    with pytest.raises(InputError, match="no such file or folder"):
        srfast.run_study("how-much.toml", "out", images=["nowhere"])
    assert list(tmp_path.iterdir()) == []


def test_images_alone_run_a_study_to_its_tables(write_study, photo_folder, tmp_path, monkeypatch, run):
    arms = '[[arm]]\nname = "full"\n[[arm]]\nname = "random"\nmethod = "random"\nkeep = 0.5\n'
    study = write_study(updates=4, arms=arms)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("srfast.study.file.ready_made", lambda: {"tiny.toml": study})

    line = ("study", "tiny.toml", "--images", photo_folder, "--jobs", "1")
    code, out, err = run(*line, "--only", "full")
    assert (code, out) == (0, ""), "a part of a study has no answer"
    assert "A study of seconds -> tiny\n[1/1] fsrcnn-full-k100-u4-s0 done" in err
    code, out, err = run(*line)
    assert code == 0
    assert "[2/2] fsrcnn-random-k50-u2-s0 done" in err
    assert out.startswith("# A study of seconds\n")
    assert "Table 1: selections on holdout" in out
    assert (tmp_path / "work" / "tiny" / "results.parquet").exists()
