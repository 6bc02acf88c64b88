"""When the claims of a study were named: before its trainings, or when some of them could have been looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.runtime.locks import Lock
from srfast.scoring.metadata import read_meta
from srfast.study.cells import Cell, cells, serves
from srfast.study.description import Study
from srfast.study.results import RESULTS, Results, as_plain, finished_cells, from_plain, read_json

NAMED = "claims.json"
AFTER = "named_after"
"""Key of a claim in the metadata of results: number of seeds that had been trained on both of its sides when it was
named; left out for none."""


@dataclass
class _Entry:
    """One claim that the study's file names, or has named."""

    claim: dict[str, Any]
    after: int = 0
    """Number of seeds that had been trained on both sides when it was named."""
    gone: int = 0
    """Number of seeds that had been trained on both sides when it was taken out of the file; 0: it was not."""


def name_claims(
    folder: Path,
    study: Study,
    every: Sequence[Cell],
    known: Iterable[tuple[Results, set[str]]] = (),
    rounds: int = 0,
) -> None:
    """Records the claims that are new to a study's folder, or taken out of its file, and what could have been known of
    them by then.

    Args:
        folder: The study's folder.
        study: The study.
        every: All its cells.
        known: Results that cells may be taken from, and the names of these cells. They count too, unless those results
            name the claim, and named it in time.
        rounds: Largest number of seeds of a run in rounds; 0: it is none.
    """
    with Lock.wait((folder / NAMED).with_suffix(".lock"), folder / NAMED):
        plain, before = as_plain(study), _record(folder)
        claims = [_resolved(claim, plain) for claim in plain["claims"]]
        others = [(_in_time(results, rounds), names) for results, names in known]
        finished = finished_cells(every, folder)
        then = [(every, finished)]
        if (folder / RESULTS).exists():
            old = cells(from_plain(read_meta(folder / RESULTS)["study"]))
            then.append((old, finished_cells(old, folder)))
        elif not (folder / NAMED).exists():
            finished = set()  # cells that were brought together from other machines tell nothing of their claims

        for entry in before:
            seen = 0 if entry.claim in claims else max(_seeds(study, entry.claim, *those) for those in then)
            entry.gone = max(entry.gone, seen) if entry.claim not in claims else 0
        record = [e for e in before if e.gone or e.claim in claims]
        for claim in claims:
            if claim not in [e.claim for e in record]:
                seen_too = finished.union(*(names for early, names in others if claim not in early))
                record.append(_Entry(claim, _seeds(study, claim, every, seen_too)))
        text = json.dumps([[e.claim, e.after, e.gone] for e in record], indent=1)
        if not (folder / NAMED).exists() or (folder / NAMED).read_text(encoding="utf-8") != text:
            with atomic_path(folder / NAMED) as temporary:
                temporary.write_text(text, encoding="utf-8")


def withdrawn(folder: Path) -> int:
    """The number of claims that were taken out of the file after trainings of both of their sides."""
    return sum(entry.gone > 0 for entry in _record(folder))


def with_naming(folder: Path, plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The claims of a plain study, each late one with the number of seeds that had been trained when it was named."""
    record = _record(folder)
    found = []
    for claim in plain["claims"]:
        after = next((e.after for e in record if e.claim == _resolved(claim, plain)), 0)
        found.append({**claim, AFTER: after} if after else dict(claim))
    return found


def _seeds(study: Study, claim: Mapping[str, Any], every: Iterable[Cell], finished: set[str]) -> int:
    """The number of seeds with which both sides of a claim have been trained."""
    sides = Counter(c.seed for c in every if c.name in finished and serves(study, c, claim))
    return sum(count > 1 for count in sides.values())


def _in_time(known: Results, rounds: int) -> list[dict[str, Any]]:
    """The claims that results name, and named before their trainings. Of a run whose number of seeds followed from its
    results, or that took claims out, none are, unless the new run pays for the same looks."""
    plain = known.meta["study"]
    if known.meta.get("rounds", 0) not in (0, rounds) or known.meta.get("withdrawn_claims"):
        return []
    return [_resolved(claim, plain) for claim in plain.get("claims", ()) if not claim.get(AFTER)]


def _record(folder: Path) -> list[_Entry]:
    plain = read_meta(folder / RESULTS)["study"] if (folder / RESULTS).exists() else {}
    if (folder / NAMED).exists():
        return [_Entry(_resolved(claim, plain), *counts) for claim, *counts in read_json(folder / NAMED)]
    # A run of before there was a record has had its claims since it began.
    return [_Entry(_resolved(claim, plain), claim.get(AFTER, 0)) for claim in plain.get("claims", ())]


def _resolved(claim: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with what it leaves to its study, whose file may change, so that claims of the same trainings are the
    same."""
    scales = plain.get("scales") or [plain.get("scale", 2)]  # as results of before name it
    left = {"model": plain.get("models", [""])[0], "updates": plain.get("updates", 0), "scale": scales[0]}
    return {
        **{k: v for k, v in claim.items() if k != AFTER},
        **{name: claim.get(name) or value for name, value in left.items()},
    }
