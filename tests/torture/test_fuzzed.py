"""A minute of each kind of hostile input; ``make torture`` takes longer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGALRM")]


@pytest.mark.parametrize("target", ["native", "weights", "jpegs", "pngs", "texts"])
def test_a_minute_of_hostile_input(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import fuzzed

    assert target in fuzzed.TARGETS
    code, out, err = fuzzed.start(target, 60, seed=7)
    assert code == 0, f"{out} {err}"
    counts = json.loads(out)
    assert counts["cases"] > 20
    assert 0 < counts["refused"] < counts["cases"]
