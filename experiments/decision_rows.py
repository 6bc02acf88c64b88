"""The tables of the studies of ``prune``'s rule: studies/decision.toml and sceptic.toml."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.study_rows import DATASET, Means, Table, markdown, paired

POOLS = (
    ("BSDS400", "small and sharp (BSDS400)"),
    ("dirty-wild-60", "60 % degraded"),
    ("wild", "132 large, soft images"),
    ("found", "505 pictures as people have them"),
    ("pictures", "348 pictures (unseen)"),
    ("manuals", "420 pictures of manuals (unseen)"),
)
"""The last two had no part in the choice of the rule."""
ARMS = (
    ("all patches", "full 100"),
    ("what `prune` decides", "decision 88"),
    ("what `--clean` leaves, the hardest half", "clean_half 50"),
    ("every image halved, the hardest tenth", "half_tenth 10"),
)
PLANNED = 16
"""Seeds; until all are there, means stand without intervals and no claim is judged."""
_BEST = {"wild": "half_tenth 10 1951"}
"""The best fixed recipe, which was written down before the trainings: of every other pool it is the clean half."""


@dataclass(frozen=True)
class Interim:
    """The rule's lead in each pool by the means of the seeds that are there."""

    def markdown(self) -> str:
        lines = []
        for pool, words in POOLS:
            best = _BEST.get(pool, "clean_half 50 1951")
            sides = (
                ("full 100 1951", DATASET, ""),
                ("full 100 1951", DATASET, "easy"),
                ("full 100 1951", "Urban100", ""),
                (best, DATASET, ""),
                (best, "Urban100", ""),
            )
            differences = [paired(f"decision/{pool}", "fsrcnn", "decision 88 1951", *side) for side in sides]
            lines.append([words, *(f"{d.mean():+.2f}" for d in differences), f"{len(differences[0])} of {PLANNED}"])
        head = ["pool", "all patches: BSD100", "easy tiles", "Urban100", "recipe: BSD100", "Urban100", "seeds"]
        return markdown(head, lines)


TABLES: dict[str, Table] = {
    "decision-interim": Interim(),
    "decision-means": Means(
        "decision/BSDS400",
        (DATASET, *(words for _, words in POOLS)),
        tuple(f"decision/{pool}: fsrcnn 1951" for pool, _ in POOLS),
        ARMS,
    ),
}
