"""Assembles a page: template, style and scripts of ``page/`` with a content object, as one file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jinja2

from srfast.report.content import Content
from srfast.version import VERSION

_FOLDER = "page"
_IMPORT = re.compile(r'^import (?:(\{[^}]*\}) from )?"\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


def assemble(content: Content, server: dict[str, Any] | None = None) -> str:
    """The page as HTML. It loads nothing, and the same content gives the same text. Its text never becomes markup: the
    template escapes it, and scripts set it as text. ``server`` has the addresses of rows and pictures if they are not
    in the file (``srfast view``); the content security policy allows them."""
    script = bundle("main" if content.explorer else "galleries")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:{' blob: ' + chr(39) + 'self' + chr(39) if server else ''}; "
        f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        + ("; connect-src 'self'" if server else "")
    )
    return _environment().get_template("page.html").render(
        content=content,
        version=VERSION,
        policy=policy,
        style=_source("style.css"),
        script=script,
        data=script_json(content.data() | {"server": server}),
        pictures=script_json(
            {
                "shots": [{k: _uri(v) for k, v in shot.pictures.items()} for shot in content.shots],
                "wholes": {image: _uri(data) for image, data in content.wholes.items()},
            }
        ),
    )  # fmt: skip


def script_json(value: Any) -> str:
    """JSON for a script element, which nothing in it can end or replace."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@lru_cache
def bundle(entry: str) -> str:
    """A module of ``page/`` and all that it imports as one script, in order of dependence."""
    done: dict[str, str] = {}

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"{name}.js imports itself through {', '.join(above)}")
        if name not in done:
            text = _source(f"{name}.js")
            for _, other in _IMPORT.findall(text):
                add(other, (*above, name))
            text = _IMPORT.sub(lambda m: f"const {m[1]} = in_{m[2]};\n" if m[1] else "", text)
            given = ", ".join(_EXPORT.findall(text))
            text = _EXPORT.sub("", text)
            if re.search(r"^(import|export)\b", text, re.MULTILINE):
                raise ValueError(
                    f'{name}.js: expected imports of names from "./NAME.js", exports of functions and constants'
                )
            done[name] = f"const in_{name} = (() => {{\n{text}return {{ {given} }};\n}})();\n"

    add(entry, ())
    return '"use strict";\n(() => {\n' + "".join(done.values()) + "})();\n"


def _uri(data: bytes) -> str:
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
    kind = next((k for start, k in kinds.items() if data.startswith(start)), None)
    if kind is None:
        raise ValueError("picture: expected a file of PNG, JPEG or WebP")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


@lru_cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["uri"] = _uri
    return made


@lru_cache
def _source(name: str) -> str:
    return files("srfast.report").joinpath(_FOLDER).joinpath(name).read_text("utf-8")
