"""Folders of pictures as people have them, from packages of Debian: ``python -m experiments.debian_pool LIST DIR``.

LIST is a committed text file with a line ``sha256 package`` for each picture. The packages are downloaded, in every
version that is offered, and exactly these pictures are written to DIR as ``package_digest.suffix``; a picture that is
missing ends the command, or with ``--partial`` is said and left out. With ``--held-out DIR`` a tenth of the pictures,
those whose digest divides by ten, are written there instead, as a test set. With ``--draw PACKAGE=MOST,...`` LIST is
written first: of each package at most so many pictures of 256 x 256 pixels to 25 million, with sides of 128 pixels at
least, in the order of their digests, which is a fixed draw without a look at them. Their licences are those of the
packages.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
from PIL import Image

from srfast.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")
AREA, LARGEST, SIDE = 256 * 256, 25_000_000, 128


def unpacked(packages: Iterable[str], folder: Path) -> dict[str, dict[str, Path]]:
    """Downloads packages; returns of each the pictures in it by their SHA-256."""
    pictures_of: dict[str, dict[str, Path]] = {}
    for package in packages:
        offered = subprocess.run(["apt-cache", "madison", package], check=True, capture_output=True, text=True).stdout
        versions = dict.fromkeys(line.split("|")[1].strip() for line in offered.splitlines())
        pictures_of[package] = {}
        for i, version in enumerate(versions):
            place = folder / f"{package}-{i}"
            place.mkdir()
            subprocess.run(["apt-get", "download", "-qq", f"{package}={version}"], cwd=place, check=True)
            (deb,) = place.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", deb, place / "x"], check=True)
            files = (f for f in sorted((place / "x").rglob("*")) if f.suffix.lower() in SUFFIXES and f.is_file())
            pictures_of[package] |= {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in files}
    return pictures_of


def draw(pictures_of: dict[str, dict[str, Path]], most: dict[str, int]) -> list[tuple[str, str]]:
    """(digest, package) of the first pictures of each package that are large enough, no digest twice."""
    drawn: dict[str, str] = {}
    for package, pictures in pictures_of.items():
        fit = [d for d in sorted(pictures) if d not in drawn and _large(pictures[d])]
        drawn |= dict.fromkeys(fit[: most[package]], package)
    return list(drawn.items())


def _large(file: Path) -> bool:
    try:
        with Image.open(file) as image:
            width, height = image.size
    except (OSError, Image.DecompressionBombError):
        return False
    return AREA <= width * height <= LARGEST and min(width, height) >= SIDE


def read(path: Path) -> list[tuple[str, str]]:
    """(digest, package) of every line of a list."""
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return [(digest, package) for digest, package in lines]


def write(rows: list[tuple[str, str]], pictures_of: dict[str, dict[str, Path]], out: Path, partial: bool) -> None:
    out.mkdir(parents=True)
    for digest, package in rows:
        file = pictures_of[package].get(digest)
        if file is None and partial:
            print(f"{package}: no picture of SHA-256 {digest} is offered any more", file=sys.stderr)
            continue
        if file is None:
            raise InputError(f"{package}: expected a picture of SHA-256 {digest}, got another version of the package")
        (out / f"{package}_{digest[:8]}{file.suffix.lower()}").write_bytes(file.read_bytes())


@click.command()
@click.argument("list_", metavar="LIST", type=Path)
@click.argument("out", type=Path)
@click.option("--held-out", type=Path, help="Write a tenth of the pictures there instead.")
@click.option("--draw", "drawn", metavar="PACKAGE=MOST,...", help="Write LIST first.")
@click.option("--partial", is_flag=True, help="Leave out pictures that no package has any more.")
def main(list_: Path, out: Path, held_out: Path | None, drawn: str | None, partial: bool) -> None:
    """Write the pictures of Debian's packages that LIST names."""
    most = {name: int(n) for name, n in (d.split("=") for d in (drawn or "").split(",") if d)}
    with tempfile.TemporaryDirectory() as folder:
        pictures_of = unpacked(most or dict.fromkeys(package for _, package in read(list_)), Path(folder))
        if most:
            lines = [f"{digest} {package}\n" for digest, package in draw(pictures_of, most)]
            list_.write_text(f"# Drawn with: --draw {drawn}\n" + "".join(lines))
        rows = read(list_)
        apart = {row for row in rows if held_out and int(row[0], 16) % 10 == 0}
        write([row for row in rows if row not in apart], pictures_of, out, partial)
        if held_out:
            write(sorted(apart), pictures_of, held_out, partial)
    print(f"{len(list(out.iterdir()))} pictures in {out}")


if __name__ == "__main__":
    main()
