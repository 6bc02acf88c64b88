"""The formats by name, and the work of an export to each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from srfast.exporting.arrangement import Arrangement
from srfast.exporting.existing import subset
from srfast.exporting.folder import BasicSR, Folder, read_basicsr, read_folder, write_list
from srfast.exporting.huggingface import Embedded, ImageFolder, read_embedded, read_imagefolder
from srfast.exporting.lmdb import Lmdb, read_lmdb
from srfast.exporting.settings import ExportSettings
from srfast.exporting.stream import encoded
from srfast.exporting.webdataset import WebDataset, read_webdataset
from srfast.exporting.workplace import Workplace
from srfast.exporting.writer import Reader, Writer
from srfast.runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """The interface by which ``srfast.export`` uses a format."""

    read: Reader | None = None
    """Reader of the export; None if there are no pairs to read."""
    columns: tuple[str, ...] = ()
    """Columns that the format writes beside those of the core-set."""
    shuffled: bool = False
    """Whether images come in a random order, for trainers that read a format from start to end."""
    index: bool = False
    """Whether patches.parquet, which says where each patch comes from, is written beside the data."""
    files: bool = False
    """Whether each patch becomes a file with its name."""
    sources: list[Path] = field(default_factory=list)
    """Paths of existing patches; empty if patches are made."""

    @abstractmethod
    def write(self, place: Workplace, plan: Arrangement, threads: int, progress: Progress) -> tuple[Arrangement, int]:
        """Writes what is not finished yet, and returns the plan with the names of the patches, and the number
        of links."""


@dataclass(frozen=True, kw_only=True)
class EncodedPairs(Format):
    """A format whose pairs are encoded and given to a writer."""

    writer: type[Writer]

    def write(self, place: Workplace, plan: Arrangement, threads: int, progress: Progress) -> tuple[Arrangement, int]:
        if place.finished:
            return plan, 0
        total = len(plan.images)
        writer = self.writer(place.folder, plan, place.written)
        before = writer.written
        images = sum(last <= before for _, last in plan.images)
        with closing(writer), closing(encoded(plan, before, threads)) as batches:
            for pairs in batches:
                writer.add(pairs)
                place.note(writer.written)
                while images < total and plan.images[images][1] <= pairs[-1].row + 1:
                    images += 1
                progress(images, total, pairs[-1].row + 1 - before)
            writer.finish()
        return plan, int(getattr(writer, "linked", 0))


class Listing(Format):
    """coreset.txt, for which no pixel is read."""

    def write(self, place: Workplace, plan: Arrangement, threads: int, progress: Progress) -> tuple[Arrangement, int]:
        if not place.finished:
            write_list(place.folder, plan)
        return plan, 0


@dataclass(frozen=True, kw_only=True)
class Subset(Format):
    """Existing patches, which are linked and listed as in one of the other formats."""

    to: str

    def write(self, place: Workplace, plan: Arrangement, threads: int, progress: Progress) -> tuple[Arrangement, int]:
        hr, *lr = self.sources
        if self.to == "list" and not place.finished:
            write_list(place.folder, plan)
        plan = subset(self.to, place.folder, plan, hr, lr[0] if lr else None)
        return plan, {"list": 0, "lmdb": len(self.sources)}.get(self.to, len(plan))


_HF = ("hr_file_name", "lr_file_name", "file_name", "hr", "lr")
FORMATS: dict[str, Format] = {
    "folder": EncodedPairs(writer=Folder, read=read_folder, columns=("name",), index=True, files=True),
    "basicsr": EncodedPairs(writer=BasicSR, read=read_basicsr, columns=("name",), index=True, files=True),
    "lmdb": EncodedPairs(writer=Lmdb, read=read_lmdb, columns=("name",), index=True),
    "hf": EncodedPairs(writer=ImageFolder, read=read_imagefolder, columns=_HF, files=True),
    "hf-embedded": EncodedPairs(writer=Embedded, read=read_embedded, columns=("hr", "lr"), shuffled=True),
    "webdataset": EncodedPairs(writer=WebDataset, read=read_webdataset, shuffled=True),
    "list": Listing(),
}


def format_of(settings: ExportSettings) -> tuple[str, Format]:
    """The name of the requested format, and the object that writes it."""
    name = "hf-embedded" if settings.embed else settings.to
    like = FORMATS[name]
    sources = [Path(path) for path in (settings.existing, settings.existing_lr if settings.lr else None) if path]
    if not sources:
        return name, like
    return name, Subset(
        to=name, sources=sources, read=like.read, columns=like.columns, index=like.index, files=like.files
    )
