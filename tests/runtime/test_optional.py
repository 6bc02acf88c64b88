"""What is said of a package that is missing agrees with what pyproject.toml declares."""

import re
import sys
from importlib.metadata import requires

import pytest

from srfast.cli.tools import write_photographs
from srfast.errors import RunError
from srfast.runtime.optional import BRINGS, OWN, missing


def brought(extra: str) -> set[str]:
    """The packages that an extra installs, through the extras that it consists of; those of srfast itself by ""."""
    packages: set[str] = set()
    for line in requires("srfast") or ():
        name, parts, of = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?.*?(?:extra == ['\"]([\w-]+)['\"])?", line).groups(
            ""
        )
        if of == extra:
            packages |= {name} if name != "srfast" else set().union(*map(brought, parts.split(",")))
    return packages


NAMES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "faiss": "faiss-cpu", "skimage": "scikit-image"}
"""What the package of a module is called, where it has another name."""


@pytest.mark.parametrize(("package", "extra"), BRINGS.items())
def test_the_extra_brings_the_package(package, extra):
    assert NAMES.get(package, package) in brought(extra)
    assert not extra or package not in brought("")
    assert all("torch" in brought(own) for own in OWN.values())


@pytest.mark.parametrize(
    ("what", "package", "said"),
    [
        ("srfast train", "torch", "srfast train needs PyTorch, which is not installed; pip install 'srfast[train]'"),
        ("srfast eval", "torch", "srfast eval needs PyTorch, which is not installed; pip install 'srfast[torch]'"),
        ("srfast fit", "yaml", "srfast fit needs PyYAML, which is not installed; pip install 'srfast[degradation]'"),
        ("srfast compare", "scipy", "srfast compare needs scipy, which is not installed; pip install 'srfast[study]'"),
        ("srfast view", "uvicorn", "srfast view needs uvicorn, which is not installed; pip install 'srfast[view]'"),
        ("srfast train", "duckdb", "srfast train needs duckdb, which is not installed; pip install srfast"),
        ("where:", "duckdb", "where: needs duckdb, which is not installed; pip install srfast"),
        ("srfast.score", "safetensors", "srfast.score needs safetensors, which is not installed; pip install srfast"),
    ],
)
def test_what_is_missing_is_named_with_what_brings_it(what, package, said):
    assert str(missing(what, ModuleNotFoundError(name=f"{package}.part"))) == said
    assert missing(what, ModuleNotFoundError(name="theirs")) is None


def test_the_demo_names_what_its_photographs_come_with(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(RunError, match=r"^srfast demo needs scikit-image, .*; pip install 'srfast\[demo\]'$"):
        write_photographs(tmp_path)
