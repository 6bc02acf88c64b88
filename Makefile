PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo test test-slow bench lint wheel sanitize gpu-check clean

install: $(BIN)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/.installed: $(BIN)/python pyproject.toml CMakeLists.txt $(shell find csrc srfast kernels -type f -not -path '*/__pycache__/*')
	$(BIN)/python -m pip install --disable-pip-version-check --quiet ".[test]"
	touch $@

demo: install
	$(BIN)/srfast demo

test: install
	$(BIN)/python -m pytest

wheel: $(BIN)/python
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .
