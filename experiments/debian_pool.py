"""Folders of pictures as people have them, from packages of Debian: ``python -m experiments.debian_pool LIST DIR``.

LIST is a committed text file with a line ``sha256 package`` for each picture. The packages are downloaded, and exactly
these pictures are written to DIR as ``package_digest.suffix``; a picture that is missing ends the command. With
``--held-out DIR`` a tenth of the pictures, those whose digest divides by ten, are written there instead, as a test set.
Their licences are those of the packages.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from srfast.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")


def unpacked(packages: Iterable[str], folder: Path) -> dict[str, dict[str, Path]]:
    """Downloads packages; returns of each the pictures in it by their SHA-256."""
    pictures_of: dict[str, dict[str, Path]] = {}
    for package in packages:
        place = folder / package
        place.mkdir()
        subprocess.run(["apt-get", "download", "-qq", package], cwd=place, check=True)
        (deb,) = place.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", deb, place / "x"], check=True)
        pictures = (f for f in sorted((place / "x").rglob("*")) if f.suffix.lower() in SUFFIXES)
        pictures_of[package] = {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in pictures if f.is_file()}
    return pictures_of


def read(path: Path) -> list[tuple[str, str]]:
    """(digest, package) of every line of a list."""
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return [(digest, package) for digest, package in lines]


def write(rows: list[tuple[str, str]], pictures_of: dict[str, dict[str, Path]], out: Path) -> None:
    out.mkdir(parents=True)
    for digest, package in rows:
        file = pictures_of[package].get(digest)
        if file is None:
            raise InputError(f"{package}: expected a picture of SHA-256 {digest}, got another version of the package")
        (out / f"{package}_{digest[:8]}{file.suffix.lower()}").write_bytes(file.read_bytes())


@click.command()
@click.argument("list_", metavar="LIST", type=Path)
@click.argument("out", type=Path)
@click.option("--held-out", type=Path, help="Write a tenth of the pictures there instead.")
def main(list_: Path, out: Path, held_out: Path | None) -> None:
    """Write the pictures of Debian's packages that LIST names."""
    rows = read(list_)
    with tempfile.TemporaryDirectory() as folder:
        pictures_of = unpacked(dict.fromkeys(package for _, package in rows), Path(folder))
        apart = {row for row in rows if held_out and int(row[0], 16) % 10 == 0}
        write([row for row in rows if row not in apart], pictures_of, out)
        if held_out:
            write(sorted(apart), pictures_of, held_out)
    print(f"{len(list(out.iterdir()))} pictures in {out}")


if __name__ == "__main__":
    main()
