"""``srfast study``."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import click

from srfast.cli.options import Setting, answer, result, say
from srfast.errors import InputError
from srfast.runtime.progress import Lines, clock
from srfast.scoring.settings import ScoreSettings

_SETTINGS = 20
"""Number of settings of published results that ``--status`` lists, so that it fits on a screen of 24 lines."""


@click.command()
@click.argument("study")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="Folder of the study; a second run continues in it.  [default: with --images, the name of the study]",
)
@click.option("--jobs", type=click.IntRange(1),
    help="Number of processes, each with one thread.  [default: one per core, or one on a GPU]")  # fmt: skip
@click.option("--status", "as_status", is_flag=True, help="Show how far the study is, and run nothing.")
@click.option(
    "--tables",
    "as_tables",
    is_flag=True,
    help="Print the tables of the finished cells. With -o, or if STUDY is a folder, write tables/ and figures/ too.",
)
@click.option("--json", "as_json", is_flag=True, help="With --status, print one JSON object on stdout.")
@click.option(
    "--only",
    metavar="PATTERN",
    help="Run only the cells whose name matches this pattern with * and ?; a plain word matches anywhere in the name.",
)
@click.option("--shard", type=Setting(ScoreSettings.__dataclass_fields__["shard"]),
    help="Run only every n-th cell, from the i-th on, as one of n machines.")  # fmt: skip
@click.option(
    "--images",
    multiple=True,
    type=click.Path(exists=True),
    help="Images, or folders of them, to use instead of the study's. A part of them is held out for testing. "
    "Repeatable.",
)
@click.option(
    "--test", "tests", multiple=True, metavar="NAME=DIR", help="Test set to use instead of the study's. Repeatable."
)
def command(
    study: str,
    output: str | None,
    jobs: int | None,
    as_status: bool,
    as_tables: bool,
    as_json: bool,
    only: str | None,
    shard: tuple[int, int] | None,
    images: tuple[str, ...],
    tests: tuple[str, ...],
) -> None:
    """Run STUDY, a TOML file that describes a grid of selections, models, budgets and seeds.

    Each cell of the grid is one training and its evaluations. Finished cells are never run again, so that an
    interrupted study continues. When all cells are finished, the command prints the tables. If STUDY is a folder, or
    if neither -o nor --images is given, the command prints the tables of the results that exist.

    Ready-made studies come with srfast and need --images: how-much.toml (how much of the data is needed),
    needed-bsds.toml (whether the network is needed), table1.toml, table2.toml and table3.toml (the paper's) and others.
    """
    from srfast.study.file import find_runnable, find_study

    path = find_study(study)
    folder, asked = path.is_dir(), as_status or as_tables
    printing = folder or asked or not (output or images)
    what = "a folder" if folder else "--status or --tables" if asked else "no -o or --images"
    for wrong, message in (
        (printing and only, f"--only is for a run, and nothing is run with {what}"),
        (printing and shard, f"--shard is for a run, and nothing is run with {what}"),
        (as_json and not as_status, "--json is for --status"),
        (as_status and as_tables, "--status and --tables exclude each other"),
        (folder and output, f"-o is for a study's file, got a folder: {study}"),
        (folder and images, f"--images is for a study's file, got a folder: {study}"),
    ):
        if wrong:
            raise click.UsageError(message)
    if output is None and images and not folder:
        output = path.stem
    if as_status and (output is None or folder):
        _say_folder(path, jobs, as_json)
        return
    if as_tables or output is None or folder:
        _print_tables(path, output, images, tests)
        return
    path = find_runnable(study, images)
    options: dict[str, Any] = {"images": images, "test": _tests(tests)}
    if as_status:
        from srfast.study.file import read_study
        from srfast.study.folder import status

        _say(status(read_study(path, images, options["test"]), output, jobs), as_json)
        return
    _run(path, output, {"jobs": jobs, "only": only, "shard": shard, **options})


def _run(study: Path, output: str, options: dict[str, Any]) -> None:
    from srfast.study.file import read_study
    from srfast.study.folder import status
    from srfast.study.publication import publish
    from srfast.study.runner import run_study

    # joblib's process that tidies up after a killed one does so without a warning.
    ignored = (os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, ignored))
    described = read_study(study, options["images"], options["test"])
    say(f"{described.title} -> {output}")

    def progress(outcome: Any, done: int, total: int) -> None:
        seconds = f", {outcome.seconds:.0f} s" if outcome.state == "done" else ""
        text = f": {outcome.text}" if outcome.text else ""
        known = status(described, output, options["jobs"]) if done < total else None
        left = f"; all in about {clock(known.seconds)}" if known and known.seconds else ""
        say(f"[{done}/{total}] {outcome.cell.name} {outcome.state}{text}{seconds}{left}")

    def so_far() -> str:
        text = str(status(described, output, options["jobs"]))
        return "; ".join(line for line in text.splitlines() if not line.startswith("next: "))

    lines = Lines(so_far, say)
    try:
        results = run_study(study, output, progress=progress, **options)
    finally:
        lines.close()
    say(f"{len(results.meta['cells'])} cells, {results.table.num_rows:,} rows -> {Path(output) / 'results.parquet'}")
    known = status(described, output)
    if not (known.left or known.running):
        result(publish(results, None))
        say(f"figures, and the tables as files: srfast study {output} --tables")


def _print_tables(study: Path, output: str | None, images: tuple[str, ...], tests: tuple[str, ...]) -> None:
    from srfast.study.file import read_study
    from srfast.study.folder import described, gather, is_run, results_of, status
    from srfast.study.publication import publish, results_folder
    from srfast.study.results import CELLS, Results

    if output is not None and not study.is_dir() and (Path(output) / CELLS).is_dir():
        gather(read_study(study, images, _tests(tests)), output)
    runs = output is None and is_run(study)
    folder = study if runs else results_folder(study, output)
    if folder is None:
        where = output or study.name
        raise InputError(
            f"output: expected -o FOLDER to run the study into, --images FOLDER with images, or finished results; "
            f"{where} has none"
        )
    known = status(described(folder), folder) if runs else None
    own = output is not None or study.is_dir()
    publish(results_of(folder) if runs else Results.read(folder), folder if own else None, result)
    if known and (known.left or known.running):
        say(f"so far: {str(known).splitlines()[0]}")
    if own:
        say(f"tables -> {folder / 'tables'}, figures -> {folder / 'figures'}")


def _say(known: Any, as_json: bool) -> None:
    cells = {name: list(getattr(known, name)) for name in ("done", "running", "left")}
    answer(as_json, {**cells, "seconds_left": known.seconds, "jobs": known.jobs}, known)


def _say_folder(study: Path, jobs: int | None, as_json: bool) -> None:
    """How far a run is, by its folder alone, or what published results hold, on one screen."""
    from srfast.study.folder import described, is_run, status
    from srfast.study.publication import results_folder
    from srfast.study.results import Results

    if is_run(study):
        _say(status(described(study), study, jobs), as_json)
        return
    folder = results_folder(study)
    if folder is None:
        raise InputError(f"output: expected -o FOLDER of a run with --status, or finished results; {study} has none")
    cells = Results.read(folder).meta["cells"]
    seeds = Counter(name.rpartition("-s")[0] for name in cells)
    lines = [f"{name}: {count} seeds" for name, count in seeds.items()]
    if len(seeds) > _SETTINGS:
        lines[_SETTINGS:] = [f"and {len(seeds) - _SETTINGS} more settings"]
    data = {"done": list(cells), "running": [], "left": [], "seconds_left": None, "jobs": 0}
    answer(as_json, data, f"{len(cells)} cells done, of {len(seeds)} settings, in {folder}", *lines)


def _tests(pairs: tuple[str, ...]) -> dict[str, str]:
    tests = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if not name or not folder:
            raise InputError(f"test: expected NAME=DIR, such as Set5=images/Set5, got {pair!r}")
        if name in tests:
            raise InputError(f"test: expected test sets of different names, got {name!r} twice")
        tests[name] = folder
    return tests
