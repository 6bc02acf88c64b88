#!/bin/sh
# make gpu-check: builds without a network, runs the GPU tests and the GPU benchmarks, one even where the other fails;
# writes gpu_results.json; the exit status is the worse of the two, 3 where there is no GPU.
# Needs Python 3.10+, nvcc, a GPU, and the packages of NEEDED, which it looks for first, since it installs none.
cd "$(dirname "$0")/../.." || exit 2
PYTHON=${PYTHON:-python3}
OUT=${OUT:-.}
# The working directory stays off sys.path: the installed package is what runs.
export PYTHONSAFEPATH=1
export SRFAST_CUDA=ON
# What builds srfast, what srfast imports, and what the tests and the benchmarks import.
NEEDED="scikit_build_core pybind11 cmake ninja numpy PIL simplejpeg pyarrow safetensors click jinja2 rich cachetools duckdb lmdb isal
pytest scipy skimage torch triton"
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
"$PYTHON" -c '
import sys
try:
    import torch
    reason = None if torch.cuda.is_available() else "torch sees no CUDA device on this machine"
except ImportError as error:
    reason = f"torch cannot be imported ({error})"
if reason:
    sys.exit(f"gpu-check: {reason}; nothing was built, tested or measured")
' || exit 3
"$PYTHON" -c '
import importlib.util, sys
if missing := [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]:
    names = ", ".join(missing)
    sys.exit(f"gpu-check: these modules are missing: {names}; nothing was built, tested or measured")
' $NEEDED || exit 2
start=$(date +%s)
"$PYTHON" -m pip install --disable-pip-version-check --no-index --no-build-isolation --no-deps --force-reinstall . || exit
echo "built in $(($(date +%s) - start)) s"
# Warnings of other torch and Triton versions than the project is developed with are not errors here.
"$PYTHON" -m pytest -q -W default -m gpu tests/gpu --durations=5
tests=$?
echo "tested after $(($(date +%s) - start)) s"
"$PYTHON" bench/gpu.py --output "$OUT/gpu_results.json"
figures=$?
echo "finished after $(($(date +%s) - start)) s: tests exit $tests, benchmarks exit $figures"
[ "$tests" -ge "$figures" ] && exit "$tests"
exit "$figures"
