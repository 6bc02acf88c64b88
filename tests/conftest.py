"""Shared fixtures: poisoned memory, photographs, weights, images on disk, the command line in a subprocess."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.errors import InputError
from srfast.models.registry import WEIGHTS, describe
from srfast.ops import native

# A shell's background and nohup have these ignored, and what a test starts would inherit that and not end by them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

if most := os.environ.get("SRFAST_TEST_ISA"):  # the engine runs as on a machine whose best instruction set this is
    known = native.isas()
    native.isas = lambda: known[: known.index(most) + 1]

TESTS = Path(__file__).resolve().parent
UNIT = ("ops", "runtime", "data", "coreset", "evaluation")
"""Folders of tests of functions, which take a contributor no minute at every save."""
HOSTILE = ("torture/", "hostile", "interrupt", "moments", "replaced", "bit_rot", "fuzz", "door", "commit")
"""Parts of the paths of tests that kill, damage, race, run two processes on one output or fill disks."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test is of one tier: hostile, unit or integration; what needs a browser is hostile too."""
    for item in items:
        path = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
        hostile = any(part in path for part in HOSTILE) or "chromium" in getattr(item, "fixturenames", ())
        unit = path.split("/")[0] in UNIT
        item.add_marker("hostile" if hostile else "unit" if unit else "integration")


DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


class Poisoning:
    """NumPy or torch, but ``empty`` and ``empty_like`` return NaN (floats) or bytes of 0xA5 (all else)."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if name not in ("empty", "empty_like"):
            return value
        return lambda *args, **kwargs: _poison(value(*args, **kwargs))


def _poison(out: Any) -> Any:
    if isinstance(out, torch.Tensor):
        if out.is_floating_point():
            out.fill_(torch.nan)
        elif out.ndim:
            out.view(torch.uint8).fill_(0xA5)
    elif np.issubdtype(out.dtype, np.floating):
        out.fill(np.nan)
    elif not out.dtype.hasobject:
        ctypes.memset(out.ctypes.data, 0xA5, out.nbytes)
    return out


@lru_cache(maxsize=1)
def _allocating() -> list[str]:
    """The modules of the package that ask for memory without filling it."""
    root = Path(srfast.__file__).parent
    match = [p for p in root.rglob("*.py") if re.search(r"\b(np|torch)\.empty(_like)?\(", p.read_text())]
    return [".".join(("srfast", *p.relative_to(root).with_suffix("").parts)) for p in sorted(match)]


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an implementation forgets to write shows as NaN instead of whatever the heap held.

    The Triton kernels are patched where a test has loaded them: their interpreter must be chosen before.
    """
    for name in _allocating():
        if name.startswith("srfast.kernels") and name not in sys.modules:
            continue
        module = importlib.import_module(name)
        for attribute, real in (("torch", torch), ("np", np)):
            if getattr(module, attribute, None) is real:
                monkeypatch.setattr(module, attribute, Poisoning(real))


@pytest.fixture(scope="session")
def poisoned_torch() -> Any:
    """torch for buffers that a test allocates itself."""
    return Poisoning(torch)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Trainings pack the patches of core-sets, but not into the cache folder of whoever runs the tests."""
    os.environ["SRFAST_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Tests run beside others on a shared machine, and a test that sets threads must not leave them set."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """The folder of a public benchmark; skips where it is not at hand."""

    def folder(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            pytest.skip(f"{path} is not here: the public benchmark images are not part of the project")
        return path

    return folder


@lru_cache(maxsize=1)
def _photographs() -> dict[str, np.ndarray]:
    data = pytest.importorskip("skimage.data", reason="scikit-image, which ships the photographs, is missing")
    return {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """Real photographs, uint8 [H, W, 3]: 512 x 512, 300 x 451, 400 x 600, 427 x 640."""
    return _photographs()


@pytest.fixture(scope="session")
def real_patches() -> Callable[..., np.ndarray]:
    """real_patches(n, h, w) -> uint8 [n, h, w, 3], spread over the photographs."""

    def cut(n: int, h: int, w: int | None = None, seed: int = 0) -> np.ndarray:
        w = h if w is None else w
        rng = np.random.default_rng(seed)
        sources = [p for p in _photographs().values() if p.shape[0] >= h and p.shape[1] >= w]
        out = np.empty((n, h, w, 3), np.uint8)
        for i in range(n):
            image = sources[i % len(sources)]
            y, x = rng.integers(0, image.shape[0] - h + 1), rng.integers(0, image.shape[1] - w + 1)
            out[i] = image[y : y + h, x : x + w]
        return out

    return cut


@pytest.fixture(scope="session")
def srcnn_weights() -> Callable[[int], Path]:
    """The path of the shipped SRCNN 9-1-5 of a scale."""
    return lambda scale: WEIGHTS / f"srcnn_x{scale}.safetensors"


@pytest.fixture(scope="session")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the part of torchvision's vgg19 that IGNN matches with, and one more."""
    generator, state = torch.Generator().manual_seed(1), {"features.5.bias": torch.zeros(128)}
    for i, channels in {0: 3, 2: 64}.items():
        weight = torch.randn(64, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
        state |= {f"features.{i}.weight": weight, f"features.{i}.bias": torch.zeros(64)}
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, path)
    return path


SMALL: dict[str, dict[str, Any]] = {
    "srcnn": {},
    "fsrcnn": {"features": 24, "shrunk": 8, "mappings": 2},
    "drrn": {"features": 16, "units": 2},
    "idn": {"features": 64, "blocks": 1},
    "edsr_baseline": {"features": 16, "blocks": 2},
    "edsr": {"features": 16, "blocks": 2, "weight": 1.0},
    "rdn": {"features": 16, "growth": 8, "blocks": 2, "convs": 2},
    "swinir": {"features": 16, "depths": (2,), "heads": 2},
    "swinir_light": {"features": 16, "depths": (2,), "heads": 2},
    "rcan": {"features": 16, "groups": 2, "blocks": 2, "reduction": 4},
    "hat": {"features": 12, "depths": (1,), "heads": 2, "window": 8, "compress": 3, "squeeze": 3},
    "compact": {"features": 16, "convs": 2},
    "span": {"features": 16},
    "realplksr": {"features": 16, "blocks": 2, "kernel": 5},
    "san": {"features": 16, "groups": 2, "blocks": 2, "reduction": 4},
    "han": {"features": 16, "groups": 2, "blocks": 2, "reduction": 4},
    "nlsn": {"features": 16, "blocks": 2, "every": 1, "chunk": 36},
    "ignn": {"features": 16, "blocks": 2, "window": 8, "neighbours": 3},
}


@pytest.fixture(scope="session")
def sizes(vgg: Path) -> Callable[[str], dict[str, Any]]:
    """sizes(name): options with which a network has every part of the full one and runs in milliseconds."""

    def of(name: str) -> dict[str, Any]:
        if describe(name).extra:
            pytest.importorskip("spandrel", reason="spandrel is not installed")
        return {**SMALL[name], **({"matcher": str(vgg)} if name == "ignn" else {})}

    return of


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A folder of small real images: PNG and JPEG, a subfolder, a name with spaces and non-ASCII letters."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    photos = _photographs()
    Image.fromarray(photos["astronaut"][:130, 100:295]).save(folder / "astronaut.png")
    Image.fromarray(photos["chelsea"][50:200, 80:300]).save(folder / "chelsea.jpg", quality=92)
    Image.fromarray(photos["coffee"][100:223, 200:371]).save(folder / "sub" / "café au lait.png")
    Image.fromarray(photos["rocket"][200:296, 250:346]).save(folder / "sub" / "rocket.png")
    return folder


class Ended(BaseException):
    """Instead of a kill: nothing after it reaches a file."""


@pytest.fixture
def ending() -> Callable[..., AbstractContextManager[None]]:
    """``with ending(number, folder):``: the body ends at its rename, link or removal ``number`` below the folder."""

    @contextmanager
    def end(number: int, folder: Path) -> Iterator[None]:
        left = number

        def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(path: Any, *args: Any, **options: Any) -> Any:
                nonlocal left
                if os.fspath(path).startswith(str(folder)):
                    left -= 1
                    if left < 0:
                        raise Ended
                return real(path, *args, **options)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "rename", "unlink", "rmdir", "link"):
                patch.setattr(os, name, stopping(getattr(os, name)))
            with suppress(Ended):
                yield

    return end


@pytest.fixture(scope="session")
def interrupted() -> Callable[..., None]:
    """interrupted(run, *args, after=n, **options): a run that Ctrl-C ends once n images are done."""

    def call(run: Callable[..., Any], *args: Any, after: int, **options: Any) -> None:
        def progress(done: int, *_: int) -> None:
            if done == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(*args, progress=progress, **options)

    return call


@pytest.fixture(scope="session")
def refused() -> Callable[..., None]:
    """refused(words, call, *args, **options): the call raises an InputError of one line with this pattern."""

    def check(words: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> None:
        with pytest.raises(InputError, match=words) as caught:
            call(*args, **options)
        assert "\n" not in str(caught.value)

    return check


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """run(*args) -> (exit code, stdout, stderr) of the command line, in this process."""
    from srfast.cli import main

    def call(*args: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in args])
        out, err = capfd.readouterr()
        code = stop.value.code
        assert code is None or isinstance(code, int)
        return code or 0, out, err

    return call


@pytest.fixture
def srfast_command(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """srfast_command(*args, cwd=folder) -> what ``subprocess.run`` gives of ``srfast ARGS``: as ``run``, in this
    process; with other arguments of ``subprocess.run``, such as ``env``, in a new Python."""

    def call(*args: str | os.PathLike[str], cwd: Path, **kwargs: Any) -> Any:
        command = [sys.executable, "-m", "srfast", *map(str, args)]
        if not kwargs:
            monkeypatch.chdir(cwd)
            monkeypatch.setenv("OMP_NUM_THREADS", "1")
            return subprocess.CompletedProcess(command, *run(*args))
        env = {**os.environ, "OMP_NUM_THREADS": "1", **kwargs.pop("env", {})}
        return subprocess.run(command, cwd=cwd, **{"timeout": 120, **kwargs}, env=env, capture_output=True, text=True)

    return call


@pytest.fixture
def make_table() -> Callable[..., Any]:
    """make_table(loss, images=None, size=96, **columns) -> a score table whose x is 96 times the row number."""
    import pyarrow as pa

    from srfast.scoring.settings import COMPARED
    from srfast.scoring.table import SCHEMA, ScoreTable

    def make(loss: list[float], images: list[str] | None = None, size: int = 96, **columns: Any) -> ScoreTable:
        n = len(loss)
        known = {
            "image": images or ["a.png"] * n,
            "x": np.arange(n, dtype=np.int32) * 96,
            "y": np.zeros(n, np.int32),
            "size": np.full(n, size, np.int32),
            "loss": np.array(loss, np.float32),
            "bicubic": np.array(loss, np.float32) * 2,
            "sobel": np.random.default_rng(9).permutation(n).astype(np.float32),
        }
        extra = {k: v for k, v in columns.items() if k not in known}
        table = pa.table({k: columns.get(k, v) for k, v in known.items()}, schema=SCHEMA)
        for name, values in extra.items():
            table = table.append_column(name, pa.array(values))
        meta = {
            "version": 1,
            "root": "/data",
            **dict.fromkeys(COMPARED, 1),
            "scorer": {},
            "lr": None,
            "lr_template": None,
            "images": {},
            "skipped": [],
            "small": [],
        }
        return ScoreTable(table, meta)

    return make
