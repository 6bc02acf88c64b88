"""``study``: results that two processes of one study gather."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import srfast
from srfast.study.description import read_study
from srfast.study.folder import gather
from srfast.study.results import Results


def test_gathered_beside_another_process(
    write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell finishes, and its process gathers, after this one has collected and before it writes."""
    study, out, place = write_study(updates=4), tmp_path / "out", tmp_path / "place"
    whole = srfast.run_study(study, out).table
    (name,) = [p.name for p in (out / "cells").iterdir() if "k50-u4" in p.name]
    shutil.move(out / "cells" / name, place)
    write = Results.write

    def beside(self: Results, folder: Path) -> None:
        if place.exists():
            shutil.move(place, out / "cells" / name)
            gather(read_study(study), out)
        write(self, folder)

    monkeypatch.setattr(Results, "write", beside)
    assert gather(read_study(study), out).table.equals(whole)
    assert Results.read(out).table.equals(whole)
