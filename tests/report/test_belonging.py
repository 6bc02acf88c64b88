"""A report is of one table and of the core-set that was selected from it; what is missing is said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import srfast
from srfast.cli import main
from srfast.errors import InputError
from srfast.scoring.table import concatenate


def test_a_core_set_of_other_scores_is_refused_by_the_setting(photo_folder: Path, tmp_path: Path) -> None:
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    other = srfast.score(photo_folder, patch=48, scorer="bicubic", boundary="replicate")
    with pytest.raises(InputError, match="core-set: boundary differs: the score table has 'symmetric'"):
        srfast.write_report(table, srfast.select(other), tmp_path / "r.html")
    with pytest.raises(InputError, match="core-set: expected a core-set, got a score table"):
        srfast.write_report(table, table, tmp_path / "r.html")  # type: ignore[arg-type]
    assert not (tmp_path / "r.html").exists()


def test_missing_pictures_are_said(photo_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    photo_folder.rename(tmp_path / "moved")
    with caplog.at_level(logging.WARNING, "srfast"):
        srfast.write_report(table, None, tmp_path / "r.html")
        assert "pictures cannot be shown: the image is no longer there; `root` names the folder" in caplog.text
        caplog.clear()
        srfast.write_report(table, None, tmp_path / "r.html", root=tmp_path / "moved")
        assert caplog.text == ""


def test_missing_shards_are_named(photo_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    shards = [srfast.score(photo_folder, patch=48, scorer="bicubic", shard=(i, 3)) for i in range(3)]
    with caplog.at_level(logging.WARNING, "srfast"):
        concatenate(shards)
        assert caplog.text == ""
        with pytest.raises(InputError, match=r"scores: 1 of 3 shards is missing \(1/3\); give all of them"):
            concatenate([shards[0], shards[2]])
        two = concatenate([shards[0], shards[2]], allow_missing_shards=True)
        assert "1 of 3 shards is missing (1/3); their images are left out" in caplog.text
        assert two.meta["missing_shards"] == [[1, 3]]
        whole = concatenate([two, shards[1]])
        assert whole.meta.get("missing_shards") is None
        assert whole.table == concatenate(shards).table
        with pytest.raises(InputError, match=r"2 of 3 shards are missing \(0/3, 2/3\)"):
            srfast.select(shards[1])
        kept = srfast.select(shards[1], allow_missing_shards=True)
        assert kept.meta["missing_shards"] == [[0, 3], [2, 3]]
        assert srfast.stats(kept)["patches"] == len(kept)
        finer = srfast.score(photo_folder, patch=48, scorer="bicubic", shard=(1, 6))
        with pytest.raises(InputError, match=r"1 of 6 shards is missing \(4/6\)"):
            srfast.stats([shards[0], finer, shards[2]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["score", "photos", "-o", "s.csv"],
            "s.csv: a score table is a parquet file; expected a name ending in .parquet",
        ),
        (["scor", "photos"], "No such command 'scor'; did you mean score?"),
        (["zzz"], "No such command 'zzz'; expected one of prune, score"),
    ],
)
def test_one_line_says_what_is_meant(
    words: list[str],
    message: str,
    photo_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photo_folder.parent)
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
