"""Who does not know the token of a view cannot keep others out, and pictures are decoded within a budget."""

import contextlib
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

from srfast.data.workers import Budget, claim, decoding

pytest.importorskip("uvicorn", reason="uvicorn, which the view needs, is not installed")
pytest.importorskip("starlette", reason="starlette, which the view needs, is not installed")
from starlette.requests import Request

from srfast.report import server


def test_half_open_connections_keep_nobody_out(painted, tmp_path):
    """As many as there are descriptors silenced it, with hundreds of thousands of tracebacks."""
    painted.write(tmp_path / "s.parquet")
    command = [sys.executable, "-m", "srfast", "view", str(tmp_path / "s.parquet"), "--no-browser"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipe) as process:
        try:
            address = process.stdout.readline().strip()
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (128, 128))
            port = int(re.search(r":(\d+)/", address)[1])
            with contextlib.ExitStack() as stack:
                for i in range(300):
                    # Some say nothing, some begin to ask, some ask for what is not there and stay.
                    begun = b"GET / HTTP/1.1\r\nHost: "
                    said = (b"", begun, begun + b"127.0.0.1\r\n\r\n", b"\0\xff\r\n\r\n")
                    one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                    with contextlib.suppress(OSError):
                        one.sendall(said[i % 4])
                with urllib.request.urlopen(address, timeout=60) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
            said = process.stderr.read()
    assert said == "Ctrl-C ends it.\n"


def test_pictures_that_are_asked_for_at_once_wait_for_each_other(painted, monkeypatch):
    at_work, most = [0], [0]

    def slow(*_: object) -> tuple[np.ndarray, str]:
        with decoding() as keep:
            claim(100)
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            time.sleep(0.01)
            at_work[0] -= 1
            keep(100)
            return np.zeros((200, 200, 3), np.uint8), ""

    view = server.View(painted, None, ["s.parquet"])
    view.budget = Budget(150)
    monkeypatch.setattr(server, "source", slow)
    route = next(r for r in server.application(view, "t").routes if r.path == "/{token}/whole/{image}")
    answers = []

    def ask(image: int) -> None:
        about = {"token": "t", "image": str(image)}
        scope = {"type": "http", "path_params": about, "query_string": b"", "headers": [], "method": "GET", "path": "/"}
        answers.append(route.endpoint(Request(scope)).status_code)

    threads = [threading.Thread(target=ask, args=(i % len(view.scores.images),)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 12
    assert most[0] <= 2, "what fits, and one image more"


def test_images_are_kept_by_their_bytes(painted, monkeypatch):
    read = []
    monkeypatch.setattr(server, "CACHE", 1000)
    monkeypatch.setattr(server, "source", lambda path, _: read.append(path) or (np.zeros((10, 10, 4), np.uint8), ""))
    view = server.View(painted, None, ["s.parquet"])
    for code in (0, 1, 0, 1):
        view._image(code)
    assert len(read) == 2
    view._image(2)
    assert len(view._images) == 2
    monkeypatch.setattr(server, "source", lambda path, _: read.append(path) or (np.zeros((99, 99, 3), np.uint8), ""))
    for code in (3, 3, 0):
        view._image(code)
    assert view._large[0] == 0
    assert (len(view._images), len(read)) == (2, 5)
