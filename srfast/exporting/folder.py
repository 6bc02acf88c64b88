"""HR/NAME.png and LRx2/NAME.png, which KAIR, traiNNer-redux, neosr, BasicSR and Hugging Face read; and lists."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from srfast.data.parquet import TableWriter, opened
from srfast.data.shrink import COLUMN, fractions
from srfast.errors import InputError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.encode import EncodedPair
from srfast.scoring.table import CHECKED


class Folder:
    """Two folders with the same names. A patch that is a whole file is hard-linked if possible."""

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.plan, self.written, self.linked = plan, written, 0
        self.hr, self.lr = folder / "HR", folder / plan.lr_folder
        for name, _ in plan.sides:
            (folder / name).mkdir(exist_ok=True)
            self.written = count_complete(folder / name, [f"{n}.{plan.suffix}" for n in plan.names[: self.written]])

    def add(self, pairs: list[EncodedPair]) -> None:
        for pair in pairs:
            name = f"{self.plan.names[pair.row]}.{self.plan.suffix}"
            same = self.plan.first_draw(pair.row)
            if same is not None and not link(self.hr / f"{same}.{self.plan.suffix}", self.hr / name):
                pass
            elif pair.file is not None and not link(pair.file, self.hr / name):
                self.linked += 1
            else:
                put(self.hr / name, pair.hr)
            if pair.lr is not None:
                put(self.lr / name, pair.lr)
        self.written = pairs[-1].row + 1

    def finish(self) -> None:
        """All files are written."""

    def close(self) -> None:
        """Holds nothing open."""


class BasicSR(Folder):
    """The two folders with meta_info.txt, which saves BasicSR the search through the folders."""

    def finish(self) -> None:
        write_meta_info(self.hr.parent, self.plan)


class ImageFolder(Folder):
    """The two folders with metadata.parquet: hr_file_name and lr_file_name, which Hugging Face calls hr and lr, and the
    core-set's columns."""

    def finish(self) -> None:
        plan = self.plan
        columns = {
            f"{'lr' if lr else 'hr'}_file_name": pa.array(f"{side}/{n}.{plan.suffix}" for n in plan.names)
            for side, lr in plan.sides
        }
        table = pa.table(columns | {name: plan.table[name] for name in plan.table.column_names})
        with TableWriter(self.hr.parent / "metadata.parquet", table.schema, **CHECKED) as writer:
            writer.write_table(table)


class List(Folder):
    """coreset.txt, for which no pixel is read: IMAGE, x, y and size, separated by tabs, in the order of the plan.

    IMAGE is relative to the root; x, y and size are HR pixels, divisible by the scale. If the scores have a column
    shrink, a fifth word is the fraction to which the image is shrunk (``srfast.imresize``) before it is cropped.
    """

    def __init__(self, folder: Path, plan: Arrangement, written: int) -> None:
        self.folder, self.plan, self.written = folder, plan, written

    def finish(self) -> None:
        plan, p = self.plan, self.plan.patches
        odd = next((name for name in p.image if "\t" in name or not is_one_line(name)), None)
        if odd is not None:
            raise InputError(f"{odd!r}: a list cannot hold a name with a tab or a line break", hint="rename the file")
        last = [""] * len(plan)
        if COLUMN in plan.table.column_names:
            last = [f"\t{size}" for size in fractions(plan.table, p.meta)]
        rows = zip(p.image, p.x.tolist(), p.y.tolist(), p.size.tolist(), last, strict=True)
        write_lines(self.folder / "coreset.txt", (f"{image}\t{x}\t{y}\t{size}{end}" for image, x, y, size, end in rows))


def link(file: Path, target: Path) -> OSError | None:
    """Makes a hard link, or returns why the file system cannot, for example to another file system."""
    target.unlink(missing_ok=True)
    try:
        os.link(os.path.realpath(file), target)
    except OSError as error:
        return error
    return None


def put(path: Path, data: bytes) -> None:
    # Never through an existing file: after an interrupted run it may be a hard link to a file of the user's.
    path.unlink(missing_ok=True)
    with open(path, "xb") as file:
        file.write(data)


def read_folder(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs by sorted names on both sides, as KAIR does."""
    names = {name: sorted(p.name for p in (folder / name).iterdir()) for name, _ in plan.sides}
    lows = names.get(plan.lr_folder, [])
    for i, name in enumerate(names["HR"]):
        low = (folder / plan.lr_folder / lows[i]).read_bytes() if i < len(lows) and lows[i] == name else None
        yield name.split(".")[0], (folder / "HR" / name).read_bytes(), low


def read_basicsr(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs by meta_info.txt: the first word of a line names the file in both folders."""
    with open(folder / "meta_info.txt", encoding="utf-8") as file:
        for line in file:
            name = line.split(" ")[0]
            low = (folder / plan.lr_folder / name).read_bytes() if plan.lr else None
            yield name.split(".")[0], (folder / "HR" / name).read_bytes(), low


def read_imagefolder(folder: Path, plan: Arrangement) -> Generator[tuple[str, bytes, bytes | None], None, None]:
    """Reads pairs by metadata.parquet, whose paths are relative to its folder."""
    with opened(folder / "metadata.parquet") as file:
        table = file.read()
    lows = table["lr_file_name"].to_pylist() if plan.lr else [None] * len(table)
    for high, low in zip(table["hr_file_name"].to_pylist(), lows, strict=True):
        name = Path(high).name.split(".")[0]
        yield name, (folder / high).read_bytes(), None if low is None else (folder / low).read_bytes()


def is_one_line(name: str) -> bool:
    """Whether no reader of a text, including Python's ``splitlines``, sees a line break in a name: LF, CR, NEL, ..."""
    return name.splitlines() == [name]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_meta_info(folder: Path, plan: Arrangement, files: Sequence[str] | None = None) -> None:
    """Writes BasicSR's list of HR files, those of the plan's names or others."""
    files = files or [f"{name}.{plan.suffix}" for name in plan.names]
    write_lines(folder / "meta_info.txt", (f"{file} {plan.shape(row, lr=False)}" for row, file in enumerate(files)))


def count_complete(folder: Path, names: Sequence[str]) -> int:
    """The number of these files, from the first on, that exist in a folder and are not empty."""
    with os.scandir(folder) as entries:
        known = {entry.name for entry in entries if entry.is_file() and entry.stat().st_size}
    return next((i for i, name in enumerate(names) if name not in known), len(names))
