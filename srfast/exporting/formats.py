"""The formats by name."""

from __future__ import annotations

from dataclasses import dataclass

from srfast.exporting.folder import BasicSR, Folder, read_basicsr, read_folder
from srfast.exporting.huggingface import Embedded, ImageFolder, read_embedded, read_imagefolder
from srfast.exporting.lmdb import Lmdb, read_lmdb
from srfast.exporting.webdataset import WebDataset, read_webdataset
from srfast.exporting.writer import Reader, Writer


@dataclass(frozen=True)
class Format:
    write: type[Writer]
    read: Reader
    columns: tuple[str, ...] = ()
    """Columns that it writes beside those of the core-set."""
    shuffled: bool = False
    """Whether images come in a drawn order, for trainers that read a format from its start to its end."""


FORMATS = {
    "folder": Format(Folder, read_folder, ("name",)),
    "basicsr": Format(BasicSR, read_basicsr, ("name",)),
    "lmdb": Format(Lmdb, read_lmdb, ("name",)),
    "hf": Format(ImageFolder, read_imagefolder, ("hr_file_name", "lr_file_name", "file_name", "hr", "lr")),
    "hf-embedded": Format(Embedded, read_embedded, ("hr", "lr"), shuffled=True),
    "webdataset": Format(WebDataset, read_webdataset, shuffled=True),
}
