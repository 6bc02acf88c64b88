"""The API page shows public names, and the signatures and arguments that functions take from their settings."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import griffe


class PublicNames(griffe.Extension):
    """``srfast.X`` stands for what it loads when it is first used, with its docstring, which the stub lacks."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        if pkg.path == "srfast":
            for name, module in importlib.import_module("srfast")._NAMES.items():
                pkg.set_member(name, griffe.Alias(name, f"{module}.{name}", parent=pkg))


class Settings(griffe.Extension):
    """Functions whose signature is made when they are imported are described as they are then."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        if "**options: settings" not in (func.docstring.value if func.docstring else ""):
            return
        found = getattr(importlib.import_module(func.module.path), func.name)
        func.docstring.value = inspect.cleandoc(found.__doc__)
        kinds = {k.name: griffe.ParameterKind[k.name.lower()] for k in inspect._ParameterKind}
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    p.name,
                    kind=kinds[p.kind.name],
                    annotation=p.annotation if isinstance(p.annotation, str) else None,
                    default=None if p.default is p.empty else repr(p.default),
                )
                for p in inspect.signature(found).parameters.values()
            )
        )
