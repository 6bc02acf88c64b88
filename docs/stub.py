"""Writes srfast/__init__.pyi, by which type checkers and editors know the functions that take settings.

    python docs/stub.py

At run time these functions take ``**options``, and the settings' fields are their arguments; the stub spells them out.
``tests/docs/test_site.py`` holds it to them.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import srfast

STUB = Path(__file__).parents[1] / "srfast" / "__init__.pyi"


class Imports:
    """The names that annotations need, each under one name in the stub."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.known: dict[tuple[str, str], str] = {}

    def annotation(self, text: str, module: str, words: Sequence[Any] = ()) -> str:
        """An annotation of a module with the stub's names, and with these words or numbers for ``str`` or ``int``."""
        if words and "Literal" not in text:
            text = re.sub(r"\b(str|int)\b", f"Literal[{', '.join(map(repr, words))}]", text)
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and not hasattr(builtins, node.id):
                node.id = self._name(*(("typing", "Literal") if node.id == "Literal" else _origin(node.id, module)))
        return ast.unparse(tree).replace("'", '"')

    def lines(self) -> list[str]:
        found = []
        for (module, name), known in self.known.items():
            line = f"from {module} import {name}" if name else f"import {module}"
            found.append(line if known == (name or module) else f"{line} as {known}")
        return sorted(found)

    def _name(self, module: str, name: str) -> str:
        if (module, name) not in self.known:
            known = name or module
            while known in self.taken:
                known = f"_{known}"
            self.taken.add(known)
            self.known[module, name] = known
        return self.known[module, name]


def _origin(name: str, module: str) -> tuple[str, str]:
    """The module that defines a name which another module uses, and the name there; "" for a module itself."""
    for node in ast.walk(ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))):
        for alias in getattr(node, "names", ()) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            if (alias.asname or alias.name) == name:
                return (str(node.module), alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
    return module, name


def _signature(name: str, function: Any, imports: Imports) -> str:
    """One argument a line: the function's own, then the fields of its settings."""
    lines, keywords = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            lines.append("*")
        module = function.__module__
        if parameter.name not in function.__annotations__:
            module = next(c.__module__ for c in function.settings.__mro__ if parameter.name in c.__annotations__)
        default = "" if parameter.default is parameter.empty else " = ..."
        field = function.settings.__dataclass_fields__.get(parameter.name)
        words = field and (field.metadata.get("words") or field.metadata["kind"].choices)
        annotation = imports.annotation(parameter.annotation, module, words or ())
        lines.append(f"{parameter.name}: {annotation}{default}")
    taken = "".join(f"    {line},\n" for line in lines)
    result = imports.annotation(function.__annotations__["return"], function.__module__)
    return f'def {name}(\n{taken}) -> {result}:\n    """{function.__doc__}"""'


def stub() -> str:
    """The whole file."""
    names = {name: getattr(srfast, name) for name in srfast.__all__ if name != "__version__"}
    written = {n: o for n, o in names.items() if isinstance(o, FunctionType) and hasattr(o, "settings")}
    imports = Imports(set(names) - {"Column"})
    public = []
    for name in names:
        if name not in written:
            full = srfast._MODULES.get(name) or f"{srfast._NAMES[name]}.{name}"
            module, _, last = full.rpartition(".")
            public.append(f"from {module} import {last} as {name}")
            imports.known[module, last] = name
    functions = [_signature(name, value, imports) for name, value in written.items()]
    own = [line for line in imports.lines() if line not in {p.removesuffix(f" as {p.split()[-1]}") for p in public}]
    head = '"""Written by ``python docs/stub.py``."""\n\n'
    return head + "\n".join([*own, "", *sorted(public)]) + "\n\n__version__: str\n\n" + "\n\n".join(functions) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
