"""A table as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from srfast.evaluation.inference import Interval


@dataclass(frozen=True)
class Value:
    """A number of a table with its interval and its rank in its column."""

    interval: Interval
    digits: int
    signed: bool = False

    @property
    def text(self) -> str:
        sign = "+" if self.signed else ""
        return f"{self.interval.mean:{sign}.{self.digits}f}"

    @property
    def bounds(self) -> str:
        i = self.interval
        if math.isnan(i.low):
            return ""
        if self.signed:
            return f"[{i.low:+.{self.digits}f}, {i.high:+.{self.digits}f}]"
        return f"± {(i.high - i.low) / 2:.{self.digits}f}"


Entry = str | int | Value | None


@dataclass(frozen=True)
class Table:
    """Rows of entries; in ``ranked`` columns the two highest values of each block of rows are marked."""

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    ranked: frozenset[int] = frozenset()
    blocks: Sequence[object] = field(default_factory=list)
    """The block of each row; empty: all rows are one block."""

    def marks(self) -> dict[tuple[int, int], int]:
        """(row, column) -> 0 for the best of its block, 1 for the second."""
        found: dict[tuple[int, int], int] = {}
        blocks = list(self.blocks) or [None] * len(self.rows)
        for column in self.ranked:
            for block in dict.fromkeys(blocks):
                values = [
                    (v.text, r)
                    for r, row in enumerate(self.rows)
                    if blocks[r] == block and isinstance(v := row[column], Value)
                ]
                # As printed: what rounds to the same shares a place.
                for place, text in enumerate(sorted({t for t, _ in values}, key=float, reverse=True)[:2]):
                    found |= {(r, column): place for t, r in values if t == text}
        return found

    def _shown(self, best: str, second: str, escape: Callable[[str], str] = str) -> list[list[str]]:
        """The entries as text; templates mark the best value and the second."""
        marks = self.marks()

        def show(r: int, c: int, entry: Entry) -> str:
            if not isinstance(entry, Value):
                return "" if entry is None else escape(str(entry))
            return f"{(best, second, '%s')[marks.get((r, c), 2)] % entry.text} {escape(entry.bounds)}".strip()

        return [[show(r, c, e) for c, e in enumerate(row)] for r, row in enumerate(self.rows)]

    def markdown(self) -> str:
        """The table as Markdown, with the best value bold and the second underlined."""
        lines = [list(self.header), ["---"] * len(self.header), *self._shown("**%s**", "<u>%s</u>")]
        return f"{self.title}\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)

    def csv(self) -> str:
        """The table as CSV, with means and bounds in columns of their own."""
        wide = [any(isinstance(row[c], Value) for row in self.rows) for c in range(len(self.header))]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            [n for h, w in zip(self.header, wide, strict=True) for n in ([h, f"{h} low", f"{h} high"] if w else [h])]
        )
        for row in self.rows:
            cells: list[str] = []
            for entry, is_wide in zip(row, wide, strict=True):
                if isinstance(entry, Value):
                    i = entry.interval
                    cells += ["" if math.isnan(v) else f"{v:.{entry.digits + 2}f}" for v in (i.mean, i.low, i.high)]
                else:
                    cells += ["" if entry is None else str(entry), *([""] * (2 * is_wide))]
            writer.writerow(cells)
        return out.getvalue()

    def latex(self) -> str:
        """The table as a tabular for the package booktabs, with the best value bold and the second underlined."""
        kinds = "".join(
            "r" if any(isinstance(row[c], (Value, int)) for row in self.rows) else "l" for c in range(len(self.header))
        )
        body = []
        blocks = list(self.blocks) or [None] * len(self.rows)
        for r, row in enumerate(self._shown(r"\textbf{%s}", r"\underline{%s}", _escape)):
            if r and blocks[r] != blocks[r - 1]:
                body.append(r"\midrule")
            body.append(" & ".join(row) + r" \\")
        head = " & ".join(_escape(h) for h in self.header) + r" \\"
        lines = [f"% {self.title}", rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _escape(text: str) -> str:
    special = {"\\": r"\textbackslash ", "±": r"$\pm$", **{sign: rf"\{sign}" for sign in "%&_#"}}
    return "".join(special.get(sign, sign) for sign in text)
