"""The figures of docs/study/, from committed results: ``python -m experiments.study_page`` draws them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments import decision_rows, named_rows
from experiments.study_rows import ROOT, mean_difference, place, results_in
from srfast.evaluation.inference import judge
from srfast.study import figures

PLACE = ROOT / "docs" / "study"
FIGURES = {
    "table1-bsds": ("figure2-losses", "figure3-keep", "figure4-window", "updates", "hours"),
    "needed-bsds": ("keep-same-updates", "strata"),
    "how-much": ("pool",),
}
"""Those that a study draws of itself."""
Side = tuple[np.ndarray, str]
"""Differences [seeds, images] and their colour."""


def draw() -> None:
    """Writes every figure."""
    with TemporaryDirectory() as folder:
        for study, names in FIGURES.items():
            figures.draw(results_in(place(study)), Path(folder))
            for name in names:
                shutil.copyfile(Path(folder, f"{name}.svg"), PLACE / f"{name}.svg")
    draw_sizes()
    draw_decision()


def draw_sizes() -> None:
    """What a selection of the large pool wins over all of its patches."""
    _differences(
        "sizes",
        [
            (words, [(mean_difference("sizes", f"{arm} 1951", "full 100 1951"), _color("hardest" in words))])
            for words, arm in named_rows.SIZES
            if arm != "full 100"
        ],
        "PSNR on BSD100 less that of all patches at full size (dB)",
    )


def draw_decision() -> None:
    """What the rule of ``prune`` wins in each pool over all patches and over the better of two fixed settings."""
    sides = ((decision_rows.ALL, _color(True)), (decision_rows.better, _color(False)))
    _differences(
        "decision",
        [
            (words, [(mean_difference(f"decision/{pool}", decision_rows.RULE, side), color) for side, color in sides])
            for pool, words in decision_rows.POOLS
        ],
        "PSNR on BSD100 of what prune keeps, less that of another choice (dB)",
        ("all patches", "the better of two fixed settings"),
    )


def _color(first: bool) -> str:
    return "C0" if first else "0.45"


def _differences(name: str, rows: Sequence[tuple[str, list[Side]]], head: str, legend: Sequence[str] = ()) -> None:
    """Draws PLACE/NAME.svg: a dot for each training, and the mean of each row's sides with its 95 % interval."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({**figures.STYLE, "figure.figsize": (7.2, 3.6)}):
        figure, ax = plt.subplots()
        for y, (_, sides) in enumerate(rows):
            for at, (values, color) in enumerate(sides):
                height = y + 0.3 * (at - (len(sides) - 1) / 2)
                ax.plot(values.mean(1), [height] * len(values), "o", ms=3, alpha=0.5, color=color)
                e = judge(values).effect
                wide = [[e.mean - e.low], [e.high - e.mean]]
                ax.errorbar(e.mean, height, xerr=wide, fmt="D", ms=4, capsize=2, color=color)
        ax.set_yticks(range(len(rows)), [words.replace("`", "") for words, _ in rows])
        ax.invert_yaxis()
        ax.axvline(0, color="black", lw=0.8)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(head)
        for at, words in enumerate(legend):
            ax.plot([], [], "D", ms=4, color=_color(at == 0), label=f"against {words}")
        if legend:
            figure.legend(loc="outside upper center", ncols=len(legend))
        figure.savefig(PLACE / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
