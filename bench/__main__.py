"""``python -m bench table RESULT.json``, ``compare OLD.json NEW.json``, ``keep RESULT.json FILE.json``, ``loops``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bench import loops

LIMIT = 0.9
"""A ratio that falls below this part of the old one is a regression."""


def read(path: str) -> dict[str, dict[str, Any]]:
    """Benchmark name -> its figures."""
    return {b["fullname"].split("/")[-1]: b for b in json.loads(Path(path).read_text())["benchmarks"]}


def ratios(benchmark: dict[str, Any]) -> dict[str, float]:
    return {k.removeprefix("ratio_"): v for k, v in benchmark["extra_info"].items() if k.startswith("ratio_")}


@click.group()
def main() -> None:
    """Read the results of benchmarks."""


@main.command()
@click.argument("path")
def table(path: str) -> None:
    """Print every benchmark: seconds of a call, and how many times faster than each reference."""
    for name, benchmark in read(path).items():
        figures = [f"{k} x{v:.2f}" for k, v in ratios(benchmark).items()]
        info = benchmark["extra_info"].items()
        figures += [f"{k} {v:.4g}" for k, v in info if isinstance(v, (int, float)) and not k.startswith("ratio_")]
        print(f"{name:<60} {benchmark['stats']['min']:10.4f} s   {'   '.join(figures)}")


@main.command()
@click.argument("old")
@click.argument("new")
def compare(old: str, new: str) -> None:
    """Print ratios and loops that changed; exit code 1 when a ratio fell below LIMIT of the old, or a loop grew."""
    before, after = read(old), read(new)
    regressions = 0
    for name in sorted(before.keys() & after.keys()):
        earlier, now = ratios(before[name]), ratios(after[name])
        for key in (k for k in now if k in earlier):
            change = now[key] / earlier[key]
            regressions += change < LIMIT
            mark = "  REGRESSION" if change < LIMIT else ""
            print(f"{name:<60} {key:<16} {earlier[key]:8.2f} -> {now[key]:8.2f}  ({change:.2f}){mark}")
    for name in sorted(before.keys() - after.keys()):
        print(f"{name:<60} missing from {new}")
    grown = loops.compare(*(json.loads(Path(path).read_text()).get("loops", {}) for path in (old, new)))
    print(f"{regressions} regression(s) of more than {1 - LIMIT:.0%}, {grown} of loops")
    sys.exit(1 if regressions + grown else 0)


@main.command()
@click.argument("path")
@click.argument("out")
def keep(path: str, out: str) -> None:
    """Write what is kept in bench/results: the machine, the commit, the loops, and of each benchmark its figures."""
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


@main.command("loops")
def show_loops() -> None:
    """Print the instructions of the engines' innermost loops."""
    for name, counts in loops.measure().items():
        print(f"{name:<28} {counts if name == 'compiler' else ', '.join(f'{k} {v}' for k, v in counts.items())}")


if __name__ == "__main__":
    main()
