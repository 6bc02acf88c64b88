"""Folders of pictures as people have them, from packages of Debian: ``python -m experiments.debian_pool LIST DIR``.

LIST is a committed text file with a line ``sha256 package`` for each picture. The packages are downloaded, and exactly
these pictures are written to DIR as ``package_digest.suffix``; a picture that is missing ends the command. With
``--draw PACKAGE=MOST ...`` LIST is written first: of each package at most so many PNG and JPEG files with an area of
256 x 256 pixels and sides of 128 pixels at least, in the order of their digests, which is a fixed draw without a look
at them. With ``--held-out DIR`` a tenth of the pictures, those whose digest divides by ten, are written there instead,
as a test set. Their licences are those of the packages.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from srfast.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")
AREA, SIDE = 256 * 256, 128


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


def draw(pictures_of: dict[str, dict[str, Path]], most: dict[str, int]) -> list[tuple[str, str]]:
    """(digest, package) of the first pictures of each package that are large enough, no digest twice."""
    drawn: dict[str, str] = {}
    for package, pictures in pictures_of.items():
        fit = [d for d in sorted(pictures) if d not in drawn and _large(pictures[d])]
        drawn |= dict.fromkeys(fit[: most[package]], package)
    return list(drawn.items())


def _large(file: Path) -> bool:
    try:
        width, height = Image.open(file).size
    except OSError:
        return False
    return width * height >= AREA and min(width, height) >= SIDE


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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.debian_pool", description="Pictures of Debian's packages."
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", type=Path, metavar="DIR", help="write a tenth of the pictures there instead")
    parser.add_argument("--draw", nargs="+", metavar="PACKAGE=MOST", default=[], help="write LIST first")
    a = parser.parse_args()
    most = {name: int(n) for name, n in (d.split("=") for d in a.draw)}
    with tempfile.TemporaryDirectory() as folder:
        pictures_of = unpacked(most or dict.fromkeys(p for _, p in read(a.list)), Path(folder))
        if most:
            lines = [f"{digest} {package}\n" for digest, package in draw(pictures_of, most)]
            a.list.write_text(f"# Drawn with: --draw {' '.join(a.draw)}\n" + "".join(lines))
        rows = read(a.list)
        apart = {row for row in rows if a.held_out and int(row[0], 16) % 10 == 0}
        write([row for row in rows if row not in apart], pictures_of, a.out)
        if apart:
            write(sorted(apart), pictures_of, a.held_out)
    print(f"{len(list(a.out.iterdir()))} pictures in {a.out}")


if __name__ == "__main__":
    main()
