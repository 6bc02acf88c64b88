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
from srfast.study.tables import tables

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

        files = {"study.md": page}
        for table in all_tables:
            files |= {
                f"{table.name}.md": table.markdown(),
                f"{table.name}.csv": table.csv(),
                f"{table.name}.tex": table.latex(),
            }
        with output_folder(folder / "tables", "tables of a study") as place:
            for name, text in files.items():
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
    if not some:
        return None
    dataset, model = main_dataset(some), some[0].key.model
    some = [g for g in some if g.key.model == model and g.key.scorer == some[0].key.scorer]
    full = _everything(some)
    if full is None:
        return None
    parts = [
        (g, c)
        for g in some
        if g.network == full.network
        and g.key.updates < full.key.updates
        and (c := _compare(g, full, dataset)) is not None
        and not _beaten(g, some, dataset)
    ]
    if not parts:
        return None
    good = [(g, c) for g, c in parts if c.effect.mean >= -tolerated]
    if good:
        group, comparison = min(
            good, key=lambda p: (p[0].key.updates, p[0].key.keep * p[0].key.pool, -p[1].effect.mean)
        )
        return _sentence(group, full, comparison, dataset)
    group, comparison = max(parts, key=lambda p: p[1].effect.mean)
    return f"No cheaper training loses less than {tolerated:g} dB. " + _sentence(group, full, comparison, dataset)


def _everything(some: Sequence[Group]) -> Group | None:
    """All patches of all images, at the largest number of updates."""
    return max((g for g in some if g.is_full and g.key.pool == 1), key=lambda g: g.key.updates, default=None)


def _beaten(g: Group, some: Sequence[Group], dataset: str) -> bool:
    """Whether this selection is not shown to be better than a random subset, which needs no scores."""
    if g.is_random or g.is_full:
        return False
    size = (g.kept, g.key.updates, g.setting)
    rivals = [c for c in some if c.is_random and (c.kept, c.key.updates, c.setting) == size]
    return any((c := _compare(g, r, dataset)) is not None and not c.verdict.startswith("better") for r in rivals)


def _compare(g: Group, full: Group, dataset: str) -> Comparison | None:
    a, b = paired(g, full, dataset)
    return compare(a, b) if len(a) else None


def _sentence(g: Group, full: Group, comparison: Comparison, dataset: str) -> str:
    images = f"{100 * g.key.pool:g} % of your images"
    how = "drawn at random" if g.is_random else f"chosen by {g.key.arm}"
    patches = f"{g.kept} of {'your' if g.key.pool == 1 else 'their'} patches, {how}"
    what = images if g.key.keep == 1 and not g.of_loss else patches if g.key.pool == 1 else f"{images} and {patches}"
    e, bounds = comparison.effect, _bounds(comparison)
    seeds = f"{comparison.seeds} seed{'s' if comparison.seeds > 1 else ''}"
    return (
        f"With {what}, you {'lose' if e.mean < 0 else 'gain'} {abs(e.mean):.3f} dB{bounds} on {dataset} and save "
        f"{100 * (1 - g.key.updates / full.key.updates):.0f} % of the updates ({g.key.model}, {seeds}; against all "
        f"patches and {full.key.updates} updates: {comparison.verdict})."
    )


def _bounds(c: Comparison) -> str:
    return "" if math.isnan(c.effect.low) else f" [{c.effect.low:+.3f}, {c.effect.high:+.3f}]"


def saturation(results: Results) -> Sequence[str]:
    """The cost of fewer images at the same, full number of updates, in one sentence each."""
    some = groups(results)
    if not some:
        return []
    dataset = main_dataset(some)
    whole = _everything(some)
    if whole is None:
        return []
    sentences = []
    for g in some:
        if not g.is_full or g.key.pool == 1 or g.key.updates != whole.key.updates or g.network != whole.network:
            continue
        c = _compare(g, whole, dataset)
        if c is not None:
            sentences.append(
                f"With {100 * g.key.pool:g} % of the images and all {whole.key.updates} updates: "
                f"{c.effect.mean:+.3f} dB{_bounds(c)} on {dataset}, {c.verdict}."
            )
    return sentences


def same_updates(results: Results) -> str | None:
    """Every selection against all patches at all updates, trained by the same recipe: which are better, worse or as
    good; None without selections."""
    some = groups(results)
    if not some:
        return None
    dataset = main_dataset(some)
    full = _everything([g for g in some if g.key.scorer == some[0].key.scorer])
    if full is None:
        return None
    shared = full.key._replace(arm="", keep=0, scorer="")
    some = [g for g in some if g.key._replace(arm="", keep=0, scorer="") == shared]
    controls = {g.network: g for g in reversed(some) if g.is_full}
    by_verdict: dict[str, list[str]] = {}
    for g in some:
        if g.is_full or g.network not in controls:
            continue
        c = _compare(g, controls[g.network], dataset)
        if c is not None and c.seeds > 1:
            name = f"{g.key.arm} {g.kept}" + (f" ({g.key.scorer})" if g.key.scorer != "srcnn" else "")
            by_verdict.setdefault(c.verdict, []).append(f"{name} {c.effect.mean:+.3f} dB{_bounds(c)}")
    if not by_verdict:
        return None
    parts = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in sorted(by_verdict.items()))
    return f"At all {full.key.updates} updates, against all patches ({full.key.model}, {dataset}), {parts}."
