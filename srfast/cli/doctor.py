"""``srfast doctor``."""

from __future__ import annotations

import click

from srfast.cli.options import emit


@click.command("doctor", short_help="Say what this installation can do.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object on stdout.")
def command(as_json: bool) -> None:
    """Say what this installation can do: CPU, CUDA, Triton, DALI, ONNX Runtime, and what "auto" takes."""
    from srfast.doctor import examine, lines

    findings = examine()
    if as_json:
        emit(findings)
        return
    for name, text in lines(findings):
        click.echo(f"{name:<20} {text}")
