"""``srfast view``: the page with every patch at hand, driven in a browser; and what does not get in."""

import base64
import contextlib
import importlib
import json
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from srfast.coreset.selection import select
from srfast.data.workers import Budget, claim, decoding

pytest.importorskip("uvicorn", reason="uvicorn, which the view needs, is not installed")
pytest.importorskip("starlette", reason="starlette, which the view needs, is not installed")
pytest.importorskip("duckdb", reason="duckdb, which conditions need, is not installed")
Request = importlib.import_module("starlette.requests").Request
server = importlib.import_module("srfast.report.server")


@pytest.fixture(scope="module")
def address(painted, tmp_path_factory):
    """Where a running ``srfast view`` answers."""
    path = tmp_path_factory.mktemp("view") / "scores.parquet"
    painted.write(path)
    command = [sys.executable, "-m", "srfast", "view", str(path), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), process.stderr.read() if process.poll() is not None else line
        yield line
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        assert "Traceback" not in process.stderr.read()


def get(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def asked(address):
    status, body = get(address)
    assert status == 200, body
    return json.loads(body)


def test_nothing_without_the_token_nor_by_another_name(address, tmp_path):
    base, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)([\w-]{20,})/", address).groups()
    assert get(base)[0] == 404
    assert get(f"{base}wrong/")[0] == 404
    assert get(f"{base}wrong/rows")[0] == 404
    assert get(f"{base}%C3%A9/")[0] == 404
    assert get(f"{base}{token}/../{token}/rows", Host="evil.example")[0] == 400
    assert get(address, Host="evil.example")[0] == 400
    for path in ("picture/999999/hr", "picture/-1/hr", "picture/0/../../etc/passwd", "picture/0/x", "map/-1", "secret"):
        assert get(address + path)[0] == 404, path
    for path in ("whole/99", "map/99", "rows?sort=nothing", "rows?show=lasso&lasso=1,2,x"):
        assert "error" in asked(address + path), path
    function = tmp_path / "mine.py"
    function.write_text("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\ndef f(table): ...\n")
    assert asked(f"{address}select?by={function}:f")["error"].startswith("by: expected one of loss, ")
    assert not function.with_suffix(".ran").exists()
    request = urllib.request.Request(address + "select", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)
    where = "1 = 1 or (select count(*) from read_csv('/etc/passwd')) > 0"
    assert asked(address + "select?where=" + urllib.request.quote(where))["error"].startswith("where: ")


def test_counts_and_rows_are_those_of_the_table(address, painted):
    for query, arguments in (
        ("keep=0.3&drop=0.05&by=sobel", {"keep": 0.3, "drop_hardest": 0.05, "method": "sobel"}),
        ("keep=0.7&error=1", {"keep_loss": 0.7}),
        ("keep=0.4&where=" + urllib.request.quote("noise < 0.5 and upper(light) = 'DAY'"), {
            "keep": 0.4, "where": "noise < 0.5 and upper(light) = 'DAY'"}),
    ):  # fmt: skip
        core = select(painted, **arguments)
        held = asked(f"{address}select?{query}")
        assert held["kept"]["patches"] == len(core)
        # A float64 sum of float32 losses.
        assert held["kept"]["error"] == pytest.approx(core["loss"].sum(dtype=float) / painted["loss"].sum(dtype=float))
        answer = asked(f"{address}rows?{query}&show=kept&sort=loss&down=1&limit=200")
        assert answer["found"] == len(core)
        rows = zip(*(core[name].tolist() for name in ("image", "x", "y")), strict=True)
        assert [(s["image"], s["x"], s["y"]) for s in answer["shots"]] == list(rows)
    stacked = asked(f"{address}rows?stacked=1&sort=noise")
    assert stacked["groups"] == 5
    assert stacked["behind"] == [19] * 5
    whole = asked(f"{address}map/2")
    assert len(whole["row"]) == 20
    assert whole["size"] == [240, 192]


def test_the_page_asks_for_everything(address, painted, visit):
    page = visit(address)
    page.locator("#cards .card img").first.wait_for()
    assert "100 patches." in page.locator("#found").inner_text()
    assert page.locator("#cards .card").count() == 5
    page.locator("#cards .more").first.click()
    page.locator("#cards .card").nth(20).wait_for()
    # A condition beyond the page's own grammar.
    page.locator("#choose-where").fill("upper(light) = 'DAY'")
    core = select(painted, where="upper(light) = 'DAY'")
    page.locator(f"#legend .kept b[data-count='{len(core)}']").wait_for()
    assert "The counts are exact" in page.locator("#precision").inner_text()
    page.locator("#choose-where").fill("light = ")
    page.locator("#refused").filter(has_text="where: ").wait_for()
    page.locator("#choose-where").fill("")
    page.locator("#legend .kept b[data-count='50']").wait_for()

    page.locator("#cards .card button").first.click()
    dialog = page.locator("#patch")
    dialog.locator(".wipe .over").wait_for()
    # A picture that is not one is refused here.
    decoded = "all => Promise.all(all.map((one) => one.decode())).then(() => true)"
    assert dialog.locator(".panel img").evaluate_all(decoded)
    dialog.get_by_text("More like this").click()
    page.locator("#found").filter(has_text="like the chosen one").wait_for()
    assert page.locator("#cards .card").count() >= 1

    page.get_by_text("Draw the map").click()
    canvas = page.locator(".textures .canvas")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    corners = [(0.02, 0.02), (0.6, 0.02), (0.6, 0.98), (0.02, 0.98)]
    for i, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not i:
            page.mouse.down()
    page.mouse.up()
    page.locator("#found").filter(has_text="inside the lasso").wait_for()
    inside = int(page.locator("#found").inner_text().split()[0])
    plane = asked(address + "textures")
    x = np.frombuffer(base64.b64decode(plane["x"]["data"]), "<f4")
    assert len(x) == 100
    assert 0 < inside < 100
    page.get_by_role("radio", name="All", exact=True).click()
    page.locator("#found").filter(has_text="100 patches").wait_for()
    page.locator("#image-table .link").first.click()
    page.locator("#map canvas").wait_for()
    assert "20 patches" in page.locator("#map").inner_text()


def test_like_a_patch_that_is_not_on_the_map(painted, monkeypatch):
    every = np.arange(len(painted))
    raw = server.describe(painted, every, server.ScoredImages.of(painted.meta), server.spectrum)
    monkeypatch.setattr(server, "TEXTURES", 20)
    view = server.View(painted, None, [])
    on_map = view._textures()[0]
    row = int(np.setdiff1d(every, on_map)[-1])
    spread = raw[on_map].std(axis=0)
    distance = (((raw[on_map] - raw[row]) / np.where(spread > 0, spread, 1)) ** 2).sum(axis=1)
    nearest = view._like(row, every)
    assert sorted(nearest) == on_map.tolist()
    # Distances in float32: equal ones may change places.
    in_order = distance[np.searchsorted(on_map, nearest)]
    assert (np.diff(in_order) > -1e-3).all()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("served", [True, False], ids=["serving", "starting"])
def test_a_signal_ends_the_view_without_an_error(served, number, painted, tmp_path):
    painted.write(tmp_path / "s.parquet")
    arguments = [sys.executable, "-m", "srfast", "view", "s.parquet", "--no-browser"]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as view:
        address = view.stdout.readline().strip()
        if served:
            # Pages are answered from the moment the address is known, which is before this line.
            assert view.stderr.readline() == "Ctrl-C ends it.\n"
            with urllib.request.urlopen(address) as page:
                assert page.status == 200
        view.send_signal(signal.Signals[number])
        _, said = view.communicate()
    assert view.returncode == 0
    assert said in ([""] if served else ["Ctrl-C ends it.\n", ""])


def test_half_open_connections_keep_nobody_out(painted, tmp_path):
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

    def slow(*_):
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
    route = next(r for r in server.application(view, "t").routes if r.path == "/{token}/whole/{image:int}")
    answers = []

    def ask(image):
        about = {"token": "t", "image": image}
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
    assert (len(view._images), len(read)) == (1, 5), "one that is larger than all that are kept is kept alone"
