"""A run that was interrupted or finished is continued, to the same bytes."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable

Weights = Callable[[int], Path]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_resume_after_an_interrupt_gives_the_same_bytes(n, photo_folder, tmp_path, interrupted):
    options = {"patch": 48, "stride": 24, "scorer": "bicubic"}
    undisturbed, resumed = tmp_path / "u.parquet", tmp_path / "r.parquet"
    srfast.score(photo_folder, output=undisturbed, **options)
    interrupted(srfast.score, photo_folder, output=resumed, after=n, **options)
    assert not resumed.exists()
    scored: list[int] = []
    srfast.score(photo_folder, output=resumed, resume=True, progress=lambda d, *_: scored.append(d), **options)
    assert scored[0] == n, "what was finished is scored again"
    assert resumed.read_bytes() == undisturbed.read_bytes()
    assert not (tmp_path / "r.parquet.parts").exists()


def test_changed_new_and_removed_images(photo_folder, tmp_path):
    options = {"patch": 48, "scorer": "bicubic", "output": tmp_path / "s.parquet"}
    srfast.score(photo_folder, **options)
    with Image.open(photo_folder / "sub" / "rocket.png") as image:
        turned = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).convert("L")
    turned.save(photo_folder / "sub" / "rocket.png")
    with Image.open(photo_folder / "chelsea.jpg") as image:
        image.save(photo_folder / "new.png")
    (photo_folder / "astronaut.png").unlink()
    calls: list[tuple[int, int, int]] = []
    resumed = srfast.score(photo_folder, resume=True, progress=lambda *a: calls.append(a), **options)
    assert calls[0][:2] == (2, 4)
    fresh = srfast.score(photo_folder, patch=48, scorer="bicubic")
    assert resumed.table.equals(fresh.table)
    assert resumed.meta == fresh.meta


def test_neither_a_finished_run_nor_a_touched_image_is_scored_again(photo_folder, tmp_path):
    """The contents of a touched image are the same; the table notes its new time."""
    output = tmp_path / "s.parquet"
    options = {"patch": 48, "scorer": "bicubic", "output": output}
    srfast.score(photo_folder, **options)
    before = output.read_bytes()
    calls: list[tuple[int, int, int]] = []
    srfast.score(photo_folder, resume=True, progress=lambda *a: calls.append(a), **options)
    assert output.read_bytes() == before
    os.utime(photo_folder / "astronaut.png", ns=(1, 1))
    table = srfast.score(photo_folder, resume=True, progress=lambda *a: calls.append(a), **options)
    assert calls == [(4, 4, 0)] * 2
    assert table.meta["images"]["astronaut.png"]["mtime_ns"] == 1


def test_skipped_files_are_tried_again(photo_folder, tmp_path):
    options = {"patch": 48, "scorer": "bicubic", "output": tmp_path / "s.parquet", "skip_bad": True}
    shutil.copy(photo_folder / "chelsea.jpg", tmp_path / "whole.jpg")
    (photo_folder / "late.jpg").write_bytes(b"")
    assert srfast.score(photo_folder, **options).meta["skipped"]
    shutil.copy2(tmp_path / "whole.jpg", photo_folder / "late.jpg")
    table = srfast.score(photo_folder, resume=True, **options)
    assert table.meta["skipped"] == []
    assert "late.jpg" in table.column("image")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("scale", {"scale": 4}), ("patch", {"patch": 24, "stride": 48}), ("stride", {"stride": 24}),
        ("mode", {"mode": "dense"}), ("scorer", {"scorer": "weights"}),
        ("shard", {"shard": (0, 2)}), ("blockiness", {"blockiness": True}), ("backend", {"backend": "torch"}),
        ("root", {"images": "sub"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("finished", [True, False])
def test_resuming_with_other_settings_names_the_setting(
    finished, name, options, photo_folder, srcnn_weights, tmp_path, interrupted
):
    base = {"patch": 48, "stride": 48, "scorer": "bicubic", "output": tmp_path / "s.parquet"}
    if finished:
        srfast.score(photo_folder, **base)
    else:
        interrupted(srfast.score, photo_folder, after=2, **base)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")}
    changed = {**base, **options}
    if changed["scorer"] == "weights":
        changed["scorer"] = srcnn_weights(2)
    source = photo_folder / changed.pop("images", "")
    with pytest.raises(InputError, match=rf"{name}[.\w]*: .* was scored with "):
        srfast.score(source, resume=True, **changed)
    assert finished == (not (tmp_path / "s.parquet.parts").exists())
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.parquet")} == before


def test_what_is_no_whole_table_cannot_be_resumed(photo_folder, tmp_path):
    output = tmp_path / "s.parquet"
    table = srfast.score(photo_folder, patch=48, scorer="bicubic", output=output)
    rows = [ScoreTable(t, table.meta) for t in (table.table.slice(3), table.table.sort_by("loss"))]
    for stored, words in (
        (rows[0], "rows were taken"),
        (rows[1], "rows were taken"),
        (srfast.select(table), "core-set"),
    ):
        output.unlink()
        stored.write(output)
        with pytest.raises(InputError, match=words):
            srfast.score(photo_folder, patch=48, scorer="bicubic", output=output, resume=True)
    with pytest.raises(InputError, match=r"^resume: "):
        srfast.score(photo_folder, resume=True)


def test_an_output_that_is_a_link_and_has_no_suffix(photo_folder, tmp_path, interrupted):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(elsewhere / "table")
    options = {"patch": 48, "scorer": "bicubic", "output": tmp_path / "link"}
    interrupted(srfast.score, photo_folder, after=2, **options)
    (elsewhere / "table.parts" / ".srfast-89abcdef-0123456789abcdef.parquet").write_bytes(b"left by a crash")
    srfast.score(photo_folder, resume=True, **options)
    assert (tmp_path / "link").is_symlink()
    assert [p.name for p in elsewhere.iterdir()] == ["table"]


def test_slow_scorers_lose_seconds_not_hours(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("srfast.scoring.parts.SECONDS", 0.0)
    seen = []

    def progress(done, total, patches):
        seen.append(len(list(tmp_path.glob("s.parquet.parts/part-*"))))

    srfast.score(photo_folder, patch=48, scorer="bicubic", output=tmp_path / "s.parquet", progress=progress)
    assert seen == [0, 1, 2, 3, 4]


def test_a_signal_while_scoring_loses_nothing_finished(photo_folder, tmp_path):
    options = {"patch": 48, "scorer": "bicubic", "output": tmp_path / "s.parquet"}
    calls = []

    def progress(done, total, patches):
        calls.append(done)
        if done == 2 and len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        srfast.score(photo_folder, progress=progress, **options)
    again: list[int] = []
    srfast.score(photo_folder, resume=True, progress=lambda d, *_: again.append(d), **options)
    assert again[0] == 2
