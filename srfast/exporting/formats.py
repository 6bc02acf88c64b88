"""The formats by name: one descriptor each. Nothing heavy is imported here, since help and settings list them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from srfast.errors import InputError
from srfast.runtime import plugins

if TYPE_CHECKING:
    from srfast.exporting.arrangement import Arrangement
    from srfast.exporting.encode import EncodedPair

GROUP = "srfast.formats"
"""Group of entry points of installed packages: a name, and a ``Format``."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of ``srfast.export``: all that export, help, settings and resuming know of it.

    A class or a function is itself or, so that a list of formats loads none, "module:name" below ``srfast.exporting``.
    """

    help: str = ""
    """What it writes and who reads it; empty for a variant that another setting selects."""
    writer: Any
    """A ``Writer``."""
    reader: Any = None
    """A ``Reader``; None if there are no pairs to read."""
    existing: Any = None
    """A function of ``srfast.exporting.existing`` that writes it as a subset of existing patches, if it can be."""
    embedded: str = ""
    """The variant of it that ``embed`` selects, if there is one."""
    pixels: bool = True
    """Whether patches are cropped and encoded for it."""
    columns: tuple[str, ...] = ()
    """Columns that it writes beside those of the core-set."""
    shuffled: bool = False
    """Whether images come in a random order, for trainers that read it from start to end."""
    index: bool = False
    """Whether patches.parquet, which says where each patch comes from, is written beside the data."""
    files: bool = False
    """Whether each patch becomes a file with its name."""
    all_tables: bool = False
    """Whether its reader takes every parquet file in the folder for patches, unless it is hidden."""
    paths: str = ""
    """Regular expression of the paths that it writes."""
    snippets: Mapping[str, str] = field(default_factory=dict)
    """File name -> configuration of a trainer, as a text with the places of ``snippets.snippets`` or its name there."""
    hr_snippets: Mapping[str, str] = field(default_factory=dict)
    """The same for exports without LR patches."""

    def part(self, name: str) -> Any:
        """Its ``writer``, ``reader`` or ``existing``."""
        return plugins.named("srfast.exporting", getattr(self, name))


class Writer(Protocol):
    """Writes a plan into a folder; it is made with the number of rows that an interrupted run has finished.

    It counts only those of them whose files exist: a file may have been removed, or left empty by a power cut.
    """

    written: int
    """Number of rows, from the first on, that would survive the end of the process."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None: ...

    def add(self, pairs: list[EncodedPair]) -> None:
        """Writes the next rows."""

    def finish(self) -> None:
        """Completes the files."""

    def close(self) -> None:
        """Frees resources; it is called after ``finish`` and after an error, and loses no finished rows."""


class Reader(Protocol):
    """Reads an export back as trainers do: (name, HR file, LR file) for every pair."""

    def __call__(self, folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]: ...


_FOLDERS = r"(HR|LRx[234])"
_SIDES = {"neosr.toml": "NEOSR", "redux.yml": "REDUX", "kair.json": "KAIR"}
_HR_SIDES = {"redux.yml": "REDUX_HR", "kair.json": "KAIR_HR"}
FORMATS = {
    "folder": Format(
        help="HR/ and LRx2/ with the same names (KAIR, traiNNer-redux, neosr, BasicSR)",
        writer="folder:Folder", reader="folder:read_folder", existing="existing:folders", columns=("name",), index=True,
        files=True, paths=_FOLDERS, snippets={"basicsr.yml": "BASICSR", **_SIDES}, hr_snippets=_HR_SIDES,
    ),
    "basicsr": Format(
        help="the same with meta_info.txt",
        writer="folder:BasicSR", reader="folder:read_basicsr", existing="existing:folders", columns=("name",),
        index=True, files=True, paths=_FOLDERS + r"|meta_info\.txt",
        snippets={"basicsr.yml": "BASICSR_LIST", **_SIDES}, hr_snippets=_HR_SIDES,
    ),
    "lmdb": Format(
        help="HR.lmdb/ and LRx2.lmdb/ (BasicSR, neosr)",
        writer="lmdb:Lmdb", reader="lmdb:read_lmdb", columns=("name",), index=True, existing="existing:databases",
        paths=_FOLDERS + r"\.lmdb(/((data|lock)\.mdb|meta_info\.txt))?",
        snippets={"basicsr.yml": "BASICSR_LMDB", "neosr.toml": "NEOSR_LMDB"},
    ),
    "hf": Format(
        help="an imagefolder with metadata.parquet (Hugging Face datasets)",
        writer="folder:ImageFolder", reader="folder:read_imagefolder", embedded="hf-embedded", files=True,
        all_tables=True, columns=("hr_file_name", "lr_file_name", "file_name", "hr", "lr"),
        paths=_FOLDERS + r"|metadata\.parquet", snippets={"load.py": "HF"}, hr_snippets={"load.py": "HF"},
    ),
    "hf-embedded": Format(
        writer="shards:Embedded", reader="shards:read_embedded", columns=("hr", "lr"), shuffled=True, all_tables=True,
        paths=r"train-\d+-of-\d+\.parquet", snippets={"load.py": "HF_EMBEDDED"}, hr_snippets={"load.py": "HF_EMBEDDED"},
    ),
    "webdataset": Format(
        help="numbered .tar shards",
        writer="shards:WebDataset", reader="shards:read_webdataset", shuffled=True,
        paths=r"\d+\.tar", snippets={"load.py": "WEBDATASET"}, hr_snippets={"load.py": "WEBDATASET_HR"},
    ),
    "list": Format(
        help="coreset.txt, which lists the patches without cropping them",
        writer="folder:List", pixels=False, existing="existing:folders", paths=r"(coreset|meta_info)\.txt",
        snippets={"basicsr.yml": "BASICSR_LIST"},
    ),
}  # fmt: skip


def find(name: str) -> Format:
    """The format of a name: one of the package, or one that an installed package adds. Raises InputError if what the
    package adds is no ``Format``."""
    entry = FORMATS.get(name) or plugins.loaded(GROUP, name)
    if not isinstance(entry, Format):
        raise InputError(f"to: expected {name} to be a Format, got {type(entry).__name__}")
    return entry
