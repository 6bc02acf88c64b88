"""When the claims of a study were named: before its trainings, or when some of them could have been looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.study.cells import Cell, serves
from srfast.study.description import Study
from srfast.study.results import RESULTS, Results, as_plain

NAMED = "claims.json"
AFTER = "named_after"
"""Key of a claim in the metadata of results: number of seeds that had been trained on both of its sides when it was
named; left out for none."""


def name_claims(
    folder: Path, study: Study, every: Sequence[Cell], finished: set[str], known: Iterable[Results]
) -> None:
    """Records the claims that are new to a study's folder, and what could have been known of them by then.

    Args:
        folder: The study's folder.
        study: The study.
        every: All its cells.
        finished: Names of the cells that have finished there.
        known: Results that cells may be taken from. They count too, unless they name the claim.
    """
    claims = as_plain(study)["claims"]
    others = [(_plain(r.meta["study"].get("claims", ())), set(r.meta["cells"])) for r in known]
    before = _record(folder)
    if not (folder / NAMED).exists() and not (folder / RESULTS).exists():
        finished = set()  # cells that were brought together from other machines tell nothing of their claims

    def trained(claim: Mapping[str, Any]) -> int:
        seen = finished.union(*(cells for named, cells in others if claim not in named))
        sides = Counter(c.seed for c in every if c.name in seen and serves(study, c, claim))
        return sum(count > 1 for count in sides.values())

    record = [(claim, count) for claim, count in before if claim in claims or trained(claim)]
    record += [(claim, trained(claim)) for claim in claims if claim not in [c for c, _ in before]]
    if record != before or (record and not (folder / NAMED).exists()):
        with atomic_path(folder / NAMED) as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def withdrawn(folder: Path, claims: Sequence[Mapping[str, Any]]) -> int:
    """The number of claims that were taken out of the file after trainings of both of their sides."""
    return sum(claim not in claims for claim, _ in _record(folder))


def with_naming(folder: Path, claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims, each late one with the number of seeds that had been trained when it was named."""
    after = [(claim, count) for claim, count in _record(folder) if count]
    counts = [next((count for claim, count in after if claim == c), 0) for c in claims]
    return [{**c, AFTER: count} if count else dict(c) for c, count in zip(claims, counts, strict=True)]


def _record(folder: Path) -> list[tuple[dict[str, Any], int]]:
    if (folder / NAMED).exists():
        return [(claim, count) for claim, count in json.loads((folder / NAMED).read_text(encoding="utf-8"))]
    if not (folder / RESULTS).exists():
        return []
    # A run of before there was a record has had its claims since it began.
    return [(claim, 0) for claim in _plain(Results.read(folder).meta["study"].get("claims", ()))]


def _plain(claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    # Results of before claims had a scale are of one.
    return [{"scale": 0, **{k: v for k, v in claim.items() if k != AFTER}} for claim in claims]
