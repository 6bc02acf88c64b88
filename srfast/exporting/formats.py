"""The formats by name: one descriptor each. Nothing heavy is imported here, since help and settings list them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from srfast.errors import InputError
from srfast.runtime import plugins

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
    """A ``srfast.exporting.writer.Writer``."""
    reader: Any = None
    """A ``srfast.exporting.writer.Reader``; None if there are no pairs to read."""
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
    existing: bool = False
    """Whether it can be written as a subset of existing patches."""
    paths: str = ""
    """Regular expression of the paths that it writes."""
    snippets: Mapping[str, str] = field(default_factory=dict)
    """File name -> configuration of a trainer, as a text with the places of ``snippets.snippets`` or its name there."""
    hr_snippets: Mapping[str, str] = field(default_factory=dict)
    """The same for exports without LR patches."""

    def part(self, name: str) -> Any:
        """Its ``writer`` or ``reader``."""
        return plugins.named("srfast.exporting", getattr(self, name))


_FOLDERS = r"(HR|LRx[234])"
_SIDES = {"neosr.toml": "NEOSR", "redux.yml": "REDUX", "kair.json": "KAIR"}
_HR_SIDES = {"redux.yml": "REDUX_HR", "kair.json": "KAIR_HR"}
FORMATS = {
    "folder": Format(
        help="HR/ and LRx2/ with the same names (KAIR, traiNNer-redux, neosr, BasicSR)",
        writer="folder:Folder", reader="folder:read_folder", columns=("name",), index=True, files=True, existing=True,
        paths=_FOLDERS, snippets={"basicsr.yml": "BASICSR", **_SIDES}, hr_snippets=_HR_SIDES,
    ),
    "basicsr": Format(
        help="the same with meta_info.txt",
        writer="folder:BasicSR", reader="folder:read_basicsr", columns=("name",), index=True, files=True, existing=True,
        paths=_FOLDERS + r"|meta_info\.txt", snippets={"basicsr.yml": "BASICSR_LIST", **_SIDES}, hr_snippets=_HR_SIDES,
    ),
    "lmdb": Format(
        help="HR.lmdb/ and LRx2.lmdb/ (BasicSR, neosr)",
        writer="lmdb:Lmdb", reader="lmdb:read_lmdb", columns=("name",), index=True, existing=True,
        paths=_FOLDERS + r"\.lmdb(/((data|lock)\.mdb|meta_info\.txt))?",
        snippets={"basicsr.yml": "BASICSR_LMDB", "neosr.toml": "NEOSR_LMDB"},
    ),
    "hf": Format(
        help="an imagefolder with metadata.parquet (Hugging Face datasets)",
        writer="huggingface:ImageFolder", reader="huggingface:read_imagefolder", files=True,
        columns=("hr_file_name", "lr_file_name", "file_name", "hr", "lr"),
        paths=_FOLDERS + r"|metadata\.parquet", snippets={"load.py": "HF"}, hr_snippets={"load.py": "HF"},
    ),
    "hf-embedded": Format(
        writer="huggingface:Embedded", reader="huggingface:read_embedded", columns=("hr", "lr"), shuffled=True,
        paths=r"train-\d+-of-\d+\.parquet", snippets={"load.py": "HF_EMBEDDED"}, hr_snippets={"load.py": "HF_EMBEDDED"},
    ),
    "webdataset": Format(
        help="numbered .tar shards",
        writer="webdataset:WebDataset", reader="webdataset:read_webdataset", shuffled=True,
        paths=r"\d+\.tar", snippets={"load.py": "WEBDATASET"}, hr_snippets={"load.py": "WEBDATASET_HR"},
    ),
    "list": Format(
        help="coreset.txt, which lists the patches without cropping them",
        writer="folder:List", pixels=False, existing=True, paths=r"(coreset|meta_info)\.txt",
    ),
}  # fmt: skip
TARGETS = tuple(name for name, known in FORMATS.items() if known.help)
SUBSETS = tuple(name for name, known in FORMATS.items() if known.existing)


def find(name: str) -> Format:
    """The format of a name: one of the package, or one that an installed package adds. Raises InputError if what the
    package adds is no ``Format``."""
    entry = FORMATS.get(name) or plugins.loaded(GROUP, name)
    if not isinstance(entry, Format):
        raise InputError(f"to: expected {name} to be a Format, got {type(entry).__name__}")
    return entry
