"""The tables of docs/results/target.md, from the committed results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.datamodels import table
from experiments.study_rows import ROOT, Means, Table, family, markdown, place
from srfast.study.claims import judged
from srfast.study.results import Results

STUDY = "target"
KINDS = ("documents", "sky", "photographs")
ARMS = (
    ("all patches", "full 100"),
    ("random", "random 25"),
    ("the hardest (loss)", "des 25"),
    *((f"`{method}` for {kind}", f"{method}.{kind} 25") for kind in KINDS for method in ("influence", "similar")),
)
_NAMES = {arm.split()[0]: words for words, arm in ARMS}


@dataclass(frozen=True)
class Datamodels:
    """The linear datamodeling score."""

    path: str

    def markdown(self) -> str:
        return markdown(*table(ROOT / "experiments" / "results" / self.path))


@dataclass(frozen=True)
class Named:
    """The claims of a study's file, judged together."""

    study: str

    def markdown(self) -> str:
        return family([(_words(j.claim), j) for j in judged(Results.read(place(self.study)))])


def _words(claim: Mapping[str, Any]) -> str:
    on = ", SRCNN" if claim["model"] == "srcnn" else ""
    return f"{_NAMES[claim['arm']]} against {_NAMES[claim['against']]}{on}"


TABLES: dict[str, Table] = {
    "datamodels": Datamodels("datamodels.json"),
    "target-means": Means(STUDY, ("FSRCNN, 488 updates, a quarter for", *KINDS), ("fsrcnn 488",), ARMS, KINDS),
    "target-claims": Named(STUDY),
}
