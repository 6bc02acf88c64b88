"""The decision at the head of a report: what is left out, the sizes, how much is kept, each with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from srfast.data.shrink import shrunk
from srfast.report.content import Part, Picture, number
from srfast.report.pictures import encoded, patch, reduced, source
from srfast.report.scores import KEPT, ReportScores

PARTS = {"left_out": "Left out", "sizes": "Sizes", "ratio": "How much"}
"""Part of a recommendation -> its heading."""
MANY = 6
"""Largest number of pictures of images that are left out."""
KNOWN = {
    "large": "132 large, soft images: what this rule keeps was 0.24 dB [0.19, 0.29] ahead of all patches, and the "
    "hardest tenth after every image was halved (--shrink 1/2 --keep 0.1 --no-clean) 0.30 dB [0.24, 0.36] (FSRCNN, "
    "1,951 updates, BSD100).",
    "collected": "two folders of 348 and 420 pictures of all kinds, which had no part in the choice of this rule: what "
    "it keeps was 0.27 dB [0.23, 0.32] ahead of all patches (FSRCNN, 1,951 updates, BSD100).",
    "degraded": "400 photographs, 60 % of them degraded: what this rule keeps was 0.17 dB [0.13, 0.21] ahead of all "
    "patches, as far as the hardest half of the clean ones (FSRCNN, 1,951 updates, BSD100).",
    "sharp": "400 small, sharp photographs: what this rule keeps was 0.05 dB [0.01, 0.08] ahead of all patches, as far "
    "as the hardest half (FSRCNN, 1,951 updates, BSD100).",
}
"""The results measured on pools of a kind, with a 95 % confidence interval; docs/will-it-help.md has the studies."""


def decided(scores: ReportScores, decision: Any) -> list[Part]:
    """The parts with their pictures; none if there is no decision, or what the metadata hold is none."""
    if not _is_decision(decision):
        return []
    pictures = {"left_out": _left_out(scores, decision), "sizes": _sizes(scores, decision), "ratio": _border(scores)}
    return [Part(title, decision[name]["sentence"], pictures[name]) for name, title in PARTS.items()]


def known(decision: Any) -> str:
    """The studies' result for pools like this one, as a sentence; empty if there is no decision."""
    if not _is_decision(decision):
        return ""
    out, sizes, ratio = (decision[name]["figures"] for name in PARTS)
    of = KNOWN.get(kind(out, sizes, ratio))
    return f"The nearest of the studied pools, {of}" if of else "Pools of large, sharp images were not studied."


def kind(out: Mapping[str, Any], sizes: Mapping[str, Any], ratio: Mapping[str, Any]) -> str:
    """The studied kind of pool that is most like one, by the figures of its decision: a name in ``KNOWN``, or "" for
    large, sharp images.

    The bounds lie between those of the studied pools; they were chosen afterwards, to name a kind.
    """
    given = (out, "left_out"), (sizes, "taken_smaller"), (ratio, "patches"), (out, "images")
    left_out, smaller, patches, images = (_count_or_zero(figures.get(name)) for figures, name in given)
    n = max(1, images)
    large = patches >= 400 * n
    if 3 * smaller >= n:
        return "large" if large else "degraded"
    if 4 * left_out >= n:
        return "degraded"
    if 10 * (left_out + smaller) >= n:
        return "collected"
    return "" if large else "sharp"


def _is_decision(decision: Any) -> bool:
    if not isinstance(decision, Mapping):
        return False
    parts = [decision.get(name) for name in PARTS]
    return all(
        isinstance(p, Mapping) and isinstance(p.get("sentence"), str) and isinstance(p.get("figures"), Mapping)
        for p in parts
    )


def _count_or_zero(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _examples(scores: ReportScores, decision: Mapping[str, Any], part: str) -> list[tuple[int, str]]:
    """The images that a part names as examples, as their index, and what it says of each."""
    index = {name: i for i, name in enumerate(scores.images)}
    listed = decision[part]["figures"].get("examples")
    entries = [e for e in listed if isinstance(e, (list, tuple)) and len(e) == 2] if isinstance(listed, list) else []
    return [(index[name], str(said)) for name, said in entries if isinstance(name, str) and name in index][:MANY]


def _left_out(scores: ReportScores, decision: Mapping[str, Any]) -> list[Picture]:
    pictures = []
    for image, reason in _examples(scores, decision, "left_out"):
        pixels = source(scores, image)[0]
        if pixels is not None:
            pictures.append(Picture(reduced(pixels, 160), f"{scores.images[image]}: {reason}"))
    return pictures


def _sizes(scores: ReportScores, decision: Mapping[str, Any]) -> list[Picture]:
    """The hardest place of an image that is taken smaller, at full size and at the largest that is taken."""
    for image, size in _examples(scores, decision, "sizes"):
        rows = np.flatnonzero(scores.code == image)
        factor = float(scores.factor[rows].max())
        rows = rows[scores.factor[rows] == factor]
        row = int(rows[np.argmax(scores.loss[rows])])
        pixels = source(scores, image)[0]
        if pixels is None:
            continue
        side, x, y = int(scores.size[row]), int(scores.x[row]), int(scores.y[row])
        small = shrunk(pixels, factor)[y : y + side, x : x + side]
        middle = [round((c + side / 2) / factor) for c in (y, x)]
        top, left = (max(0, min(c - side // 2, n - side)) for c, n in zip(middle, pixels.shape[:2], strict=True))
        whole = pixels[top : top + side, left : left + side]
        name = scores.images[image]
        return [Picture(encoded(whole), f"{name}, full size"), Picture(encoded(small), f"the same place at {size}")]
    return []


def _border(scores: ReportScores) -> list[Picture]:
    """The hardest patches that are kept, the last ones, and the hardest that are not."""
    if scores.status is None:
        return []
    kept = scores.order[scores.status[scores.order] == KEPT]
    if not len(kept):
        return []
    others = scores.order[scores.status[scores.order] != KEPT]
    after = others[scores.rank[others] > scores.rank[kept[-1]]]
    pictures = []
    for caption, rows in (("hardest kept", kept[:2]), ("last kept", kept[-2:]), ("first not kept", after[:2])):
        for row in rows.tolist():
            pixels = source(scores, int(scores.code[row]))[0]
            if pixels is not None:
                seen, _ = patch(shrunk(pixels, float(scores.factor[row])), scores, row, alone=True)
                said = f"{caption}, loss {number(float(scores.loss[row]))}"
                pictures += [Picture(hr, said) for hr in seen.values()]
    return pictures
