"""What doctor says of packages that break each other."""

from __future__ import annotations

import pytest

from srfast.cli import doctor


@pytest.mark.parametrize(
    ("installed", "conflicting"),
    [
        ({"onnxruntime"}, False),
        ({"onnxruntime-gpu"}, False),
        ({"onnxruntime", "onnxruntime-gpu"}, True),
        (set(), False),
    ],
)
def test_two_onnx_runtimes(monkeypatch: pytest.MonkeyPatch, installed: set[str], conflicting: bool) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name in installed else None)
    found = doctor.conflicts()
    assert bool(found) == conflicting
    if conflicting:
        assert "onnxruntime and onnxruntime-gpu" in found[0]
        assert "extra onnx or onnx-gpu" in found[0]
