"""Two selections, or two scorers of one table, on one page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srfast.cli import main
from srfast.coreset.selection import select
from srfast.errors import InputError
from srfast.report.comparison_page import comparison
from srfast.scoring.table import ScoreTable


def test_what_only_one_selection_keeps(painted: ScoreTable, visit: Callable[..., Any], tmp_path: Path) -> None:
    cores = {"hard": select(painted, keep=0.3), "easy": select(painted, keep=0.4, method="sobel", order="asc")}
    for name, core in cores.items():
        core.write(tmp_path / f"{name}.parquet")
    with pytest.raises(SystemExit) as stop:
        main(["report", *(str(tmp_path / f"{name}.parquet") for name in cores), "-o", str(tmp_path / "c.html")])
    assert stop.value.code == 0
    a, b = ({(r["image"], r["x"], r["y"]) for r in core.table.to_pylist()} for core in cores.values())
    page = visit(tmp_path / "c.html")
    parts = {"only-a": ("Only hard", a - b), "only-b": ("Only easy", b - a), "both": ("Both", a & b)}
    for id, (title, expected) in parts.items():
        part = page.locator(f"#{id}")
        assert part.locator("h3").inner_text().startswith(f"{title}: {len(expected)} ")
        names = part.locator(".name").all_inner_texts()
        places = part.locator("figcaption > span:last-child").all_inner_texts()
        shown = {(n, *(int(v.split()[1]) for v in p.split(", "))) for n, p in zip(names, places, strict=True)}
        assert shown <= expected
        assert len(shown) == min(32, len(expected))
    assert f"{len(a & b) / len(a | b):.3f}" in page.locator(".facts").inner_text()


def test_two_scorers_and_strangers(painted: ScoreTable) -> None:
    other = painted.table.set_column(4, painted.table.schema.field("loss"), painted.table["sobel"])
    scored = ScoreTable(other, {**painted.meta, "scorer": {"name": "other", "sha256": "0"}})
    content = comparison(painted, scored, ["a", "b"])
    assert [fact.value for fact in content.facts[:2]] == ["50", "50"]
    assert set(content.shots[0].values) == {"a", "b"}
    with pytest.raises(InputError, match="two core-sets or two score tables, got one of each"):
        comparison(painted, select(painted), ["a", "b"])
    with pytest.raises(InputError, match="expected the 100 patches of a, got other patches"):
        comparison(painted, ScoreTable(painted.table.slice(0, 50), painted.meta), ["a", "b"])
    with pytest.raises(InputError, match="scale differs"):
        comparison(painted, ScoreTable(painted.table, {**painted.meta, "scale": 3}), ["a", "b"])


def test_a_file_that_cannot_be_read_is_not_taken_for_another_kind(
    make_table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk while the two are told apart led to the page of two shards, with exit code 0."""
    from srfast.cli.report import _two_of_one
    from srfast.data import parquet

    table = make_table([3.0, 2.0, 1.0])
    paths = tuple(tmp_path / f"{name}.parquet" for name in "ab")
    for path, keep in zip(paths, (0.4, 0.7), strict=True):
        select(table, keep=keep).write(path)
    assert _two_of_one(paths)

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(parquet.pq, "ParquetFile", fails)
    with pytest.raises(InputError, match=r"a\.parquet: not a readable parquet file"):
        _two_of_one(paths)
