"""coreset.txt, the positions of the patches, for trainers that crop by themselves."""

from __future__ import annotations

from pathlib import Path

from srfast.data.shrink import COLUMN, fractions
from srfast.errors import InputError
from srfast.exporting.arrangement import Plan
from srfast.exporting.writer import is_one_line, write_lines


def write_list(folder: Path, plan: Plan) -> None:
    """Writes one line per patch, in the order of the plan: IMAGE, x, y and size, separated by tabs.

    IMAGE is relative to the root; x, y and size are HR pixels, divisible by the scale. If the scores have a column
    shrink, a fifth word is the fraction to which the image is shrunk (``srfast.imresize``) before it is cropped.
    """
    p = plan.patches
    odd = next((name for name in p.image if "\t" in name or not is_one_line(name)), None)
    if odd is not None:
        raise InputError(f"{odd!r}: a list cannot hold a name with a tab or a line break; rename the file")
    last = [""] * len(plan)
    if COLUMN in plan.table.column_names:
        last = [f"\t{size}" for size in fractions(plan.table, p.meta)]
    rows = zip(p.image, p.x.tolist(), p.y.tolist(), p.size.tolist(), last, strict=True)
    write_lines(folder / "coreset.txt", (f"{image}\t{x}\t{y}\t{size}{end}" for image, x, y, size, end in rows))
