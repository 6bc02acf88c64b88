"""What doctor says of packages that break each other, and of a GPU that nothing can use."""

import json
import subprocess
import sys

from srfast.cli import doctor

WITHOUT_TORCH = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.partition(".")[0] == "torch" else find(name, *more)
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
import srfast.ops.device as device
device.driver_possible = lambda: sys.argv[1] == "driver"
from srfast.cli import main
main(sys.argv[2:])
"""
"""The command line in an installation without PyTorch, on a machine with or without an NVIDIA driver."""


def test_packages_that_break_each_other_or_are_slow(monkeypatch):
    both = {"onnxruntime", "onnxruntime-gpu"}
    for installed in (set(), {"onnxruntime"}, {"onnxruntime-gpu"}, both):
        monkeypatch.setattr(doctor, "_version", lambda name, some=installed: "1.0" if name in some else None)
        conflicts = doctor.conflicts()
        assert bool(conflicts) == (installed == both)
    assert "onnxruntime and onnxruntime-gpu" in conflicts[0]
    assert "extra onnx or onnx-gpu" in conflicts[0]
    assert "a newer torch brings a newer Triton" in doctor.slow("3.6.0")[0]
    assert doctor.slow("3.9.1") == doctor.slow(None) == []


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True)


def test_a_gpu_without_torch():
    """It is not passed over in silence, and the line says what to install."""
    done = without_torch("driver", "doctor")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "torch not installed" in lines["srfast"]
    assert "there may be one, but PyTorch is not installed: pip install 'srfast[cuda]'" in done.stdout
    assert "auto takes           native on cpu" in done.stdout
    assert not any(line.startswith(("triton/cuda", "torch/cuda")) for line in done.stdout.splitlines())
    assert done.stderr.splitlines() == [
        "srfast: there may be a GPU, but PyTorch is not installed: pip install 'srfast[cuda]'; the CPU is used"
    ]
    content = json.loads(without_torch("driver", "doctor", "--json").stdout)
    assert (content["torch"], content["cuda"]["driver"], content["cuda"]["available"]) == (None, True, False)
    none = without_torch("none", "doctor")
    assert "none, and PyTorch is not installed; the CPU is used" in none.stdout
    assert none.stderr == ""


def test_scores_on_a_gpu_without_torch(photo_folder, tmp_path):
    """The run says once that the CPU is used; a device that was named ends it in one line."""
    arguments = ("score", photo_folder, "--patch", 48, "-o", tmp_path / "s.parquet")
    done = without_torch("driver", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("there may be a GPU, but PyTorch is not installed") == 1
    named = without_torch("driver", *arguments, "--device", "cuda")
    assert named.returncode == 1
    assert named.stderr.count("\n") == 1
    assert "--device: cuda was requested, but PyTorch is not installed: pip install 'srfast[cuda]'" in named.stderr
