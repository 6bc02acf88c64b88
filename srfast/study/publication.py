"""The publication of a study: tables, figures and sentences, made from its results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from srfast.data.atomic import atomic_path
from srfast.data.files import output_folder
from srfast.errors import InputError, RunError
from srfast.study.results import RESULTS, Results

COMMITTED = "results"
"""Folder beside the studies with the published results of those that were run."""


def results_folder(study: str | Path, out: str | Path | None = None) -> Path | None:
    """The folder of a study's results: that of a run, or the published results beside the study, in results/STUDY or
    results/STUDY/POOL.

    Raises:
        InputError: there are published results of several pools.
    """
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
    """The tables and sentences as Markdown. With a folder, all files are written into it: tables/*.md, .csv, .tex and
    figures/.

    Args:
        results: The results.
        folder: Folder for the files; None writes none.
        show: Function that is called with the page before the files are written.

    Raises:
        InputError: no cell is finished, or tables/ or figures/ hold files that srfast did not write.
        RunError: scipy or matplotlib is missing.
    """
    try:
        from srfast.study.answer import answer, same_updates, saturation
        from srfast.study.tables import tables
    except ImportError as error:
        raise RunError(
            f"the tables of a study need {error.name}, which is not installed: pip install 'srfast[study]'"
        ) from None
    found = tables(results)
    if not found:
        raise InputError("tables: expected the results of at least one finished cell, got none")
    sentences = [s for s in (answer(results), same_updates(results), *saturation(results), *_unnamed(results)) if s]
    page = "\n".join(
        [f"# {results.meta['study']['title']}\n", *(f"{s}\n" for s in sentences), *(t.markdown() for t in found)]
    )
    show(page)
    if folder is not None:
        from srfast.study.figures import draw

        files = {"study.md": page}
        for table in found:
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


def _unnamed(results: Results) -> list[str]:
    """What the study's file does not tell of the run."""
    found = []
    gone, others = (results.meta.get(name, 0) for name in ("withdrawn_claims", "other_cells"))
    if gone and not results.meta["study"].get("claims"):
        claims = "1 claim was" if gone == 1 else f"{gone} claims were"
        found.append(f"{claims} named, and taken out of the study's file after trainings of both sides.")
    if others:
        cells = "1 finished training" if others == 1 else f"{others} finished trainings"
        found.append(f"The folder holds {cells} that the study's file does not name any more; no table counts them.")
    return found
