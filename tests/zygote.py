"""A process that has loaded what commands load, and runs each command in a fork of its own.

A command takes two seconds of a core to load PyTorch; the fixture ``srfast_command`` asks this process instead, over a
socket: one JSON object with the words, the folder and the environment, and the files of stdin, stdout and stderr.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import socket
import sys
import traceback

LOADED = (
    "numpy", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "PIL.Image", "torch._dynamo", "safetensors.torch",
    "jinja2", "srfast.cli", "srfast.coreset.selection", "srfast.exporting.job", "srfast.report.report",
    "srfast.study.runner", "srfast.workflows.pruning", "srfast.workflows.training",
)  # fmt: skip


def serve(requests: socket.socket) -> None:
    """Answers with the number of the process, then with its exit code as ``subprocess`` gives it."""
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    while True:
        data, files, _, _ = socket.recv_fds(requests, 1 << 16, 3)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            requests.close()
            command(json.loads(data), files)
        for file in files:
            os.close(file)
        requests.send(str(pid).encode())
        requests.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def command(of: dict[str, object], files: list[int]) -> None:
    """Runs ``python -m srfast`` as a new process would."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(open(2, "wb", 0, closefd=False), errors="backslashreplace", write_through=True)
    os.environ.clear()
    os.environ.update(of["env"])  # type: ignore[call-overload]
    os.chdir(str(of["cwd"]))
    sys.argv = ["srfast", *of["words"]]  # type: ignore[misc]
    code: object = 0
    try:
        runpy.run_module("srfast", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)  # taking PyTorch down would take a second


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)
