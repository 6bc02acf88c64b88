"""``python -m bench table RESULT.json``, ``compare OLD.json NEW.json``, ``keep RESULT.json FILE.json``, ``loops``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench import loops

LIMIT = 0.9
"""A ratio that falls below this part of the old one is a regression."""


def read(path: str) -> dict[str, dict[str, Any]]:
    """Benchmark name -> its figures."""
    return {b["fullname"].split("/")[-1]: b for b in json.loads(Path(path).read_text())["benchmarks"]}


def ratios(benchmark: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in benchmark["extra_info"].items() if k.startswith("ratio_")}


def table(path: str) -> int:
    """Prints every benchmark: seconds of a call, and how many times faster than each reference."""
    for name, benchmark in read(path).items():
        info = benchmark["extra_info"]
        figures = [f"{k.removeprefix('ratio_')} x{v:.2f}" for k, v in ratios(benchmark).items()]
        figures += [
            f"{k} {v:.4g}" for k, v in info.items() if isinstance(v, (int, float)) and not k.startswith("ratio_")
        ]
        print(f"{name:<60} {benchmark['stats']['min']:10.4f} s   {'   '.join(figures)}")
    return 0


def compare(old: str, new: str) -> int:
    """Prints ratios and loops that changed; exit code 1 when a ratio fell below LIMIT of the old, or a loop grew."""
    before, after = read(old), read(new)
    regressions = 0
    for name in sorted(before.keys() & after.keys()):
        for key, value in ratios(after[name]).items():
            earlier = ratios(before[name]).get(key)
            if earlier is None:
                continue
            change = value / earlier
            if change < LIMIT:
                regressions += 1
            mark = "  REGRESSION" if change < LIMIT else ""
            label = key.removeprefix("ratio_")
            print(f"{name:<60} {label:<16} {earlier:8.2f} -> {value:8.2f}  ({change:.2f}){mark}")
    for name in sorted(before.keys() - after.keys()):
        print(f"{name:<60} missing from {new}")
    grown = loops.compare(*(json.loads(Path(path).read_text()).get("loops", {}) for path in (old, new)))
    print(f"{regressions} regression(s) of more than {1 - LIMIT:.0%}, {grown} of loops")
    return 1 if regressions + grown else 0


def keep(path: str, out: str) -> int:
    """Writes what is kept in bench/results: the machine, the commit, the loops, and of each benchmark its figures."""
    whole = json.loads(Path(path).read_text())
    kept = []
    machine: dict[str, Any] = {"cores": whole["machine_info"]["cpu"]["count"]}
    for b in whole["benchmarks"]:
        info: dict[str, Any] = {k: round(v, 4) if isinstance(v, float) else v for k, v in b["extra_info"].items()}
        machine |= {k: v for k, v in info.pop("machine", {}).items() if k != "threads"}
        kept.append({"fullname": b["fullname"], "extra_info": info, "stats": {"min": round(b["stats"]["min"], 6)}})
    commit = whole["commit_info"]["id"]
    results = {"machine": machine, "commit": commit, "loops": loops.measure(), "benchmarks": kept}
    Path(out).write_text(json.dumps(results, indent=1) + "\n")
    return 0


def main(args: list[str]) -> int:
    if len(args) == 2 and args[0] == "table":
        return table(args[1])
    if len(args) == 3 and args[0] == "compare":
        return compare(args[1], args[2])
    if len(args) == 3 and args[0] == "keep":
        return keep(args[1], args[2])
    if args == ["loops"]:
        loops.table(loops.measure())
        return 0
    usage = "table RESULT.json | compare OLD.json NEW.json | keep RESULT.json FILE.json | loops"
    print(f"usage: python -m bench {usage}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
