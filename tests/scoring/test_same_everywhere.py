"""What scores is the same in every place, or said: workers of a cluster, sources that hide the installed package."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import srfast
from srfast.errors import InputError, RunError
from srfast.ops import cuda, native
from srfast.scoring import cluster
from srfast.scoring.backends import choice
from srfast.scoring.network import load_network
from srfast.scoring.pipeline import score
from srfast.scoring.settings import ScoreArguments
from srfast.scoring.table import concatenate


def test_a_worker_that_scores_otherwise_fails_by_name(tmp_path):
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


def test_auto_says_when_it_is_not_the_compiled_engine(monkeypatch, caplog):
    choice.say_once.cache_clear()
    monkeypatch.delenv("SRFAST_BACKEND", raising=False)
    monkeypatch.setattr(choice, "unusable", lambda backend, *_: "it is gone" if backend == "native" else None)
    with caplog.at_level(logging.WARNING, "srfast"):
        backend, _ = choice.choose("auto", "cpu", load_network("bicubic", 2))
    assert backend in ("onnx", "torch")
    assert f"{backend} scores, slower than it could: native: it is gone" in caplog.text


def test_sources_that_hide_the_installed_package(tmp_path):
    """Run from the checkout, Python takes the sources there; reinstalling does not help."""
    installed = Path(srfast.__file__).parent
    sources = tmp_path / "srfast"
    for file in installed.rglob("*.py"):
        target = sources / file.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file) if file.name != "native.py" else target.write_bytes(file.read_bytes())
    code = "from srfast.ops import native; print(native.shadowed()); native.compiled()"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("the sources in "), done
    assert f"{sources} hide the package installed in {installed}" in done.stdout
    assert "run from another folder, or set PYTHONSAFEPATH=1" in done.stderr
    assert "reinstall" not in done.stderr
    assert native.shadowed() is None


def test_a_checkout_on_the_path_hides_nothing(tmp_path, monkeypatch):
    """Its stub of the compiled module is none."""
    (tmp_path / "srfast").mkdir()
    (tmp_path / "srfast" / "_C.pyi").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert native.shadowed() is None


def test_shards_of_two_backends_are_not_put_together(photo_folder):
    one, two = (
        score(photo_folder, patch=48, scorer="bicubic", shard=(i, 2), backend=backend)
        for i, backend in enumerate(("native", "torch"))
    )
    with pytest.raises(InputError, match=r"^b: backend differs: a has 'native', this table has 'torch'$"):
        concatenate([one, two], ["a", "b"])
    assert len(concatenate([one, score(photo_folder, patch=48, scorer="bicubic", shard=(1, 2), backend="native")])) > 0


# GPUs and drivers on which the kernels do not run: auto falls back and says why, a named backend ends with it.


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch):
    """A machine whose GPU has this capability, with every backend installed; what the build's kernels and Triton's
    say when they are tried there."""

    def pretend(
        capability: tuple[int, int], probed: tuple[int, int, str] = (13000, 13000, ""), triton: str | None = None
    ) -> None:
        module = SimpleNamespace(cuda_architectures="80,90", probe_cuda=lambda device: probed)
        monkeypatch.setattr(native, "compiled", lambda: module)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(choice, "_triton_fails", lambda: triton)
        cuda._refusal.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Tesla T4")
        monkeypatch.setattr(native, "build_info", lambda: {"cuda": True})
        monkeypatch.setattr(choice, "installed", lambda name: not name.startswith("onnx"))
        choice.say_once.cache_clear()

    return pretend


NO_IMAGE = (13000, 13000, "cudaErrorNoKernelImageForDevice")


@pytest.mark.parametrize(
    ("capability", "probed", "triton", "backend", "words"),
    [
        ((7, 5), (13000, 13000, ""), None, "torch", ["Tesla T4 has compute capability 7.5, and 8.0 is the least"]),
        (
            (9, 0),
            (12040, 13000, "cudaErrorInsufficientDriver"),
            None,
            "triton",
            ["runs CUDA 12.4 at most", "with 13.0"],
        ),
        ((9, 0), NO_IMAGE, None, "triton", ["do not load: cudaErrorNoKernelImageForDevice (built for 80,90)"]),
        ((9, 0), (0, 13000, "cudaErrorInsufficientDriver"), None, "triton", ["there is no CUDA driver"]),
        (
            (9, 0),
            NO_IMAGE,
            "Failed to find C compiler",
            "torch",
            ["torch scores on the GPU", "C compiler", NO_IMAGE[2]],
        ),
        ((9, 0), (13000, 13020, ""), None, "triton", []),  # a newer minor version of the toolkit
        *((capability, (13000, 13000, ""), None, "triton", []) for capability in ((8, 0), (9, 0), (12, 0))),
    ],
)
def test_kernels_that_cannot_run_are_not_launched(card, capability, probed, triton, backend, words, caplog):
    """They failed at the first launch, in the middle of a run. ``auto`` says once what scores instead."""
    card(capability, probed, triton)
    network = load_network("srcnn", 2)
    with caplog.at_level(logging.WARNING, "srfast"):
        for _ in range(2):
            assert choice.choose("auto", "auto", network) == (backend, "cuda")
    assert len(caplog.records) == bool(words)
    assert all(w in caplog.text for w in words)
    assert (choice.unusable("native", "cuda", network) is None) == (not words)
    if not words:
        assert cuda.unsupported() is cuda.refusal() is None
    for named in [b for b in ("native", "triton") if words and (b == "native" or backend == "torch")]:
        with pytest.raises(RunError, match=r"compute capability 7\.5|CUDA|do not load|C compiler"):
            choice.choose(named, "cuda", network)
    if capability >= (8, 0):
        assert cuda._runs(torch.device("cuda", 0)) == (not words)
