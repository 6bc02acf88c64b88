"""docs/results/: one page a study, from its committed results. ``python -m experiments.study_page`` writes them.

A page begins with what the study found, in one sentence, then says what was trained, and shows the tables. What the
pages say is in results_pages.toml; its effects and intervals are held to the results by tests/study/test_committed.py.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

PLACE = "docs/results"
_FILE = importlib.import_module("tomllib").loads(  # Python 3.11 and later
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)
_HEAD = """# Results of the studies

This page is for readers who want to check a figure. It lists every committed study with its finding; each page has the
claims, the intervals and the means behind it. [Will selecting patches help me?](../will-it-help.md) says what follows
from them, and [How the studies were made](../how-studies-were-made.md) how they were trained and judged.

| study | finding |
| --- | --- |
"""


def pages() -> dict[str, str]:
    """Name of the file -> its text, with lines ``<!-- table: NAME -->`` where tables belong; and the index."""
    texts = {f"{name}.md": _page(**page) for name, page in _FILE["pages"].items()}
    rows = (f"| [{p['title']}]({name}.md) | {p['finding']} |\n" for name, p in _FILE["pages"].items())
    more = "| [Patches for a target](target.md) | A quarter chosen for the sky gains 1.5 dB on it. |\n"
    more += "| [How well defects are recognised](defects.md) | AUC of every column, and what the limits leave out. |\n"
    more += "| [Selections compared](selections-compared.md) | What each method keeps, and what it costs. |\n"
    more += "| [How alike the scores rank](agreement.md) | Patch and dense mode, backends and precisions. |\n"
    return {"index.md": _HEAD + "".join(rows) + more, **texts}


def _page(title: str, finding: str, pool: str, training: str, studies: list[str], tables: list[list[str]],
          notes: tuple[str, ...] = (), figures: tuple[Any, ...] = ()) -> str:  # fmt: skip
    place = Path(__file__).resolve().parents[1] / "studies"
    gone = "" if all((place / f"{s}.toml").exists() for s in studies) else " of commit cca4132"
    files = ", ".join(f"`studies/{s}.toml`" for s in studies) + gone
    about = f"* **Pool:** {pool}.\n* **Training:** {training}.\n* **Study:** {files}; results in `studies/results/`."
    parts = [f"# {title}", finding, about]
    parts += [f"{words.format(**_FILE['words'])}\n\n<!-- table: {name} -->\n" for words, name in tables]
    parts += [f"![{words}](../study/{name})" for words, name in figures]
    if notes:
        parts += ["## Notes", "\n".join(f"* {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"
