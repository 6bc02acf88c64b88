"""``srfast report``, the HTML report of a score table; ``view``, which serves it; ``audit`` and ``stats``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from srfast.cli.options import (
    answer,
    emit,
    json_option,
    output_option,
    page_options,
    quiet,
    row_of,
    say,
    settings,
    shards_option,
)
from srfast.report.content import count
from srfast.workflows.settings import AuditArguments

_DECIDED = ("shard", "mode", "skip_bad", "defects", "blockiness", "resume", "tile_overlap", "precision", "shrink")
"""Settings of scoring that an audit decides by itself."""


@click.command()
@page_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
@json_option("what was written")
def command(
    scores: tuple[Path, ...],
    coreset: Path | None,
    output: Path,
    root: Path | None,
    scorer: Path | None,
    allow_missing_shards: bool,
    as_json: bool,
) -> None:
    """Write one HTML file that shows SCORES (a score table, or all its shards) and what is kept of them.

    The page opens from disk and loads nothing from the internet. Its sliders choose what is kept along the sorted
    loss curve, and it shows the command for that choice. Patches are shown beside their reconstruction, and can be
    sorted, filtered and marked as rejected. If SCORES are two core-sets of one table, or two score tables of the same
    patches, the page compares them. docs/report.md says which numbers are exact.
    """
    from srfast.coreset.selection import CoreSet
    from srfast.data.files import check_output
    from srfast.report.writing import write_report
    from srfast.scoring.stored import opened_rows
    from srfast.workflows.recommendation import recommend

    check_output(output, "report", [*scores, *([coreset] if coreset else [])])
    if coreset is None and len(scores) == 2 and _two_of_one(scores):
        _compare(scores, output, root, allow_missing_shards, as_json)
        return
    table = opened_rows(scores, allow_missing_shards=allow_missing_shards)
    chosen = None if coreset is None else CoreSet.opened(coreset)
    decision = recommend(table).as_dict() if chosen is None and "rank" not in table.columns else None
    source = [str(path) for path in scores]
    path = write_report(table, chosen, output, root=root, scorer=scorer, source=source, decision=decision)
    kept = None if chosen is None else len(chosen)
    answer(as_json, {"output": str(path), "patches": len(table), "kept": kept}, path)


def _two_of_one(paths: tuple[Path, ...]) -> bool:
    """Whether the two files are core-sets, or score tables that begin with the same image: shards do not."""
    from srfast.data.provenance import kind_of, kind_of_table
    from srfast.scoring.metadata import read_meta
    from srfast.scoring.table import ScoreTable

    # A file that cannot be read is no file of another kind.
    kinds = [kind_of(p) if p.is_dir() else kind_of_table(read_meta(p)) for p in paths]
    if kinds[0] != kinds[1] or kinds[0] not in ("core-set", "score table"):
        return False
    if kinds[0] == "core-set":
        return True
    a, b = (ScoreTable.read(path) for path in paths)
    return len(a) == len(b) > 0 and a.table["image"][0] == b.table["image"][0]


def _compare(paths: tuple[Path, ...], output: Path, root: Path | None, allow_missing: bool, as_json: bool) -> None:
    from srfast.coreset.selection import CoreSet
    from srfast.data.provenance import kind_of
    from srfast.report.comparison_page import comparison
    from srfast.report.writing import write_page
    from srfast.scoring.metadata import checked_shards
    from srfast.scoring.table import ScoreTable

    read = CoreSet.read if kind_of(paths[0]) == "core-set" else ScoreTable.read
    a, b = (read(path) for path in paths)
    for each in (a, b):
        checked_shards([each.meta], allow_missing)
    names = [path.stem for path in paths] if paths[0].stem != paths[1].stem else [str(path) for path in paths]
    content = comparison(a, b, names, root)
    path = write_page(content, output)
    facts = {fact.term: fact.value for fact in content.facts}
    answer(as_json, {"output": str(path), "patches": [len(a), len(b)], "overlap": float(facts["Overlap"])}, path)


@click.command()
@page_options
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
    help="Port of the server. With 0, a free port is taken.")  # fmt: skip
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Whether to open the page in the browser."
)
@json_option("the address")
def view(
    scores: tuple[Path, ...],
    coreset: Path | None,
    root: Path | None,
    scorer: Path | None,
    allow_missing_shards: bool,
    port: int,
    browser: bool,
    as_json: bool,
) -> None:
    """Serve the page of `srfast report` on 127.0.0.1, with every patch of SCORES instead of a sample, until Ctrl-C.

    The address contains a random token, and requests without it are refused. Conditions are those of `srfast select
    --where`, counts are exact, and pictures are cut from the images on demand. The server changes no file; the browser
    downloads the list of rejected patches. The command needs starlette and uvicorn: pip install 'srfast[view]'.
    """
    import secrets
    import socket
    import webbrowser
    from threading import Thread

    import uvicorn

    from srfast.coreset.selection import CoreSet
    from srfast.errors import InputError
    from srfast.report.connections import configured
    from srfast.report.server import View, application
    from srfast.scoring.stored import opened_rows

    table = opened_rows(scores, allow_missing_shards=allow_missing_shards)
    chosen = None if coreset is None else CoreSet.opened(coreset)
    view = View(table, chosen, [str(path) for path in scores], root, scorer)
    token = secrets.token_urlsafe(16)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"port: expected a free port, got {port} ({error.strerror})") from None
        listening.listen()  # who follows the address at once waits instead of being refused
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/"
        config = configured(application(view, token))
        # In a thread, where uvicorn leaves signals alone: it would raise them again inside its event loop.
        serving = Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listening]}, daemon=True)
        # A signal ends a view.
        with suppress(KeyboardInterrupt):
            serving.start()
            answer(as_json, {"address": address, "patches": len(table)}, address)
            say("Ctrl-C ends it.")
            if browser:
                webbrowser.open(address)
            while serving.is_alive():
                serving.join(0.5)  # no signal ends an unlimited one on Windows


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGES_OR_SCORES...")
@output_option("Folder to write into.", folder=True)
@settings(AuditArguments, *_DECIDED)
@click.option(
    "--skip-bad", is_flag=True, expose_value=False, help="Has no effect: audit always continues after bad files."
)
@json_option("the findings")
def audit(images: tuple[str, ...], output: str, as_json: bool, **options: Any) -> None:
    """Judge for each image whether to keep it, by noise, blur, enlargement, JPEG, text, halos and copies.

    Score tables may be given instead of images. The command writes OUTPUT/images.csv (a verdict for each image),
    OUTPUT/rejects.csv (a list to edit, for `srfast select --reject`) and OUTPUT/audit.html (galleries by reason). No
    image is moved or deleted.
    """
    AuditArguments(**options)  # before anything heavy is imported
    from srfast.report.verdict_page import KINDS
    from srfast.scoring.metadata import reduced
    from srfast.workflows.auditing import audit

    done = audit(images, output, progress=not quiet(), **options)
    counts = {kind: sum(v.verdict == kind for v in done.verdicts) for kind in KINDS}
    reasons = done.counts()
    counted = {reason: {"images": whole, "patches": parts} for reason, (whole, parts) in reasons.items()}
    about = {"passed_over": done.table.meta.get("passed_over", {}), "reduced": reduced(done.table.meta)}
    numbers = {"images": len(done.verdicts), **counts, "reasons": counted}
    lines = []
    for reason, (whole, parts) in reasons.items():
        some = f", and {count(parts, 'patch')} of images that are kept" if parts else ""
        lines.append(f"{reason}: {count(whole, 'image')}{some}")
    if counts["shrink"]:
        lines.append(f"to take smaller: {count(counts['shrink'], 'image')}")
    lines.append(f"{counts['keep']:,} of {len(done.verdicts):,} images to keep -> {done.folder / 'audit.html'}")
    if done.rejects.name != "rejects.csv":
        lines.append(f"rejects.csv was edited and stays as it is; the new list -> {done.rejects}")
    answer(as_json, {"output": output, **numbers, "rejects": str(done.rejects), **about}, *lines)


@click.command()
@click.argument("scores", nargs=-1, required=True, type=click.Path())
@click.option("--images", type=click.IntRange(0), default=5, show_default=True,
    help="Number of the hardest images to list, and of the easiest.")  # fmt: skip
@shards_option
@json_option("all statistics", ", with every image")
def stats(scores: tuple[str, ...], images: int, allow_missing_shards: bool, as_json: bool) -> None:
    """Show quantiles, shares of the error, agreement of the columns, and the hardest and easiest images of SCORES.

    SCORES is one score table, all shards of one, or a core-set.
    """
    from srfast.scoring.statistics import summary
    from srfast.scoring.stored import opened_rows

    table = opened_rows(scores, allow_missing_shards=allow_missing_shards)
    statistics = summary(table)
    if "rank" not in table.columns:
        from srfast.workflows.recommendation import recommend

        statistics["recommendation"] = recommend(table).as_dict()
    if as_json:
        emit(statistics)
    else:
        _print_statistics(statistics, images)


def _print_statistics(statistics: dict[str, Any], images: int) -> None:
    from rich.console import Console

    # A file or a pipe gets lines as long as they are.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)

    def table(title: str, heads: list[str], rows: Iterable[Iterable[str]]) -> None:
        from rich.table import Table

        shown = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
        for i, head in enumerate(heads):
            shown.add_column(head, justify="right" if i else "left", overflow="fold")
        for row in rows:
            shown.add_row(*row_of(row))
        console.print(shown)
        console.print()

    quantiles = [f"{100 * float(q):g} %" for q in statistics["columns"]["loss"]["quantiles"]][1:-1]
    table(
        f"{statistics['patches']:,} patches of {statistics['images']:,} images",
        ["", "mean", "lowest", *quantiles, "highest", "missing"],
        (
            [name, _short(of["mean"]), *map(_short, of["quantiles"].values()), f"{of['missing']:,}"]
            for name, of in statistics["columns"].items()
        ),
    )
    if "sizes" in statistics:
        table(
            "Patches by the size of the image",
            ["", "patches", "share", "of those there were"],
            (
                [size, f"{of['patches']:,}", f"{100 * of['share']:.1f} %",
                 f"{100 * of['patches'] / of['of']:.1f} %" if of.get("of") else "-"]
                for size, of in statistics["sizes"].items()
            ),
        )  # fmt: skip
    if "recommendation" in statistics:
        from srfast.report.report import known

        advised = statistics["recommendation"]
        console.print("Recommended")
        for part in ("left_out", "sizes", "ratio"):
            console.print(f"  {advised[part]['sentence']}")
        console.print(f"  {known(advised)}")
        console.print()
    shares = statistics["share_of_error"]
    table(
        "Share of the summed loss in the hardest patches",
        ["kept", *(f"{100 * float(k):g} %" for k in shares)],
        [["loss", *(f"{100 * v:.1f} %" for v in shares.values())]],
    )
    table(
        "Agreement with loss",
        ["", "Spearman", "hardest half shared"],
        (
            [name, _short(of["spearman"], ".4f"), _short(of["top_half"] and 100 * of["top_half"], ".1f")]
            for name, of in statistics["agreement"].items()
        ),
    )
    ranked = sorted(statistics["per_image"].items(), key=lambda item: -item[1]["mean"])
    if not images:
        return
    shown = ranked if len(ranked) <= 2 * images else [*ranked[:images], ("...", {}), *ranked[-images:]]
    table(
        "Images by mean loss" + ("" if len(shown) == len(ranked) else f", the {images} highest and lowest"),
        ["", "patches", "mean", "median", "largest"],
        (
            [name, *([f"{of['patches']:,}", *(_short(of[k]) for k in ("mean", "median", "largest"))] if of else [])]
            for name, of in shown
        ),
    )


def _short(value: float | None, form: str = ",.4g") -> str:
    return "-" if value is None else format(value, form)
