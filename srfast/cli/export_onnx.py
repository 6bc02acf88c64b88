"""``srfast onnx``."""

from __future__ import annotations

import click

from srfast.cli.options import Aliased, emit, json_option, say


@click.command()
@click.option(
    "-o",
    "--output",
    cls=Aliased,
    aliases=["--out"],
    required=True,
    metavar="FILE",
    help="File to write, such as scorer.onnx.",
)
@click.option("--scale", type=int, default=2, show_default=True, help="Super-resolution factor: 2, 3 or 4.")
@click.option("--patch", type=int, help="Fixed side of a patch in HR pixels.  [default: dynamic]")
@click.option("--network-only", is_flag=True, help="Write only the network, which takes up-sampled Y and returns SR.")
@json_option("what was written")
def command(output: str, scale: int, patch: int | None, network_only: bool, as_json: bool) -> None:
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
