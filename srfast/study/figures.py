"""The figures of a study, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from srfast.data.atomic import atomic_path
from srfast.evaluation.inference import interval
from srfast.runtime.optional import needing
from srfast.study.groups import Group, groups, main_dataset, training_seconds
from srfast.study.results import Results
from srfast.study.tables import strata_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLE: Any = {
    "figure.figsize": (6.4, 4.0),
    "figure.constrained_layout.use": True,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "srfast",
    "svg.fonttype": "none",
}
_MARKERS = "osD^vP*X<>hp"


def draw(results: Results, folder: Path) -> list[Path]:
    """Writes every figure for which the results have data, as SVG and PNG. Raises RunError if matplotlib is not
    installed."""
    with needing("a figure of a study"):
        import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    some = groups(results)
    if not some:
        return []
    dataset = main_dataset(some)
    first = some[0].key
    some = [g for g in some if (g.key.scale, g.key.scorer) == (first.scale, first.scorer)]
    whole = [g for g in some if g.key.pool == 1]
    recipes = {g.key.model: g.recipe for g in reversed(some)}
    alike = [g for g in some if g.recipe == recipes[g.key.model]]
    quantiles = next((s["loss_quantiles"] for s in results.meta["scoring"] if s.get("loss_quantiles")), None)
    figures: dict[str, Callable[[Axes], bool]] = {
        "figure2-losses": lambda ax: _losses(ax, whole, quantiles),
        "figure3-keep": lambda ax: _keep(ax, whole, dataset, matched=False),
        "figure4-window": lambda ax: _window(ax, [g for g in alike if g.key.pool == 1], dataset),
        "keep-same-updates": lambda ax: _keep(ax, whole, dataset, matched=True),
        "updates": lambda ax: _against(ax, whole, dataset, "updates", lambda g: g.key.updates),
        "hours": lambda ax: _hours(ax, whole, dataset),
        "strata": lambda ax: _strata(ax, results, whole, dataset),
        "pool": lambda ax: _pool(ax, alike, dataset),
    }
    written: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, fill in figures.items():
            figure, ax = plt.subplots()
            if fill(ax):
                for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 150})):
                    with atomic_path(folder / f"{name}{suffix}") as temporary:
                        figure.savefig(temporary, **options)
                    written.append(folder / f"{name}{suffix}")
            plt.close(figure)
    return written


def _lines(some: Sequence[Group], name: Callable[[Group], str]) -> dict[str, list[Group]]:
    """The groups of one line, by its label."""
    lines: dict[str, list[Group]] = {}
    models = {g.key.model for g in some}
    for g in some:
        lines.setdefault(name(g) if len(models) == 1 else f"{g.key.model} {name(g)}", []).append(g)
    return lines


def _plot(
    ax: Axes, number: int, label: str, x: Sequence[float], some: Sequence[Group], dataset: str, color: str | None = None
) -> None:
    """One line with the intervals over seeds."""
    order = np.argsort(x)
    values = [interval(some[i].per_seed(dataset)) for i in order]
    means = np.array([v.mean for v in values])
    half = np.nan_to_num(np.array([v.high - v.mean for v in values]))
    marker = _MARKERS[number % len(_MARKERS)]
    ax.errorbar(np.asarray(x)[order], means, half, label=label, marker=marker, color=color, ms=4, lw=1.2, capsize=2)


def _log_axis(ax: Axes) -> None:
    """Ticks at 1, 2 and 5, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _finish(ax: Axes, xlabel: str, dataset: str) -> bool:
    ax.set_xlabel(xlabel)
    ax.set_ylabel(f"PSNR on {dataset} (dB)")
    handles, labels = ax.get_legend_handles_labels()
    many = len(labels) > 12
    ax.legend(handles, labels, fontsize=6 if many else 7, ncols=1 + many)
    return bool(labels)


def _halves(some: Sequence[Group]) -> list[tuple[Group, float]]:
    """Those that keep half of the patches, and the first rank that each keeps, in percent."""
    half = [g for g in some if g.kept == "50 %" and not set(g.select) - {"order", "drop_hardest"}]
    return [(g, 50.0 if g.select.get("order") == "asc" else 100 * float(g.select.get("drop_hardest", 0))) for g in half]


def _losses(ax: Axes, some: Sequence[Group], quantiles: Any) -> bool:
    """Losses of the pool by rank, and the ranks that the selections keep."""
    if quantiles is None:
        return False
    hardest_first = np.maximum(np.array(quantiles, float)[::-1], 1e-3)
    ax.semilogy(np.linspace(0, 100, len(hardest_first)), hardest_first, color="black", lw=1.4)
    starts: dict[str, float] = {}
    for g, start in _halves(some):
        starts.setdefault(g.key.arm, start)
    for i, (arm, start) in enumerate(starts.items(), 1):
        y = hardest_first.min() * 1.7**i
        ax.plot([start, start + 50], [y, y], lw=5, solid_capstyle="butt", label=f"{arm}, 50 %")
    ax.set_xlabel("patches, the hardest first (%)")
    ax.set_ylabel("loss (mean squared error on Y)")
    ax.legend(fontsize=7)
    return True


def _keep(ax: Axes, some: Sequence[Group], dataset: str, matched: bool) -> bool:
    """PSNR against the fraction kept, at fixed epochs or at the same updates."""
    most = max(g.key.updates for g in some)
    chosen = [
        g for g in some if (g.key.updates == most if matched else g.key.updates == max(1, int(g.key.keep * most + 0.5)))
    ]
    lines = _lines([g for g in chosen if not g.is_full], lambda g: g.key.arm)
    if not any(len({g.key.keep for g in line}) > 1 for line in lines.values()):
        return False
    for i, (label, line) in enumerate(lines.items()):
        line += [f for f in chosen if f.is_full and f.network == line[0].network]
        aside = 0.5 * (i - (len(lines) - 1) / 2)  # %; intervals beside each other, not on each other
        _plot(ax, i, label, [100 * g.key.keep + aside for g in line], line, dataset)
    return _finish(ax, f"kept (%), {'the same updates' if matched else 'fixed epochs: updates shrink'}", dataset)


def _window(ax: Axes, some: Sequence[Group], dataset: str) -> bool:
    """Half of the patches, with more and more of the hardest dropped."""
    starts = {g.key: start for g, start in _halves(some)}
    if len(set(starts.values())) < 2:
        return False
    lines = _lines([g for g in some if g.key in starts], lambda g: f"{g.key.updates} updates")
    for i, (label, line) in enumerate(lines.items()):
        _plot(ax, i, label, [starts[g.key] for g in line], line, dataset)
    for i, g in enumerate(h for h in some if h.is_random and h.kept == "50 %"):
        mean = float(g.per_seed(dataset).mean())
        ax.axhline(mean, ls=":", lw=1, color=f"C{i}", label=f"random half, {g.key.updates} updates")
    return _finish(ax, "first rank kept of the half (% of the patches, the hardest first)", dataset)


def _against(ax: Axes, some: Sequence[Group], dataset: str, xlabel: str, x: Callable[[Group], float]) -> bool:
    """A colour for each arm, a marker for each keep."""
    lines = _lines(some, lambda g: f"{g.key.arm} {g.kept}")
    lines = {
        f"{g.key.model} {g.key.arm}" if g.is_full else label: line for label, line in lines.items() for g in line[:1]
    }
    arms = list(dict.fromkeys((g.key.model, g.key.arm) for g in some))
    keeps = sorted({g.key.keep for g in some}, reverse=True)
    for label, line in lines.items():
        first = line[0].key
        color = f"C{arms.index((first.model, first.arm))}"
        _plot(ax, keeps.index(first.keep), label, [x(g) for g in line], line, dataset, color)
    _log_axis(ax)
    return _finish(ax, xlabel, dataset)


def _hours(ax: Axes, some: Sequence[Group], dataset: str) -> bool:
    """Hours, or minutes if nothing takes an hour."""
    training = training_seconds(some)
    seconds = {g.key: training[g.key] + float(g.scoring_seconds.mean()) for g in some}
    unit, size = ("hours", 3600) if max(seconds.values()) >= 3600 else ("minutes", 60)
    return _against(ax, some, dataset, f"{unit} of training and scoring", lambda g: seconds[g.key] / size)


def _strata(ax: Axes, results: Results, some: Sequence[Group], dataset: str) -> bool:
    """The difference from all patches by the same recipe at the same, largest number of updates, on each stratum."""
    values = strata_of(results, some, dataset)
    most = max(g.key.updates for g in some)
    rows = [(g, v) for g, v in values if g.key.updates == most and g.key.model == some[0].key.model and v]
    bases = {g.network: v for g, v in reversed(rows) if g.is_full}
    if not bases or len(rows) < 2:
        return False
    base = next(reversed(bases.values()))
    shown = [(g, v) for g, v in rows if not g.is_full and set(v) == set(base) == set(bases.get(g.network, ()))]
    width = 0.8 / max(1, len(shown))
    arms, keeps = list(dict.fromkeys(g.key.arm for g, _ in shown)), sorted({g.key.keep for g, _ in shown})
    for i, (g, v) in enumerate(shown):
        x = np.arange(len(base)) + (i - (len(shown) - 1) / 2) * width
        # A colour for each selection, paler for less that is kept.
        color, alpha = f"C{arms.index(g.key.arm)}", (1 + keeps.index(g.key.keep)) / len(keeps)
        label = f"{g.key.arm} {g.kept}"
        ax.bar(x, [v[s].mean - bases[g.network][s].mean for s in base], width, label=label, color=color, alpha=alpha)
    ax.set_xticks(range(len(base)), list(base))
    ax.axhline(0, color="black", lw=0.8)
    _finish(ax, f"parts of {dataset}; all arms at {most} updates", dataset)
    ax.set_ylabel("PSNR less that of all patches (dB)")
    return bool(shown)


def _pool(ax: Axes, some: Sequence[Group], dataset: str) -> bool:
    """The saturation curve: PSNR against the number of patches, for parts of the images and of their patches."""
    if len({g.key.pool for g in some}) < 2:
        return False
    most = max(g.key.updates for g in some)

    def name(g: Group) -> str:
        if g.is_full:
            return "all patches of some images" + (", all updates" if g.key.updates == most else "")
        return f"{g.key.arm}, {100 * g.key.pool:g} % of the images"

    shrunk = [g for g in some if g.key.updates == max(1, int(g.key.keep * g.key.pool * most + 0.5))]
    at_all = [g for g in some if g.is_full and g.key.updates == most]
    lines = _lines([g for g in (*at_all, *shrunk) if g not in at_all or g.key.pool < 1], name)
    for i, (label, line) in enumerate(lines.items()):
        line += [f for f in at_all if f.key.pool == 1 and f.network == line[0].network and line[0].is_full]
        _plot(ax, i, label, [g.patches * (g.key.keep if g.redraw == "pass" else 1) for g in line], line, dataset)
    _log_axis(ax)
    return _finish(ax, "patches", dataset)
