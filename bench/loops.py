"""Instructions of the engines' innermost loops, which no busy machine changes: ``python -m bench loops``.

A loop's products are multiplications of vectors. What is counted is what the compiler made of csrc/cpu/score_*.cpp: the
instructions for a product, and the vectors that a loop reads from or writes to the stack.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FEWEST = 8
"""Products of a loop that counts."""
LIMIT = 1.03
"""More instructions for a product than this times those of before are a regression."""
OPTIONS = ("-std=gnu++20", "-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast")
PRODUCT = re.compile(r"(\{vex\} )?(vfmadd|vpdp|vpmaddwd|mulps)")
STACK = re.compile(r"v.*\(%r[sb]p")


def innermost(disassembly: str) -> list[list[str]]:
    """The loops without a loop inside, each as its instructions, of what ``objdump -d`` prints."""
    code = re.findall(r"^\s*([0-9a-f]+):\s+(\S.*)$", disassembly, re.MULTILINE)
    at = {int(address, 16): i for i, (address, _) in enumerate(code)}
    loops = []
    for i, (_, text) in enumerate(code):
        jump = re.match(r"j\w+\s+([0-9a-f]+)", text)
        if jump and (start := at.get(int(jump[1], 16), i)) < i:
            loops.append((start, i))
    inner = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    return [[text for _, text in code[first : last + 1]] for first, last in inner]


def counted(disassembly: str) -> dict[str, float]:
    """Loops, instructions for a product, and reads and writes of the stack."""
    bodies = [(body, sum(bool(PRODUCT.match(text)) for text in body)) for body in innermost(disassembly)]
    loops = [(body, products) for body, products in bodies if products >= FEWEST]
    instructions, products = sum(len(body) for body, _ in loops), sum(count for _, count in loops)
    stack = sum(bool(STACK.match(text)) for body, _ in loops for text in body)
    return {"loops": len(loops), "instructions_a_product": round(instructions / max(products, 1), 4), "stack": stack}


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure() -> dict[str, Any]:
    """Of each source that is compiled for instructions of x86, and the compiler; empty where there is no g++ for it."""
    lines = [line.split() for line in (ROOT / "csrc/cpu/flags.txt").read_text().splitlines()]
    sources = {"score_baseline.cpp": [], **{source: options for m, source, *options in lines if m == "x86"}}
    if not shutil.which("g++") or not _said("g++", "-dumpmachine").startswith("x86_64"):
        return {}
    counts: dict[str, Any] = {"compiler": _said("g++", "--version").splitlines()[0]}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in sources.items():
            output = Path(folder) / f"{name}.o"
            command = ["g++", *OPTIONS, "-DSRFAST_X86=1", f"-I{ROOT / 'csrc'}", *options, "-c", "-o", str(output)]
            _said(*command, str(ROOT / "csrc/cpu" / name))
            counts[name] = counted(_said("objdump", "-d", "--no-show-raw-insn", str(output)))
    return counts


def compare(old: dict[str, Any], new: dict[str, Any]) -> int:
    """Prints what changed; the number of regressions. Another compiler's loops are other loops."""
    if not (old and new):
        return 0
    if old["compiler"] != new["compiler"]:
        print(f"loops not compared: {old['compiler']} and {new['compiler']}")
        return 0
    regressions = 0
    for name in sorted((old.keys() & new.keys()) - {"compiler"}):
        a, b = old[name], new[name]
        worse = b["instructions_a_product"] > LIMIT * a["instructions_a_product"] or b["stack"] > a["stack"]
        regressions += worse
        if a != b:
            line = f"{name:<60} {'instructions':<16} {a['instructions_a_product']:8.3f} -> "
            line += f"{b['instructions_a_product']:8.3f}   stack {a['stack']} -> {b['stack']}"
            print(line + ("  REGRESSION" if worse else ""))
    return regressions
