"""The functions that do what commands do, and the types of their arguments."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from pathlib import Path

import numpy as np
import pytest

import srfast
from srfast.coreset.settings import METHODS, Method, Selection, SelectOptions
from srfast.errors import InputError
from srfast.scoring.settings import ScoreOptions, ScoreSettings


def test_prune_writes_what_the_steps_write(photo_folder: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    done = srfast.prune(
        photo_folder, tmp_path / "out", patch=48, keep=0.4, drop_hardest=0.1, scored=lambda s: seen.append(s.patches)
    )
    table = srfast.score(photo_folder, patch=48)
    coreset = srfast.select(table, keep=0.4, drop_hardest=0.1)
    assert srfast.ScoreTable.read(done.folder / "scores.parquet").table.equals(table.table)
    assert srfast.CoreSet.read(done.folder / "coreset.parquet").table.equals(coreset.table)
    assert done.report.read_text().startswith("<!doctype html>")
    assert seen == [len(table)]
    assert len(done.coreset) == len(coreset)


def test_prune_names_what_it_does_not_know(photo_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"drop_hard: no such argument; did you mean drop_hardest\?"):
        srfast.prune(photo_folder, tmp_path / "out", drop_hard=0.1)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="keep: expected a fraction"):
        srfast.prune(photo_folder, tmp_path / "out", keep=50)
    assert not (tmp_path / "out").exists()


def test_train_is_the_command(photo_folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    result = srfast.train(
        "fsrcnn", photo_folder, tmp_path / "run", steps=2, batch=2, lr_patch=12, threads=1, say=lines.append,
        eval_data=photo_folder,
    )  # fmt: skip
    assert result.step == 2
    assert result.psnr is not None
    assert result.weights.is_file()
    assert lines == []
    with pytest.raises(InputError, match="steps: expected either steps or epochs"):
        srfast.train("fsrcnn", photo_folder, tmp_path / "b")
    with pytest.raises(InputError, match=r"momentun: no such argument; did you mean momentum\?"):
        srfast.train("fsrcnn", photo_folder, tmp_path / "b", steps=1, momentun=0.9)  # type: ignore[call-arg]


def test_option_types_are_the_settings() -> None:
    assert list(typing.get_type_hints(SelectOptions)) == [f.name for f in dataclasses.fields(Selection)]
    assert list(ScoreOptions.__annotations__) == [f.name for f in dataclasses.fields(ScoreSettings)]
    parameters = inspect.signature(srfast.select).parameters
    assert [n for n in parameters if n not in ("scores", "root", "engine")] == [
        f.name for f in dataclasses.fields(Selection)
    ]
    assert typing.get_args(Method) == tuple(METHODS)


def test_evaluation_and_pairs_print_themselves(photo_folder: Path) -> None:
    result = srfast.evaluate("bicubic", photo_folder, 2)
    assert repr(result).count("\n") == 0
    assert f"{result.psnr:.2f} dB" in repr(result)
    text = str(result)
    assert text.count("\n") == len(result.images) + 1
    pairs = srfast.CorePatches(srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic")), 2)
    assert repr(pairs) == f"CorePatches({len(pairs)} pairs of 24 x 24 and 48 x 48, x2, {photo_folder})"
    assert isinstance(pairs[0][0], np.ndarray) or pairs[0][0].ndim == 3
