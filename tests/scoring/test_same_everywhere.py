"""What scores is the same in every place, or said: workers of a cluster, sources that hide the installed package."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import srfast
from srfast.errors import InputError, RunError
from srfast.ops import native
from srfast.scoring import cluster
from srfast.scoring.backends import choice
from srfast.scoring.network import load_network
from srfast.scoring.pipeline import score
from srfast.scoring.settings import ScoreArguments
from srfast.scoring.table import concatenate


def test_a_worker_that_scores_otherwise_fails_by_name(tmp_path: Path) -> None:
    """In a folder with srfast's sources the workers took onnx, the driver native: another table, exit code 0."""
    settings = ScoreArguments(scorer="bicubic", device="cpu")
    here = cluster._engine(settings, 1)
    assert (here.backend, here.precision) == ("native", "fp32")
    cluster._Actor(settings, 1, str(tmp_path), replace(here, machine="elsewhere"))
    for change, words in (
        ({"backend": "onnx"}, r"backend native on .*srfast\) and onnx on there"),
        ({"version": "0.0.1"}, r"srfast .* and 0\.0\.1 on there"),
        ({"precision": "fast"}, "precision fp32"),
        ({"sha256": "0"}, "weights"),
    ):
        with pytest.raises(RunError, match=f"^engine: ray: {words}"):
            cluster._Actor(settings, 1, str(tmp_path), replace(here, machine="there", **change))


def test_auto_says_when_it_is_not_the_compiled_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    choice.say_once.cache_clear()
    monkeypatch.delenv("SRFAST_BACKEND", raising=False)
    monkeypatch.setattr(native, "available", lambda: False)
    with caplog.at_level(logging.WARNING, "srfast"):
        backend, _ = choice.choose("auto", "cpu", load_network("bicubic", 2))
    assert backend in ("onnx", "torch")
    assert f"{backend} scores, slower than it could: native: the compiled module is missing" in caplog.text


def test_sources_that_hide_the_installed_package(tmp_path: Path) -> None:
    """Run from the checkout, Python takes the sources there; reinstalling does not help."""
    installed = Path(srfast.__file__).parent
    sources = tmp_path / "srfast"
    for file in installed.rglob("*.py"):
        target = sources / file.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file) if file.name != "native.py" else target.write_bytes(file.read_bytes())
    code = "from srfast.ops import native; print(native.available()); print(native.shadowed()); native.compiled()"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("False\nthe sources in "), done
    assert f"{sources} hide the package installed in {installed}" in done.stdout
    assert "run from another folder, or set PYTHONSAFEPATH=1" in done.stderr
    assert "reinstall" not in done.stderr
    assert native.shadowed() is None


def test_a_checkout_on_the_path_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stub of the compiled module is none."""
    (tmp_path / "srfast").mkdir()
    (tmp_path / "srfast" / "_C.pyi").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert native.shadowed() is None


def test_shards_of_two_backends_are_not_put_together(photo_folder: Path) -> None:
    one, two = (
        score(photo_folder, patch=48, scorer="bicubic", shard=(i, 2), backend=backend)
        for i, backend in enumerate(("native", "torch"))
    )
    with pytest.raises(InputError, match=r"^b: backend differs: a has 'native', this table has 'torch'$"):
        concatenate([one, two], ["a", "b"])
    assert len(concatenate([one, score(photo_folder, patch=48, scorer="bicubic", shard=(1, 2), backend="native")])) > 0
