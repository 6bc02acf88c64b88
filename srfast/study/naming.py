"""When the claims of a study were named: before its trainings, or when some of them could have been looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.study.results import RESULTS, Results

NAMED = "claims.json"
AFTER = "named_after"
"""Key of a claim in the metadata of results: number of trainings that had finished when it was named; left out for
none."""


def name_claims(
    folder: Path, claims: Sequence[Mapping[str, Any]], finished: int, known: Iterable[Results], names: Iterable[str]
) -> None:
    """Records the claims that are new to a study's folder, and how many trainings had finished by then.

    Args:
        folder: The study's folder.
        claims: The claims as plain values.
        finished: Number of cells that have finished there.
        known: Results that cells may be taken from. Their trainings count, unless they name the claim too.
        names: Names of the study's cells.
    """
    own = set(names)
    others = [(_plain(r.meta["study"].get("claims", ())), len(own & set(r.meta["cells"]))) for r in known]
    record = _record(folder)
    if not (folder / NAMED).exists() and not (folder / RESULTS).exists():
        finished = 0  # cells that were brought together from other machines tell nothing of their claims
    new = [dict(c) for c in claims if c not in [claim for claim, _ in record]]
    record += [(c, finished + sum(count for named, count in others if c not in named)) for c in new]
    if new:
        with atomic_path(folder / NAMED) as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def with_naming(folder: Path, claims: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The claims, each late one with the number of trainings that had finished when it was named."""
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
    return [{k: v for k, v in claim.items() if k != AFTER} for claim in claims]
