"""Charts as SVG that stretches with the page; labels are HTML and stay readable when it is narrow.

Inside a chart x and y run from 0 to 1000, y downwards; strokes keep their width (``non-scaling-stroke``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, Scores
from srfast.report.text import count, escape, number, percent, psnr

CLASS = {KEPT: "kept", DROPPED: "dropped", LEFT_OUT: "left"}
FLOOR = 1e-4
"""The lowest loss drawn (88 dB): a flat patch may have a loss of zero, which a log scale cannot show."""
_DOTS = 1500
_BARS = 240

Tick = tuple[float, str]


@dataclass(frozen=True)
class LogScale:
    lo: float
    hi: float

    @classmethod
    def over(cls, values: np.ndarray) -> LogScale:
        """Holds all values, those under FLOOR at the bottom edge."""
        lo, hi = (max(float(v), FLOOR) for v in (values.min(), values.max()))
        margin = 1.25 if hi > 2 * lo else 2.0
        return cls(lo / margin, hi * margin)

    def at(self, value: np.ndarray | float) -> np.ndarray:
        """Share of the axis in thousandths, 0 at the low end."""
        v = np.log(np.maximum(value, self.lo) / self.lo) / math.log(self.hi / self.lo)
        return 1000 * np.clip(v, 0, 1)

    def ticks(self) -> list[Tick]:
        decades = range(math.floor(math.log10(self.lo)), math.ceil(math.log10(self.hi)) + 1)
        steps = (1,) if math.log10(self.hi / self.lo) >= 3 else (1, 2, 5)
        values = [s * 10.0**d for d in decades for s in steps if self.lo <= s * 10.0**d <= self.hi]
        return [(float(self.at(v)), f"{v:,.0f}" if v >= 1 else f"{v:g}") for v in values]

    def psnr_ticks(self) -> list[Tick]:
        top, bottom = (10 * math.log10(255**2 / v) for v in (self.hi, self.lo))
        step = 10 if bottom - top > 25 else 5 if bottom - top > 10 else 2
        values = range(step * math.ceil(top / step), math.floor(bottom) + 1, step)
        return [(float(self.at(255**2 / 10 ** (v / 10))), f"{v}") for v in values]


def frame(
    body: str,
    label: str,
    *,
    left: Sequence[Tick],
    bottom: Sequence[Tick],
    left_title: str,
    bottom_title: str,
    right: Sequence[Tick] = (),
    right_title: str = "",
    name: str = "",
    above: str = "",
) -> str:
    """A chart with its axes; ``label`` says in words what it shows."""
    grid = "".join(f"M0 {1000 - at:.1f}H1000" for at, _ in left)
    spans = [
        "".join(f'<span style="{side}:{at / 10:.2f}%">{escape(text)}</span>' for at, text in ticks)
        for side, ticks in (("bottom", left), ("bottom", right), ("left", bottom))
    ]
    return (
        f'<div class="plot {name}"><div class="titles"><span>{escape(left_title)}</span>'
        f"<span>{escape(right_title)}</span></div>"
        f'<div class="axis y" aria-hidden="true">{spans[0]}</div>'
        f'<div class="canvas"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}"><path class="grid" d="{grid}"/>{body}</svg>{above}</div>'
        f'<div class="axis y right" aria-hidden="true">{spans[1]}</div>'
        f'<div class="axis x" aria-hidden="true">{spans[2]}</div>'
        f'<div class="xtitle">{escape(bottom_title)}</div></div>'
    )


def curve_points(scores: Scores) -> np.ndarray:
    """At most 600 ranks at which to draw the curve: even steps, finer at both ends, every cut exactly."""
    n = len(scores)
    if n <= 600:
        return np.arange(n)
    fine = np.geomspace(1, n, 120).astype(np.int64) - 1
    cuts = [at for a, b, _ in scores.runs for at in (a, b - 1)] if scores.cut_by_loss else []
    even = np.linspace(0, n - 1, 340).astype(np.int64)
    return np.unique(np.concatenate([even, fine, n - 1 - fine, np.array(cuts, dtype=np.int64)]))


def curve(scores: Scores) -> str:
    """The sorted losses, hardest first, with what was kept and dropped as filled ranges."""
    n, scale = len(scores), LogScale.over(scores.loss)
    ranks = curve_points(scores)
    px = np.concatenate([[0.0], 1000 * (ranks + 0.5) / n, [1000.0]])
    py = 1000 - scale.at(scores.ranked[ranks])
    py = np.concatenate([py[:1], py, py[-1:]])
    body, labels = _ranges(scores, px, py), ""
    if scores.cut_by_loss:
        edges = [b for _, b, _ in scores.runs[:-1]]
        lines = "".join(f"M{1000 * b / n:.2f} 0V1000" for b in edges)
        body += f'<path class="cut" d="{lines}"/>'
        labels = f'<div class="cuts">{"".join(_cut_label(scores, b) for b in edges)}</div>'
    first, last = number(scores.ranked[0]), number(scores.ranked[-1])
    label = f"Sorted loss curve of {count(n, 'patch')}, from {first} to {last}."
    for a, b, status in scores.runs if scores.cut_by_loss else []:
        word = {KEPT: "kept", DROPPED: "dropped as the hardest", LEFT_OUT: "left out"}[status]
        label += f" Ranks {a + 1:,} to {b:,} are {word}."
    return frame(
        body,
        label,
        left=scale.ticks(),
        right=scale.psnr_ticks(),
        bottom=[(100.0 * t, f"{10 * t} %") for t in range(0, 11, 2)],
        left_title="Loss: mean squared error on Y",
        right_title="PSNR on Y, dB",
        bottom_title=f"Share of the {count(n, 'patch')}, hardest first",
        name="curve",
        above=labels,
    )


def _cut_label(scores: Scores, rank: int) -> str:
    """What lies at the cut before ``rank``, written beside its line."""
    at, loss = rank / len(scores), float(scores.ranked[rank - 1 : rank + 1].mean())
    side = ' class="before"' if at > 0.75 else ""
    return f'<span{side} style="left:{100 * at:.2f}%"><b>{number(loss)}</b>{psnr(loss)} dB</span>'


def _ranges(scores: Scores, px: np.ndarray, py: np.ndarray) -> str:
    n = len(scores)
    whole = f'<path class="line whole" d="M{_path(px, py)}"/>'
    if scores.status is None:
        return f'<path class="fill kept" d="M0 1000L{_path(px, py)}V1000Z"/>{whole}'
    if scores.cut_by_loss:
        parts = []
        for a, b, status in scores.runs:
            x0, x1 = 1000 * a / n, 1000 * b / n
            inside = (px > x0) & (px < x1)
            ends = np.interp([x0, x1], px, py)
            xs = np.concatenate([[x0], px[inside], [x1]])
            ys = np.concatenate([ends[:1], py[inside], ends[1:]])
            tone, line = CLASS[status], _path(xs, ys)
            parts.append(f'<path class="fill {tone}" d="M{x0:.2f} 1000L{line}V1000Z"/>')
            parts.append(f'<path class="line {tone}" d="M{line}"/>')
        return "".join(parts)
    return f'<path class="fill left" d="M0 1000L{_path(px, py)}V1000Z"/>{whole}'


def shares(scores: Scores) -> str:
    """The share kept along the loss order, in up to 100 bins: for a selection that does not cut by loss."""
    assert scores.status is not None
    n = len(scores)
    edges = np.linspace(0, n, min(100, n) + 1).astype(np.int64)
    ranked = scores.status[scores.order]
    share = np.add.reduceat((ranked == KEPT).astype(np.int64), edges[:-1]) / np.diff(edges)
    bars = "".join(
        f"M{1000 * a / n:.2f} 1000H{1000 * b / n:.2f}V{1000 - 1000 * s:.1f}H{1000 * a / n:.2f}Z"
        for a, b, s in zip(edges[:-1], edges[1:], share, strict=True)
        if s
    )
    body = f'<path class="fill solid {CLASS[KEPT]}" d="{bars}"/>' if bars else ""
    return frame(
        body,
        f"Share of the patches that is kept, in {len(edges) - 1} steps along the loss order.",
        left=[(0.0, "0 %"), (500.0, "50 %"), (1000.0, "100 %")],
        bottom=[],
        left_title="Share kept",
        bottom_title="",
        name="shares",
    )


def _path(xs: np.ndarray, ys: np.ndarray) -> str:
    return "L".join(f"{x:.2f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def by_image(scores: Scores) -> tuple[str, list[int]]:
    """Bars from the 10th to the 90th percentile of each image, medians marked; and the image of each bar."""
    stats = scores.per_image
    ordered = np.argsort(-stats.median, kind="stable")
    shown = ordered[np.unique(np.rint(np.linspace(0, len(ordered) - 1, _BARS)).astype(np.int64))]
    scale = LogScale.over(scores.loss)
    low, middle, high = (1000 - scale.at(v[shown]) for v in (stats.q10, stats.median, stats.q90))
    slot = 1000 / len(shown)
    width = min(0.7 * slot, 40)
    left = (np.arange(len(shown)) + 0.5) * slot - width / 2
    bars = "".join(
        f"M{x:.1f} {a:.1f}h{width:.2f}V{b:.1f}h-{width:.2f}z" for x, a, b in zip(left, high, low, strict=True)
    )
    marks = "".join(f"M{x:.1f} {m:.1f}h{width:.2f}" for x, m in zip(left, middle, strict=True))
    body = f'<path class="bars" d="{bars}"/><path class="marks" d="{marks}"/>'
    if scores.cut_by_loss:
        cuts = [float(scores.ranked[b - 1 : b + 1].mean()) for _, b, _ in scores.runs[:-1]]
        body += f'<path class="cut" d="{"".join(f"M0 {1000 - float(scale.at(c)):.1f}H1000" for c in cuts)}"/>'
    some = "" if len(shown) == len(ordered) else f", {len(shown)} of them spread evenly"
    chart = frame(
        body,
        f"Range of the losses inside each of {count(len(ordered), 'image')}, ordered by median.",
        left=scale.ticks(),
        right=scale.psnr_ticks(),
        bottom=[],
        left_title="Loss",
        right_title="PSNR, dB",
        bottom_title=f"{count(len(ordered), 'image')}, hardest median first{some}",
        name="by-image",
    )
    return chart, shown.tolist()


def scatter(scores: Scores, other: np.ndarray, title: str) -> str:
    """Loss against another score on log axes: up to 1500 patches spread evenly over the loss order."""
    n = len(scores)
    rows = scores.order[np.unique(np.rint(np.linspace(0, n - 1, _DOTS)).astype(np.int64))]
    xs, ys = LogScale.over(other), LogScale.over(scores.loss)
    px, py = xs.at(other[rows]), 1000 - ys.at(scores.loss[rows])
    body, few = "", " few" if len(rows) <= 300 else ""
    for status in (LEFT_OUT, KEPT, DROPPED):
        chosen = np.full(len(rows), status == KEPT) if scores.status is None else scores.status[rows] == status
        if chosen.any():
            dots = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in zip(px[chosen], py[chosen], strict=True))
            body += f'<path class="dots{few} {CLASS[status]}" d="{dots}"/>'
    return frame(
        body,
        f"Scatter of loss against {title}, {count(len(rows), 'patch')}.",
        left=ys.ticks(),
        bottom=xs.ticks(),
        left_title="Loss",
        bottom_title=title,
        name="scatter",
    )


def legend(scores: Scores) -> str:
    """What the colours mean, with counts; empty without a core-set."""
    if scores.status is None:
        return ""
    words = ((DROPPED, "Dropped as the hardest"), (KEPT, "Kept"), (LEFT_OUT, "Left out"))
    items = [
        f'<li class="{CLASS[s]}">{word} <b>{scores.count(s):,}</b> <i>{percent(scores.count(s), len(scores))}</i></li>'
        for s, word in words
        if scores.count(s)
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'
