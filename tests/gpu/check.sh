#!/bin/sh
# make gpu-check: builds without a network, runs the GPU tests, then the GPU benchmarks; writes gpu_results.json.
# Needs Python 3.11+ with torch, triton, pybind11, scikit-build-core, cmake, ninja, pytest, scikit-image; nvcc; a GPU.
set -e
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-.}
# The working directory stays off sys.path: the installed package is what runs.
export PYTHONSAFEPATH=1
export SRFAST_CUDA=ON
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
start=$(date +%s)
"$PYTHON" -m pip install --disable-pip-version-check --no-index --no-build-isolation --no-deps --force-reinstall .
echo "built in $(($(date +%s) - start)) s"
# Warnings of other torch and Triton versions than the project is developed with are not errors here.
"$PYTHON" -m pytest -q -W default -m gpu tests/gpu --durations=5
echo "tested after $(($(date +%s) - start)) s"
"$PYTHON" bench/gpu.py --output "$OUT/gpu_results.json"
echo "finished after $(($(date +%s) - start)) s"
