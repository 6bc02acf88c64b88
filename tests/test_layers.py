"""Who may import whom, beside the stages (import-linter, pyproject.toml): Python by syntax tree, C++ by #include."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python_files(*folders):
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """(line, absolute name) of every import, also inside functions; TYPE_CHECKING blocks do not count."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for n in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def test_kernels_import_only_torch_and_triton():
    for path in python_files("kernels"):
        for line, name in imports(path):
            top = name.split(".")[0]
            allowed = top in {"torch", "triton", *sys.stdlib_module_names} or name.startswith("srfast.kernels")
            assert allowed, f"{path.relative_to(ROOT)}:{line}: {name}"


def test_nothing_imports_the_tests_the_benchmarks_or_a_second_copy_of_the_kernels():
    for path in python_files("srfast", "kernels", "bench", "experiments", "tests"):
        for line, name in imports(path):
            top = name.split(".")[0]
            own = path.relative_to(ROOT).parts[0]
            forbidden = {"tests", "kernels", "bench", "experiments"} - {own}
            assert top not in forbidden, f"{path.relative_to(ROOT)}:{line}: {name}"


def test_only_one_module_touches_the_compiled_one():
    for path in python_files("srfast", "kernels"):
        if path != ROOT / "srfast" / "ops" / "native.py":
            assert not any(name.startswith("srfast._C") for _, name in imports(path)), path


def test_every_text_file_names_its_encoding():
    """Where none is named Windows takes that of the country: a name with an accent is then another one, or an error."""
    for path in sorted((ROOT / "srfast").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            binary = any("b" in str(getattr(a, "value", "")) for a in node.args[1:2])
            reads = name in ("read_text", "write_text") or (isinstance(node.func, ast.Name) and name == "open")
            named = any(k.arg == "encoding" for k in node.keywords) or '"utf-8"' in ast.unparse(node).replace("'", '"')
            assert not reads or binary or named, f"{path}:{node.lineno}: {ast.unparse(node)}"


# C++

ALLOWED = {"core": {"core"}, "cpu": {"core", "cpu"}, "cuda": {"core", "cuda"}}


def includes(path):
    """(the bracket, the header) of every #include line."""
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def sources():
    return sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in {".h", ".cpp", ".cu", ".cuh"})


def test_only_the_bindings_know_python_and_nothing_knows_torch():
    for path in sources():
        for _, header in includes(path):
            assert not re.search(r"\b(torch|ATen|c10|numpy)\b", header), f"{path}: {header}"
            if path.name != "bindings.cpp":
                assert "pybind11" not in header, f"{path}: {header}"
                assert header != "Python.h", f"{path}: {header}"


def test_cpp_includes_go_down():
    for path in sources():
        part = path.relative_to(ROOT / "csrc").parts[0]
        if part == "bindings.cpp":
            continue
        for bracket, header in includes(path):
            if bracket == '"':
                assert (ROOT / "csrc" / header).is_file(), f"{path}: {header} is not written from csrc/"
                assert header.split("/")[0] in ALLOWED[part], f"{path}: {header}"


def reachable(path):
    """System headers that a source includes, directly or through ours."""
    headers = set()
    for bracket, header in includes(path):
        headers |= {header} if bracket == "<" else reachable(ROOT / "csrc" / header)
    return headers


def test_sources_of_one_instruction_set_instantiate_no_library_template():
    """The linker keeps one copy of an inline function, and could keep the one another machine cannot run."""
    cpu = ROOT / "csrc" / "cpu"
    for path in [*cpu.glob("score_*.cpp"), *cpu.glob("degrade_avx*.cpp")]:
        assert reachable(path) <= {"cmath", "cstddef", "cstdint", "cstring", "immintrin.h", "arm_neon.h"}, path


def test_headers_are_guarded():
    for path in sources():
        text = path.read_text()  # a body that is compiled once for each instruction set has no guard
        if path.suffix in {".h", ".cuh"} and "SRFAST_ENGINE" not in text and "SRFAST_LOOPS" not in text:
            assert "#pragma once" in text, path


def test_no_file_is_longer_than_400_lines():
    for path in [*python_files("srfast", "kernels"), *sources()]:
        assert len(path.read_text().splitlines()) <= 400, path
