"""``srfast demo``: ``prune`` on photographs that scikit-image ships."""

from __future__ import annotations

from pathlib import Path

import click

from srfast.cli.options import result
from srfast.errors import InputError
from srfast.runtime.optional import needing

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs inside scikit-image's wheel (public domain or CC0): a portrait, a cat, a cup, a rocket."""


@click.command()
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), default="srfast-demo", show_default=True,
    help="Folder of the photographs and the results.",
)  # fmt: skip
def command(output: str) -> None:
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
