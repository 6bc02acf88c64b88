"""The ready-made studies that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from srfast.errors import InputError

FOLDER = "studies"


def ready_made() -> dict[str, Path]:
    """The ready-made studies: name (``how-much.toml``) to file."""
    # The build puts them beside the compiled module, which in an editable install is not where the sources are.
    found = find_spec("srfast")
    places = found.submodule_search_locations if found else None
    files = [file for place in places or () for file in Path(place, FOLDER).glob("*.toml")]
    return {file.name: file for file in sorted(files)}


def find_study(study: str | Path) -> Path:
    """The study of that name: a file or folder of the user's, or else a ready-made one.

    Raises:
        InputError: there is neither.
    """
    path = Path(study)
    if path.exists():
        return path
    ready = ready_made()
    if str(study) in ready:
        return ready[str(study)]
    raise InputError(
        f"study: expected a TOML file, a folder that a study was run into, or a ready-made study "
        f"({', '.join(ready) or 'none is installed'}), got {str(study)!r}"
    )


def find_runnable(study: str | Path, images: Sequence[str | Path]) -> Path:
    """The study of that name, for a run: a ready-made study needs images.

    Raises:
        InputError: there is no such study, or it is ready-made and there are no images.
    """
    path = find_study(study)
    if not images and path != Path(study):
        raise InputError(f"images: {study} is a ready-made study and needs your images (`images` FOLDER), got none")
    return path
