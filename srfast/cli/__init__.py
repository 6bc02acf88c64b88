"""The command line. A command's module is imported when the command runs; heavy imports wait for its callback."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from srfast.cli.options import in_options, one_line, shown
from srfast.errors import InputError, RunError
from srfast.runtime import interrupts
from srfast.runtime.optional import missing
from srfast.settings import did_you_mean

# name -> the line `srfast --help` prints.
COMMANDS = {
    "prune": "Decide which patches of your images to train on, and why.",
    "score": "Score every patch of a set of images.",
    "select": "Select a core-set from a score table.",
    "join": "Add columns from another file to a score table.",
    "influence": "Predict which patches help on given images, as a column.",
    "audit": "Find out what is wrong with each image, and whether to keep it.",
    "dedup": "Find near-duplicates, and patches that are in test images.",
    "stats": "Show the statistics of a score table.",
    "export": "Write a core-set as files that a trainer reads.",
    "manifest": "Write which images and patches a core-set holds, by hash.",
    "rebuild": "Make the core-set of a manifest from copies of its images.",
    "degrade": "Make LR images by a degradation, the same for everyone.",
    "degradation": "Read, write and fit degradations.",
    "report": "Write a self-contained HTML report.",
    "view": "Look at every patch of a score table in the browser.",
    "train": "Train a super-resolution model on images or a core-set.",
    "eval": "Measure PSNR and SSIM of a model, a checkpoint or bicubic.",
    "compare": "Compare evaluations, with intervals.",
    "study": "Train models on a grid of selections, and compare them.",
    "onnx": "Write the scorer as one ONNX graph.",
    "doctor": "Show what this installation can do, and what is missing.",
    "completion": "Print the lines that make a shell complete commands.",
    "demo": "Run prune on photographs that come with scikit-image.",
}
SECTIONS = {
    "Start here": ("prune", "audit", "view"),
    "Step by step": ("score", "select", "join", "dedup", "influence", "stats", "report", "export"),
    "Prove it": ("train", "eval", "compare", "study"),
}
"""Headings of `srfast --help` and their commands; the others are tools."""
RESUME = "the same command with --resume continues from there"
GO_ON = {"study": "the same command continues from there"}
"""How to continue after an interrupt, for commands that continue without --resume."""
PRINT_JSON = frozenset(COMMANDS) - {"eval", "demo", "completion"}
"""Commands whose --json prints an object on stdout."""
_json = False
"""Whether an error is printed as JSON too."""
COMPLETE = "_SRFAST_COMPLETE"
"""The environment variable by which a shell asks for completions."""
TOGETHER = {
    "columns": ("join", "influence", "dedup"),
    "degradation": ("degrade", "degradation"),
    "export": ("manifest", "rebuild"),
    "prune": ("score", "select"),
    "report": ("audit", "view", "stats"),
    "tools": ("onnx", "demo", "completion"),
    "train": ("compare",),
}
"""Commands that are functions of their own name in a module; of others, ``command`` in the module of their name."""
PLACES = {name: f"{module}:{name}" for module, names in TOGETHER.items() for name in names}
PLACES |= {"eval": "train:evaluate"}


def place_of(name: str) -> tuple[str, str]:
    """The module of a command, and its name there."""
    module, _, own = PLACES.get(name, f"{name}:command").partition(":")
    return f"srfast.cli.{module}", own


class UsageError(click.UsageError):
    """Wrong usage with a hint of its own."""

    def __init__(self, message: str, ctx: click.Context, hint: str) -> None:
        super().__init__(message, ctx)
        self.hint = hint


class LazyGroup(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = did_you_mean(name, COMMANDS)
            hint = f"did you mean {near}?" if near else f"expected one of {', '.join(COMMANDS)}"
            raise UsageError(f"No such command {name!r}", ctx, hint)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, own = place_of(name)
        command: click.Command = getattr(importlib.import_module(module), own)
        command.short_help = COMMANDS[name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = {name for names in SECTIONS.values() for name in names}
        for heading, names in {**SECTIONS, "Tools": [name for name in COMMANDS if name not in listed]}.items():
            with formatter.section(heading):
                formatter.write_dl([(name, COMMANDS[name]) for name in names], col_max=12)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-v", "--verbose", is_flag=True, help="Log more of the work to stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Write only errors to stderr.")
@click.option("--max-pixels", metavar="N", help="Pixels of the largest image that is read.  [default: 179 million]")
@click.version_option(package_name="srfast", message="srfast %(version)s", help="Show the version.")
def group(debug: bool, verbose: bool, quiet: bool, max_pixels: str | None) -> None:
    """Find the image patches that are worth training super-resolution models on.

    srfast scores every patch by how badly a small network reconstructs it, selects a core-set of patches, exports it
    for trainers, and trains and evaluates models to measure whether the selection helps.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line, and exits.

    The exit code is 0 for success, 1 for a failure at run time, 2 for wrong usage or input, and 130 for an interrupt.
    """
    argv = list(sys.argv[1:] if args is None else args)
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(group, {}, "srfast", COMPLETE, instruction))
    debug = "--debug" in argv
    argv = _max_pixels(argv)
    global _json
    name = next((a for a in argv if a in COMMANDS), "")
    _json = "--json" in argv and name in PRINT_JSON
    verbose, quiet = ({f"-{word[0]}", f"--{word}"} & set(argv) for word in ("verbose", "quiet"))
    _log_to_stderr(logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING)
    argv = [a for a in argv if a not in ("--debug", "-v", "--verbose", "-q", "--quiet")] or ["--help"]
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")  # image libraries warn about every flaw of a file
    code = 0
    try:
        # Not group.main: it turns an interrupt into an empty line and an Abort.
        with group.make_context("srfast", argv) as ctx, _as_options(ctx):
            group.invoke(ctx)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except ModuleNotFoundError as error:
        if debug or (short := missing(f"srfast {name}", error)) is None:
            raise
        _fail(short)
    except Exception as error:
        # Imports and C code turn an interrupt into errors of their own.
        if interrupts.interrupted() and not isinstance(error, (click.ClickException, InputError, RunError)):
            _interrupted(name, debug)
        if debug:
            raise
        _fail(error)
    except KeyboardInterrupt:
        _interrupted(name, debug)
    sys.exit(code)


@contextmanager
def _as_options(ctx: click.Context) -> Iterator[None]:
    """Gives settings in error messages the names of their options: the leading one, and those in backticks."""
    try:
        yield
    except (InputError, RunError) as error:
        command = group.get_command(ctx, ctx.invoked_subcommand or "")
        commands = [command, *getattr(command, "commands", {}).values()]
        options = [p for c in commands for p in getattr(c, "params", ()) if p.opts[-1].startswith("--")]
        flags: dict[str, str] = {str(p.name): p.opts[-1] for p in options}
        name, colon, rest = error.message.partition(": ")
        error.args = (_with_flags(flags.get(name, name) + colon + rest, flags),)
        error.hint = error.hint and _with_flags(error.hint, flags)
        raise


def _with_flags(text: str, flags: dict[str, str]) -> str:
    return re.sub(r"`(\w+)`", lambda name: flags.get(name[1], name[1]), text)


def _max_pixels(argv: list[str]) -> list[str]:
    """Takes --max-pixels N from the words of commands that do not have it: what they read has the same limit."""
    at = next((i for i, word in enumerate(argv) if word.split("=")[0] == "--max-pixels"), None)
    if at is None or {"score", "prune", "audit"} & set(argv[:at]):
        return argv
    joined = "=" in argv[at]
    given = argv[at].partition("=")[2] if joined else argv[at + 1] if at + 1 < len(argv) else ""
    os.environ["SRFAST_MAX_PIXELS"] = given or "nothing"
    return argv[:at] + argv[at + (1 if joined else 2) :]


def _log_to_stderr(level: int) -> None:
    """Writes each record that the library logs under the name srfast as one line."""
    log = logging.getLogger("srfast")
    log.setLevel(level)
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs of a file, it raises as well
    if not any(isinstance(h, _Lines) for h in log.handlers):
        log.addHandler(_Lines())


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"srfast: {one_line(in_options(record.getMessage()))}", err=True)


def _interrupted(name: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    module, own = place_of(name)
    command = getattr(sys.modules.get(module), own, None)
    if name in GO_ON or any(p.name == "resume" for p in getattr(command, "params", ())):
        _exit(interrupts.CODE, "interrupted; what is finished is kept", GO_ON.get(name, RESUME))
    _exit(interrupts.CODE, "interrupted; no output is half-written")


def _fail(error: Exception) -> None:
    if isinstance(error, click.UsageError):
        _exit(2, *_of_usage(error))
    if isinstance(error, click.ClickException):
        _exit(error.exit_code, error.format_message())
    if isinstance(error, (InputError, RunError)):
        _exit(2 if isinstance(error, InputError) else 1, error.message, error.hint)
    # What the loader and threads say where they find no room, as under ``ulimit -v``.
    if isinstance(error, MemoryError) or re.search("failed to map segment|can't start new thread", str(error)):
        _exit(1, "not enough memory")
    if isinstance(error, BrokenPipeError):
        os._exit(1)
    if isinstance(error, OSError) and error.filename is not None:
        code = 2 if isinstance(error, (FileNotFoundError, PermissionError)) else 1
        _exit(code, f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError):
        _exit(1, error.strerror or str(error))
    _exit(1, f"{type(error).__name__}: {error}", "run with --debug for the traceback")


def _of_usage(error: click.UsageError) -> tuple[str, str | None]:
    """The message of an error of click, and its hint: the nearest to a wrong word, or the command's help."""
    help_hint = f"see `{error.ctx.command_path} --help`" if error.ctx else None
    if isinstance(error, click.NoSuchOption):
        # click proposes whatever shares a letter or two.
        near = did_you_mean(error.option_name, error.possibilities or (), 0.75)
        message = click.NoSuchOption(error.option_name, None, None, error.ctx).format_message()
        return message, f"did you mean {near}?" if near else help_hint
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    given = re.match(r"'(.*)' is not one of", error.message)
    near = did_you_mean(given[1], kind.choices) if isinstance(kind, click.Choice) and given else None
    own = getattr(error if isinstance(error, UsageError) else kind if given else None, "hint", None)
    return error.format_message(), f"did you mean {near}?" if near else own or help_hint


def _exit(code: int, message: str, hint: str | None = None) -> None:
    """Prints the error on stderr, its hint on a line of its own in a terminal and after it elsewhere, and exits.

    With --json, error and hint are one object on stdout too.
    """
    error, way = _one_line(message), _one_line(hint or "")
    line = f"{error.removesuffix('.')}; {way}" if way else error
    terminal = sys.stderr.isatty()
    click.echo(f"srfast: error: {error if terminal else line}", err=True)
    if _json:
        click.echo(json.dumps({"error": line, **({"hint": way} if way else {}), "code": code}))
    if way and terminal:
        click.echo(f"{click.style('hint', fg='cyan', bold=True)}: {way}", err=True)
    sys.exit(code)


def _one_line(text: str) -> str:
    return shown(re.sub(r"\s*\n\s*", " ", text.strip()))  # other spaces may be those of a file's name
