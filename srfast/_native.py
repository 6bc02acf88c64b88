"""The only importer of the compiled module."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

from srfast.errors import RunError

ISAS = ("baseline", "avx2", "avx512")
BOUNDARIES = {"symmetric": 0, "replicate": 1}


@lru_cache(maxsize=1)
def _load() -> tuple[ModuleType | None, str]:
    try:
        from srfast import _C
    except ImportError as error:
        return None, str(error)
    return _C, ""


def native() -> Any:
    """The compiled module; raises RunError with the cause when it cannot be loaded."""
    module, reason = _load()
    if module is None:
        raise RunError(f"srfast's compiled module is missing or broken ({reason}); reinstall with `pip install .`")
    return module


def available() -> bool:
    return _load()[0] is not None


def isas() -> list[str]:
    """Instruction sets of the scoring engine that this machine and this build can run, slowest first."""
    mask = native().supported_isas()
    return [name for i, name in enumerate(ISAS) if mask >> i & 1]


def build_info() -> dict[str, Any]:
    """Version, compiler, instruction sets and CUDA architectures of the compiled module."""
    c = native()
    architectures = [a for a in c.cuda_architectures.split(",") if a]
    return {
        "version": c.version,
        "compiler": c.compiler,
        "isas": isas(),
        "fast": c.supports_fast(),
        "cuda": bool(architectures),
        "cuda_architectures": architectures,
    }
