"""``srfast onnx``."""

from __future__ import annotations

import click


@click.command()
@click.option("-o", "--out", required=True, metavar="FILE", help="The file to write, such as scorer.onnx.")
@click.option("--scale", type=int, default=2, show_default=True, help="2, 3 or 4.")
@click.option("--patch", type=int, help="Fix the patch size in HR pixels [default: dynamic].")
@click.option("--network-only", is_flag=True, help="The bare SRCNN: up-sampled Y in, SR out.")
def command(out: str, scale: int, patch: int | None, network_only: bool) -> None:
    """Write the scorer as one ONNX graph.

    Takes uint8 RGB patches [N, P, P, 3] and returns their losses, float32 [N]; the batch is dynamic.
    """
    from srfast.scoring.backends.onnx.graph import export

    path = export(out, scale, patch, network_only)
    click.echo(f"{path}: {path.stat().st_size / 1024:.1f} KiB", err=True)
