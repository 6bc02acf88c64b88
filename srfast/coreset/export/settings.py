"""What an export may be: its choices, typed once, free of heavy imports."""

from __future__ import annotations

from typing import Literal, get_args

Target = Literal["folder", "basicsr", "lmdb", "hf", "webdataset", "list"]
Encoding = Literal["png", "webp"]

TARGETS: tuple[str, ...] = get_args(Target)
ENCODINGS: tuple[str, ...] = get_args(Encoding)
