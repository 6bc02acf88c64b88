"""The temporary folder of an export, beside its output, which it becomes when it is complete."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srfast.data.atomic import atomic_path
from srfast.data.files import PARTS
from srfast.data.provenance import MARK, kind_of
from srfast.data.run_folder import NAMES, RunFolder, check_folder_name, check_same, growing, made_of, tidy
from srfast.errors import InputError
from srfast.exporting.formats import FORMATS
from srfast.runtime.locks import LOCK, Lock

KIND = "export"
_CHECKSUMS = {name: f"other {name}" for name in ("patches", "images", "columns")}
"""Settings whose values say nothing to a reader."""
_OURS = "|".join([
    *(known.paths for known in FORMATS.values()), r"\.?degradation\.parquet|patches\.parquet",
    *(re.escape(name) for known in FORMATS.values() for name in (*known.snippets, *known.hr_snippets)),
])  # fmt: skip
"""Paths that exports write."""
_PAIRS = re.compile(r"(HR|LRx[1-4])/([^/]+)\.[a-z]+")


@contextmanager
def workplace(
    output: Path, settings: dict[str, Any], resume: bool, names: Iterable[str] = (), paths: str = ""
) -> Iterator[tuple[Path, RunFolder | None]]:
    """Yields the folder OUTPUT.parts, with its run; on success it becomes OUTPUT, new or empty, otherwise it stays for
    ``resume``.

    A finished export with the same settings (JSON values) is yielded itself, without a run. ``names`` are those of the
    files in HR and LRx2, without suffix, and ``paths`` is a regular expression of those that a format of an installed
    package writes.
    Raises InputError if OUTPUT or OUTPUT.parts holds something that must not be replaced, or was made with other
    settings, and RunError if the disk is full, or another run writes there now.
    """
    final = check_folder_name(output)
    if resume and kind_of(final) == KIND:
        if (existing := made_of(final)) is None:
            raise InputError(f"{output}: cannot be resumed: {MARK} in it cannot be read", hint="choose another output")
        _check_same(output, existing, settings)
        # Files that a run left in the export when it was killed after the rename.
        if (final / LOCK).exists():
            Lock.take(final / LOCK, output).release()
        tidy(final)
        yield final, None
        return
    with growing(output, KIND, _ours_in(final.with_name(final.name + PARTS), paths)) as run:
        known = made_of(run.path) if resume else None
        if known is None:
            run.clear()
            with atomic_path(run.path / NAMES) as temporary:
                temporary.write_text("".join(f"{name}\n" for name in names) + "\n", encoding="utf-8")
            run.mark(settings)
        else:
            _check_same(output, known, settings)
        yield run.path, run


def _ours_in(parts: Path, paths: str) -> Callable[[str], bool]:
    """Says of a path in the folder whether an export writes it."""
    try:
        names = set((parts / NAMES).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        names = None

    def ours(name: str) -> bool:
        pair = _PAIRS.fullmatch(name)
        return bool(re.fullmatch(f"{_OURS}|{paths}", name)) or bool(pair and (names is None or pair[2] in names))

    return ours


def _check_same(output: Path, existing: dict[str, Any], settings: dict[str, Any]) -> None:
    way = "use the old value, or choose another output"
    check_same(output, existing, settings, done="begun", way=way, sums=_CHECKSUMS)
