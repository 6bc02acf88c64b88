"""Finding image files, and reading them as OpenCV's IMREAD_COLOR does."""

from __future__ import annotations

import io
import logging
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from srfast.data import hashing, jpeg, limits, png, tiff
from srfast.data.tiff import left_out
from srfast.data.workers import claim, decoding
from srfast.errors import InputError

log = logging.getLogger(__name__)
_AVIF = find_spec("PIL._avif") is not None
"""Whether the installed Pillow reads AVIF."""
SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm",
     ".pbm", ".pnm", ".jp2", ".j2k", ".gif", ".dds", ".tga", *((".avif",) if _AVIF else ())}
)  # fmt: skip
_NEVER = frozenset(
    {".csv", ".db", ".html", ".ini", ".json", ".lock", ".log", ".md", ".parquet", ".py", ".sh", ".toml", ".txt", ".xml",
     ".yaml", ".yml"}
)  # fmt: skip
"""Suffixes of texts and tables, which lie beside images and are passed over without a word."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "GIF", *(("AVIF",) if _AVIF else ()), "DDS")
"""The formats that are read, whatever a file's suffix. Others start foreign programs (EPS) or rarely tested
decoders. TGA, which has no signature at the beginning of a file, is read where the suffix is .tga."""
_HELD = {"JPEG": 0, "WEBP": 17, "AVIF": 14, "DDS": 7}
"""Bytes a pixel that a decoder holds beside the file and the array; 4 for other formats."""
_LOOKED_AT = 1 << 26
"""Size in bytes from which a file is read only if its first bytes look like an image."""
_FAST_PNG = png.fast()
DEEP = "expected pixels of 8 or 16 bits, got {}; convert the file"
_JPEG = b"\xff\xd8"
_STRIP = 1 << 22
"""Pixels that are converted at a time, so that a large image is in memory only once as Pillow's and once as an
array."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file of a dataset, ``root / name``, with the state by which a change is noticed."""

    root: Path
    name: str
    """Path relative to the root, with POSIX separators."""
    size: int
    """Size of the file in bytes."""
    mtime_ns: int
    lr: tuple[int, int] | None = None
    """Bytes and modification time of its given LR image, if there is one."""

    @property
    def path(self) -> Path:
        return self.root / self.name


def find_images(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], passed: Counter[str] | None = None
) -> list[ImageFile]:
    """The images under files and folders, without duplicates, sorted by relative path.

    A folder is searched recursively for the suffixes in ``SUFFIXES``. Hidden files and folders are skipped, symbolic
    links are followed, and a folder that is reached twice is searched once. A file that is named explicitly is taken
    whatever its suffix. The root is the folder itself, or the closest folder that holds all inputs. ``passed`` counts,
    by suffix, the files of the folders that are no images by their suffix, but for texts and tables. Raises InputError
    if a path does not exist, no image was found, or a score table cannot hold one of the names.
    """
    paths = [inputs] if isinstance(inputs, (str, os.PathLike)) or not isinstance(inputs, Iterable) else list(inputs)
    if not paths:
        raise InputError("images: expected at least one file or folder, got none")
    for item in paths:
        if not isinstance(item, (str, os.PathLike)) or item == "":  # a variable of a shell that was not set
            raise InputError(f"images: expected paths of files and folders, got {item!r:.80}")
        if not os.path.exists(item):
            raise InputError(f"{item}: no such file or folder")
    absolute = [Path(os.path.abspath(item)) for item in paths]
    root = Path(os.path.commonpath([p if p.is_dir() else p.parent for p in absolute]))
    files: dict[str, ImageFile] = {}
    seen: set[tuple[int, int]] = set()
    passed = Counter() if passed is None else passed
    for path in absolute:
        for file in _walk(path, seen, passed) if path.is_dir() else [path]:
            name = file.relative_to(root).as_posix()
            files[name] = ImageFile(root, name, *_state(file))
    if not files:
        listed = ", ".join(str(p) for p in paths)
        over = f"; passed over {counted(passed)}" if passed else ""
        raise InputError(f"{listed}: no image files found (looked for {' '.join(sorted(SUFFIXES))}){over}")
    for name in files:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{name!r}: the file name is not valid UTF-8", hint="rename the file") from None
        if not stays_inside(name):
            raise InputError(
                f"{name!r}: elsewhere the file name would point outside its folder", hint="rename the file"
            )
    return [files[name] for name in sorted(files)]


def stays_inside(name: str) -> bool:
    """Whether a relative path stays below the folder to which it is joined, on POSIX and on Windows."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    absolute = posix.is_absolute() or windows.drive or windows.root
    return bool(posix.parts) and not absolute and ".." not in posix.parts + windows.parts and "\0" not in name


def _state(file: Path) -> tuple[int, int]:
    """Bytes and modification time; zeros for what cannot be opened, as reading then reports."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def counted(passed: Mapping[str, int]) -> str:
    """The suffixes of files that were passed over and their numbers, the most frequent first: ``.tga 5, .exr 3``."""
    ranked = sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{suffix or 'none'} {n:,}" for suffix, n in ranked[:8]) + (", ..." if len(ranked) > 8 else "")


def _walk(folder: Path, seen: set[tuple[int, int]], passed: Counter[str]) -> list[Path]:
    """The images below a folder, without those of folders ``seen`` before by whatever name: a link, or another case."""

    def unreadable(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    files = []
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        state = os.stat(parent)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES and not name.startswith("."):
                files.append(Path(parent, name))
            elif suffix not in _NEVER and not name.startswith("."):
                passed[suffix] += 1
    return files


def read_rgb(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads an image as uint8 [H, W, 3] RGB.

    Images are read as by OpenCV's IMREAD_COLOR: gray is repeated to three channels, palettes are resolved, alpha is
    dropped without blending, 16 bits become the high 8, EXIF orientation is applied, ICC profiles are ignored, and the
    first frame of an animation is taken. CMYK is converted by Pillow's plain formula.

    Raises:
        InputError: the file cannot be read or decoded, has none of ``FORMATS``, is empty, or is larger than the limits
            (179 million pixels unless more are allowed, 2 GiB); the message names the file and the reason.
    """
    return _read(path, colours=True)[0]


def read_hashed(path: str | os.PathLike[str]) -> tuple[np.ndarray, str]:
    """Reads an image like ``read_rgb``, and the SHA-256 of its file from the same bytes."""
    image, notes = _read(path, colours=True, noted=True)
    return image, notes["sha256"]


def read_noted(path: str | os.PathLike[str]) -> tuple[np.ndarray, dict[str, str]]:
    """Reads an image like ``read_rgb``, and what a table notes of its file: ``sha256``, and ``reduced`` if reading left
    something out."""
    return _read(path, colours=True, noted=True)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads an image like ``read_rgb``, but a file with a single gray channel as uint8 [H, W]."""
    return _read(path, colours=False)[0]


def _read(path: str | os.PathLike[str], colours: bool, noted: bool = False) -> tuple[np.ndarray, dict[str, str]]:
    with refusing(path), decoding() as keep:
        with limits.regular_file(path) as file:
            if os.fstat(file.fileno()).st_size > _LOOKED_AT:
                opened(file, path)  # and not closed, as the file would be too
                file.seek(0)
            content = file.read()
        notes = {"sha256": hashing.of_bytes(content)} if noted else {}
        if noted and content[:2] != _JPEG:
            with opened(io.BytesIO(content), path) as image_file:
                if lost := left_out(image_file, content):
                    notes["reduced"] = lost
        image = decoded(content, path)
        if colours and image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        keep(image.nbytes)
        return image, notes


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of an image as ``read_rgb`` returns it, from the header alone. Raises InputError if ``read_rgb``
    would refuse the file by its header."""
    with header(path) as image:
        w, h = image.size
        return (h, w) if turned(image) else (w, h)


def turned(image: Image.Image) -> bool:
    """Whether the EXIF orientation of an image that is not decoded yet exchanges width and height."""
    known = {"exif", "Raw profile type exif"} & image.info.keys()
    # Pillow decodes a whole PNG file to see whether EXIF data follow the pixels.
    file = getattr(image, "fp", None)
    if image.format == "PNG" and file is not None and not known and not png.has_text_after_pixels(file):
        return False
    return image.getexif().get(_ORIENTATION) in (5, 6, 7, 8) and not tiff.is_turned(image)


def file_format(path: str | os.PathLike[str]) -> str:
    """The format of an image by its header, one of ``FORMATS``. Raises InputError if ``read_rgb`` would refuse the file
    by its header."""
    with header(path) as image:
        return str(image.format)


@contextmanager
def header(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """An image that is open and not decoded yet. Raises InputError if ``read_rgb`` would refuse the file by its
    header."""
    with refusing(path), limits.regular_file(path) as file, opened(file, path) as image:
        yield image


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever reading raises into an InputError that names the file."""
    try:
        yield
    except InputError as error:
        raise error.within(f"{path}: ") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image in a known format") from None
    except Image.DecompressionBombError as error:
        size = f"{match[1]} pixels" if (match := re.search(r"\((\d+) pixels\)", str(error))) else "more"
        raise limits.refusal(size, limits.most_pixels()).within(f"{path}: ") from None
    except MemoryError:
        raise InputError(f"{path}: not enough memory to decode") from None
    except CancelledError:
        raise
    # Decoders raise many types on damaged files; whatever they raise, the file is at fault.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        lost = isinstance(error, OSError) and error.errno is not None
        words = reason if lost else f"cannot be decoded ({reason or type(error).__name__})"
        raise InputError(f"{path}: {words}") from None


def opened(file: BinaryIO, path: str | os.PathLike[str]) -> Image.Image:
    """An image that is not decoded yet; ``path`` is the name of the file."""
    more = ("TGA",) if os.path.splitext(path)[1].lower() == ".tga" else ()
    limits.prepare()
    image = _identified(file, (*FORMATS, *more))
    if image is None:
        if (depth := tiff.deep(file)) is not None:
            raise InputError(DEEP.format(depth))
        raise UnidentifiedImageError
    if image.format == "MPO":  # a JPEG file with further pictures behind the first, as telephones write
        image.format = "JPEG"
    if image.width * image.height > (most := limits.most_pixels()):
        raise limits.refusal(f"{image.width} x {image.height}", most)
    _forget_xmp(image)
    return image


def _identified(file: BinaryIO, formats: Iterable[str]) -> Image.Image | None:
    """An image by the first of these formats that takes its header; None if none does. ``Image.open`` does the same,
    and warns of images half as large as those that it refuses, by a setting that belongs to its callers."""
    file.seek(0)
    start = file.read(16)
    Image.preinit()
    for name in formats:
        if name not in Image.OPEN:
            Image.init()
        factory, accepts = Image.OPEN[name]
        taken = accepts is None or accepts(start)  # a text says why not
        if taken and not isinstance(taken, str):
            file.seek(0)
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                return factory(file, "")
    return None


def _forget_xmp(image: Image.Image) -> None:
    """Removes XMP, in which Pillow looks for an orientation if EXIF has none. OpenCV does not, nor do trainers."""
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)


def decoded(data: bytes, path: str | os.PathLike[str]) -> np.ndarray:
    """The pixels of a file, uint8 [H, W, 3], or [H, W] of a gray image."""
    with opened(io.BytesIO(data), path) as image:
        pixels = image.width * image.height
        kind = image.format
        size = len(data) + (3 + _HELD.get(str(kind), 4)) * pixels
        if pixels > limits.PIXELS:
            log.warning("%s: has %d million pixels; decoding it takes about %.1f GB", path, pixels // 10**6, size / 1e9)
        claim(size)
        if kind == "JPEG":
            array = jpeg.pixels_of(data, image, image.getexif().get(_ORIENTATION, 1))
            if array is not None:
                return array
        if kind == "PNG" and _FAST_PNG:
            array = png.decode(data)
            if array is not None:
                return array
        shift, inverted = 8, False
        if kind == "TIFF":
            tiff.silence()
            shift, inverted = tiff.high_bits(image)
        image.load()
        _forget_xmp(image)  # a PNG file may have it behind the pixels
        if kind == "JPEG" and jpeg.ends_gray(image):
            raise InputError("cannot be decoded (its data end early)")
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            values = (np.asarray(image) >> shift).astype(np.uint8)
            return ~values if inverted else values
        w, h = image.size
        step = max(1, _STRIP // w)
        out = np.empty((h, w, *_array(image.crop((0, 0, 1, 1)), kind, image.info).shape[2:]), np.uint8)
        for y in range(0, h, step):
            out[y : y + step] = _array(image.crop((0, y, w, min(h, y + step))), kind, image.info)
        return out


def _array(image: Image.Image, kind: str | None, info: Mapping[Any, Any]) -> np.ndarray:
    """The pixels as uint8 [H, W, 3], or [H, W] of a gray image."""
    if image.mode == "I" and kind in ("PNG", "PPM"):  # 16 bits, which Pillow widens
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode == "LA":
        return np.asarray(image.getchannel(0))
    if image.mode in ("I", "F"):
        raise InputError(DEEP.format("32-bit integers" if image.mode == "I" else "32-bit floats"))
    if image.mode in ("P", "PA") and "transparency" in info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "RGBX"):
        return np.asarray(image)[:, :, :3]
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


_ORIENTATION = 0x0112
Item = TypeVar("Item")


def shard_of(files: Sequence[Item], shard: tuple[int, int] | None) -> list[Item]:
    """Every n-th item, from the i-th on; i of (i, n) counts from 0 or from 1, and n/n is the shard 0/n."""
    if shard is None:
        return list(files)
    i, n = shard
    if n < 1 or not 0 <= i <= n:
        raise InputError(f"shard: expected i/n with 0 <= i <= n and n >= 1, got {i}/{n}")
    return list(files[i % n :: n])
