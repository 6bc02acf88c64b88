"""``srfast doctor``: what an installation can do, and what it lacks."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import click

from srfast.cli.options import answer, in_options, json_option
from srfast.errors import RunError
from srfast.runtime.optional import installed

LEFT_OUT = ("all", "docs", "test", "onnx-gpu")
"""Extras that consist of others, or that users of the installed package do not need."""


@click.command()
@json_option("the findings")
def command(as_json: bool) -> None:
    """Show what this installation can do, and what is missing.

    The command lists the CPU, CUDA, the version of every optional package, the command that installs what is missing,
    and the backend that "auto" takes.
    """
    findings = examine()
    answer(as_json, findings, *(f"{name:<20} {text}" for name, text in lines(findings)))


def examine() -> dict[str, Any]:
    """The findings as a JSON-like object."""
    torch: Any = import_module("torch") if installed("torch") else None
    from srfast.ops.device import driver_possible
    from srfast.runtime.threads import default_threads
    from srfast.scoring.backends.choice import choose, unusable
    from srfast.scoring.network import load_network
    from srfast.scoring.settings import BACKENDS
    from srfast.version import VERSION

    network = load_network("srcnn", 2)
    cuda = torch is not None and torch.cuda.is_available()
    native = _native_findings()
    devices = ["cpu", "cuda"] if cuda else ["cpu"]
    backends = (
        {}
        if not native["available"]
        else {
            device: {name: unusable(name, device, network) for name in BACKENDS if name != "auto"} for device in devices
        }
    )
    try:
        auto: dict[str, Any] = dict(zip(("backend", "device"), choose("auto", "auto", network), strict=True))
    except RunError as error:
        auto = {"error": str(error)}
    return {
        "srfast": VERSION,
        "python": platform.python_version(),
        "torch": torch and torch.__version__,
        "platform": platform.platform(),
        "cpu": {"model": _cpu_model(), "cores": os.cpu_count(), "threads": default_threads()},
        "native": native,
        "cuda": {
            "available": cuda,
            "driver": driver_possible(),
            "torch_build": torch and torch.version.cuda,
            "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        },
        "onnxruntime": _provider(),
        "extras": extras(),
        "packages": {name: version for parts in extras().values() for name, version in parts.items()},
        "conflicts": conflicts(),
        "slow": slow(_version("triton")),
        "backends": backends,
        "auto": auto,
    }


def lines(findings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The findings as lines for a person: a name and a text each."""
    native = findings["native"]
    yield "srfast", f"{findings['srfast']} (Python {findings['python']}, torch {findings['torch'] or 'not installed'})"
    yield "cpu", f"{findings['cpu']['model']}, {findings['cpu']['cores']} cores, {findings['cpu']['threads']} threads"
    if native["available"]:
        fast = f"fast: integer ({native['fast']})" if native["fast"] else "fast: none, runs fp32"
        yield "engine", f"{', '.join(native['isas'])} (takes {native['isas'][-1]}; {fast})"
        yield "compiler", native["compiler"]
        built = ", ".join(f"sm_{a}" for a in native["cuda_architectures"])
        yield "cuda build", built or "none (SRFAST_CUDA=ON pip install . builds it where nvcc is)"
    else:
        yield "engine", f"missing: {native['reason']}"
    yield "cuda device", ", ".join(findings["cuda"]["devices"]) or _no_device(findings)
    ort = findings["onnxruntime"]
    if ort["provider"]:
        yield "onnx provider", ort["provider"] + (f" ({ort['reason']})" if ort["reason"] else "")
    for extra, parts in findings["extras"].items():
        yield extra, ", ".join(f"{name} {version or 'missing'}" for name, version in parts.items())
    unneeded = ("ray",) if findings["cuda"]["available"] else ("ray", "triton", "dali")
    lacking = [extra for extra, of in findings["extras"].items() if None in of.values() and extra not in unneeded]
    if lacking:
        yield "what is missing", f"pip install 'srfast[{','.join(lacking)}]'"
    for conflict in findings["conflicts"]:
        yield "conflict", conflict
    for sentence in findings["slow"]:
        yield "slow", sentence
    for device, table in findings["backends"].items():
        for name, reason in table.items():
            yield f"{name}/{device}", "works" if reason is None else f"no: {in_options(reason)}"
    auto = findings["auto"]
    yield "auto takes", auto["error"] if "error" in auto else f"{auto['backend']} on {auto['device']}"


def _no_device(findings: dict[str, Any]) -> str:
    if findings["torch"]:
        return f"none seen by PyTorch (its CUDA build: {findings['cuda']['torch_build'] or 'no'}); the CPU is used"
    if findings["cuda"]["driver"]:
        return "there may be one, but PyTorch is not installed: pip install 'srfast[cuda]'; the CPU is used until then"
    return "none, and PyTorch is not installed; the CPU is used"


def _provider() -> dict[str, Any]:
    if not installed("torch"):
        return {"provider": None, "reason": "PyTorch is not installed"}
    from srfast.scoring.backends.onnx.runtime import provider_report

    return provider_report()


def extras() -> dict[str, dict[str, str | None]]:
    """The optional packages that srfast declares: extra -> package -> its version, or None if it is missing."""
    versions: dict[str, dict[str, str | None]] = {}
    for requirement in requires("srfast") or ():
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        here = "platform_system" not in requirement or platform.system() in requirement
        if match and match[1] != "srfast" and match[2] not in LEFT_OUT and here and "python_version" not in requirement:
            versions.setdefault(match[2], {})[match[1]] = _version(match[1])
    return versions


def conflicts() -> list[str]:
    """The installed packages that conflict with each other."""
    chance = (
        "onnxruntime and onnxruntime-gpu are both installed and write the same files, so which one runs is chance: "
        "pip uninstall both, then install one (extra onnx or onnx-gpu)"
    )
    return [chance] if _version("onnxruntime") and _version("onnxruntime-gpu") else []


def slow(triton: str | None) -> list[str]:
    """Installed packages that are known to be slow, and what to do; counted by ``bench/tune.py`` for sm_90."""
    counted = (
        f"triton {triton} compiles the network's first kernel to 6,336 instructions, where 3.9 makes 1,408; a newer "
        "torch brings a newer Triton"
    )
    return [counted] if (triton or "").startswith("3.6.") else []


def _native_findings() -> dict[str, Any]:
    from srfast.ops import native

    try:
        return {"available": True, **native.build_info()}
    except RunError as error:
        return {"available": False, "reason": str(error)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
