"""Real photographs to try the main job on."""

from __future__ import annotations

from pathlib import Path

from srfast.errors import InputError, RunError
from srfast.files import atomic_path

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs inside scikit-image's wheel (public domain or CC0): a portrait, a cat, a cup, a rocket."""


def write_photographs(folder: Path) -> Path:
    """Writes the photographs as PNG files.

    Raises:
        RunError: scikit-image is not installed. InputError: the folder cannot be written.
    """
    try:
        from skimage import data
    except ImportError:
        raise RunError("the demo's photographs come with scikit-image; pip install 'srfast[demo]'") from None
    from PIL import Image

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created ({error.strerror})") from None
    for name in PHOTOGRAPHS:
        path = folder / f"{name}.png"
        if not path.exists():
            with atomic_path(path) as temporary:
                Image.fromarray(getattr(data, name)()).save(temporary, "PNG")
    return folder
