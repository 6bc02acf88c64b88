"""``srfast onnx``, ``demo`` (``prune`` on photographs that scikit-image ships) and ``completion``."""

from __future__ import annotations

from pathlib import Path

import click

from srfast.cli.options import Aliased, emit, json_option, result, say
from srfast.errors import InputError
from srfast.runtime.optional import needing

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs inside scikit-image's wheel (public domain or CC0): a portrait, a cat, a cup, a rocket."""


@click.command()
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), default="srfast-demo", show_default=True,
    help="Folder of the photographs and the results.",
)  # fmt: skip
def demo(output: str) -> None:
    """Run `srfast prune` on four photographs that come with scikit-image.

    The command writes OUTPUT/photos, OUTPUT/scores.parquet, OUTPUT/coreset.parquet and OUTPUT/report.html.
    """
    from srfast.cli.prune import run

    folder = Path(output)
    photos = write_photographs(folder / "photos")
    report = run((str(photos),), folder, patch=48)
    result(f"open {report.resolve()}")


def write_photographs(folder: Path) -> Path:
    """Writes the photographs as PNG files. Raises RunError if scikit-image is not installed, and InputError if the
    folder cannot be written."""
    with needing("srfast demo"):
        from skimage import data
    from PIL import Image

    from srfast.data.files import output_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created ({error.strerror})") from None
    for name in PHOTOGRAPHS:
        path = folder / f"{name}.png"
        if not path.exists():
            with output_file(path, "photograph") as temporary:
                Image.fromarray(getattr(data, name)()).save(temporary, "PNG")
    return folder


@click.command()
@click.option("-o", "--output", cls=Aliased, aliases=["--out"], required=True, metavar="FILE",
    help="File to write, such as scorer.onnx.")  # fmt: skip
@click.option("--scale", type=int, default=2, show_default=True, help="Super-resolution factor: 2, 3 or 4.")
@click.option("--patch", type=int, help="Fixed side of a patch in HR pixels.  [default: dynamic]")
@click.option("--network-only", is_flag=True, help="Write only the network, which takes up-sampled Y and returns SR.")
@json_option("what was written")
def onnx(output: str, scale: int, patch: int | None, network_only: bool, as_json: bool) -> None:
    """Write the scorer as one ONNX graph.

    The graph takes uint8 RGB patches [N, H, W, 3] and returns their losses, float32 [N]. N is dynamic; H and W are
    dynamic unless --patch fixes them.
    """
    from srfast.ops.checks import check_scale

    check_scale(scale)
    from srfast.scoring.backends.onnx.graph import export_onnx

    path = export_onnx(output, scale=scale, patch=patch, network_only=network_only)
    size = path.stat().st_size
    if as_json:
        emit({"output": str(path), "scale": scale, "patch": patch, "network_only": network_only, "bytes": size})
    else:
        say(f"{path}: {size / 1024:.1f} KiB")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the lines that make SHELL complete the commands, options and choices of srfast.

    \b
    bash  eval "$(srfast completion bash)"        in ~/.bashrc (bash 4.4 or later)
    zsh   eval "$(srfast completion zsh)"         in ~/.zshrc
    fish  srfast completion fish > ~/.config/fish/completions/srfast.fish
    """
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from srfast.cli import COMPLETE, group

    # bash's class asks for bash's version by running it, which printing need not.
    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    made = kinds[shell](group, {}, "srfast", COMPLETE)
    click.echo(made.source_template % made.source_vars())
