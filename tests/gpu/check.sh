#!/bin/sh
# make gpu-check: builds without a network, runs the GPU tests and the GPU benchmarks, one even where the other fails;
# writes gpu_results.json; the exit status is the worse of the two, 3 where there is no GPU.
# Needs Python 3.10+ with torch, triton, pybind11, scikit-build-core, cmake, ninja, pytest, scikit-image; nvcc; a GPU.
cd "$(dirname "$0")/../.." || exit 2
PYTHON=${PYTHON:-python3}
OUT=${OUT:-.}
# The working directory stays off sys.path: the installed package is what runs.
export PYTHONSAFEPATH=1
export SRFAST_CUDA=ON
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
