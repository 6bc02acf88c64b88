"""How the sources of csrc/cpu are compiled."""

from collections.abc import Callable
from pathlib import Path

import pytest

FLAGS = Path(__file__).resolve().parents[2] / "csrc" / "cpu" / "flags.txt"


@pytest.fixture(scope="session")
def flags_of() -> Callable[..., list[str]]:
    """flags_of(source, *machines): its options for machines such as "x86" or "arm+gnu", of csrc/cpu/flags.txt."""
    lines = [line.split() for line in FLAGS.read_text().splitlines() if not line.startswith("#")]

    def chosen(source: Path, *machines: str) -> list[str]:
        return [o for machine, name, *options in lines if name == source.name and machine in machines for o in options]

    return chosen
