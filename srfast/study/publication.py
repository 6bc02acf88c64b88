"""The publication of a study: tables, figures and sentences, made from its results alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from srfast.data.atomic import atomic_path
from srfast.data.files import output_folder
from srfast.errors import InputError
from srfast.evaluation.inference import Comparison, compare
from srfast.study.groups import Group, groups, main_dataset, paired
from srfast.study.results import RESULTS, Results
from srfast.study.tables import Table, tables

COMMITTED = "results"
"""Folder beside the studies with the published results of those that were run."""


def results_folder(study: str | Path, out: str | Path | None = None) -> Path | None:
    """The folder of a study's results: that of a run, or the published results beside the study, in results/STUDY or
    results/STUDY/POOL. Raises InputError if there are published results of several pools."""
    study = Path(study)
    if out is not None:
        return Path(out) if (Path(out) / RESULTS).exists() else None
    folder = study if study.is_dir() else study.parent / COMMITTED / study.stem
    pools = [folder] if (folder / RESULTS).exists() else sorted(p.parent for p in folder.glob(f"*/{RESULTS}"))
    if len(pools) > 1:
        raise InputError(
            f"study: expected the results of one pool, got {folder} with {', '.join(p.name for p in pools)}"
        )
    return pools[0] if pools else None


def publish(results: Results, folder: Path | None, show: Callable[[str], None] = lambda page: None) -> str:
    """The tables and sentences as Markdown, for which ``show`` is called. With a folder, all files are then written
    into it: tables/*.md, .csv, .tex and figures/. Raises InputError if no cell is finished, or tables/ or figures/ hold
    files that srfast did not write, and RunError if matplotlib is missing."""
    all_tables = tables(results)
    if not all_tables:
        raise InputError("tables: expected the results of at least one finished cell, got none")
    remarks = results.meta.get("remarks", [])
    sentences = [s for s in (answer(results), same_updates(results), *saturation(results), *remarks) if s]
    page = "\n".join(
        [f"# {results.meta['study']['title']}\n", *(f"{s}\n" for s in sentences), *(t.markdown() for t in all_tables)]
    )
    show(page)
    if folder is not None:
        from srfast.study.figures import draw

        forms = {"md": Table.markdown, "csv": Table.csv, "tex": Table.latex}
        files = {f"{table.name}.{suffix}": of(table) for table in all_tables for suffix, of in forms.items()}
        with output_folder(folder / "tables", "tables of a study") as place:
            for name, text in {"study.md": page, **files}.items():
                with atomic_path(place / name) as temporary:
                    temporary.write_text(text, encoding="utf-8")
        with output_folder(folder / "figures", "figures of a study") as place:
            draw(results, place)
    return page


TOLERATED = 0.05
"""dB that may be lost in exchange for fewer updates."""


def answer(results: Results, tolerated: float = TOLERATED) -> str | None:
    """The cheapest training that loses no more than ``tolerated`` dB against all data and updates, in one sentence.

    It is None if the results hold nothing cheaper beside everything. A selection counts only if it is shown to be
    better than a random one of the same size and updates.
    """
    some = groups(results)
    dataset, first = main_dataset(some), some[0].key
    some = [g for g in some if (g.key.model, g.key.scorer) == (first.model, first.scorer)]
    full = _everything(some)
    parts = [
        (g, c)
        for g in some
        if full and g.network == full.network and g.key.updates < full.key.updates
        and (c := _compare(g, full, dataset)) and not _beaten(g, some, dataset)
    ]  # fmt: skip
    if full is None or not parts:
        return None
    good = [(g, c) for g, c in parts if c.effect.mean >= -tolerated]
    if good:
        group, c = min(good, key=lambda p: (p[0].key.updates, p[0].key.keep * p[0].key.pool, -p[1].effect.mean))
        return _sentence(group, full, c, dataset)
    group, c = max(parts, key=lambda p: p[1].effect.mean)
    return f"No cheaper training loses less than {tolerated:g} dB. " + _sentence(group, full, c, dataset)


def _everything(some: Sequence[Group]) -> Group | None:
    """All patches of all images, at the largest number of updates."""
    return max((g for g in some if g.is_full and g.key.pool == 1), key=lambda g: g.key.updates, default=None)


def _beaten(g: Group, some: Sequence[Group], dataset: str) -> bool:
    """Whether this selection is not shown to be better than a random subset, which needs no scores."""
    size = (g.kept, g.key.updates, g.setting)
    rivals = [c for c in some if c.is_random and (c.kept, c.key.updates, c.setting) == size]
    return not (g.is_random or g.is_full) and any(
        (c := _compare(g, r, dataset)) and not c.verdict.startswith("better") for r in rivals
    )


def _compare(g: Group, full: Group, dataset: str) -> Comparison | None:
    a, b = paired(g, full, dataset)
    return compare(a, b) if len(a) else None


def _sentence(g: Group, full: Group, c: Comparison, dataset: str) -> str:
    images = f"{100 * g.key.pool:g} % of your images"
    how = "drawn at random" if g.is_random else f"chosen by {g.key.arm}"
    patches = f"{g.kept} of {'your' if g.key.pool == 1 else 'their'} patches, {how}"
    what = images if g.key.keep == 1 and not g.of_loss else patches if g.key.pool == 1 else f"{images} and {patches}"
    return (
        f"With {what}, you {'lose' if c.effect.mean < 0 else 'gain'} {abs(c.effect.mean):.3f} dB{_bounds(c)} on "
        f"{dataset} and save {100 * (1 - g.key.updates / full.key.updates):.0f} % of the updates ({g.key.model}, "
        f"{c.seeds} seed{'s' if c.seeds > 1 else ''}; against all patches and {full.key.updates} updates: {c.verdict})."
    )


def _bounds(c: Comparison) -> str:
    return "" if math.isnan(c.effect.low) else f" [{c.effect.low:+.3f}, {c.effect.high:+.3f}]"


def saturation(results: Results) -> Sequence[str]:
    """The cost of fewer images at the same, full number of updates, in one sentence each."""
    some = groups(results)
    dataset, whole = main_dataset(some), _everything(some)
    return [
        f"With {100 * g.key.pool:g} % of the images and all {whole.key.updates} updates: {c.effect.mean:+.3f} "
        f"dB{_bounds(c)} on {dataset}, {c.verdict}."
        for g in some
        if whole and g.is_full and g.key.pool < 1 and (g.key.updates, g.network) == (whole.key.updates, whole.network)
        and (c := _compare(g, whole, dataset))
    ]  # fmt: skip


def same_updates(results: Results) -> str | None:
    """Every selection against all patches at all updates, trained by the same recipe: which are better, worse or as
    good; None without selections."""
    some = groups(results)
    dataset = main_dataset(some)
    full = _everything([g for g in some if g.key.scorer == some[0].key.scorer])
    if full is None:
        return None
    shared = full.key._replace(arm="", keep=0, scorer="")
    some = [g for g in some if g.key._replace(arm="", keep=0, scorer="") == shared]
    controls = {g.network: g for g in reversed(some) if g.is_full}
    by_verdict: dict[str, list[str]] = {}
    for g in some:
        c = None if g.is_full or g.network not in controls else _compare(g, controls[g.network], dataset)
        if c and c.seeds > 1:
            name = f"{g.key.arm} {g.kept}" + (f" ({g.key.scorer})" if g.key.scorer != "srcnn" else "")
            by_verdict.setdefault(c.verdict, []).append(f"{name} {c.effect.mean:+.3f} dB{_bounds(c)}")
    parts = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in sorted(by_verdict.items()))
    about = f"{full.key.model}, {dataset}"
    return f"At all {full.key.updates} updates, against all patches ({about}), {parts}." if parts else None
