"""A page of galleries alone, from a content object, in a browser: opened, walked, marked, undone, read back."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srfast.report.content import ColumnLabel, Content, Fact, Gallery, Listing, Shot, ShotGroup
from srfast.report.writing import write_page

HOSTILE = '</script><img src=x onerror=alert(1)>",=1.png'


def picture(seed, side=64):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def content():
    shots = [
        Shot(f"a/photo {i}.png" if i else HOSTILE, 64 * i, 0, 64, {"noise": 20.0 - i, "jpeg": None if i else 30},
             {"hr": picture(i)}, why=f"noise {20 - i} is above 5")
        for i in range(5)
    ]  # fmt: skip
    shots.append(Shot("whole.png", values={"blur": 3.5}, pictures={"whole": picture(9, 32)}, note="reduced"))
    return Content(
        "audit",
        f"{HOSTILE} of 5",
        lede="What is wrong.",
        checksum="0123",
        facts=[Fact("Rejected", "6", "of 9")],
        columns={
            "noise": ColumnLabel("Noise", "grey levels"),
            "jpeg": ColumnLabel("JPEG quality"),
            "blur": ColumnLabel("Blur", "px"),
        },
        shots=shots,
        galleries=[
            Gallery("noise", "Noise", [ShotGroup("Worst first.", [0, 1, 2, 3, 4])], "noise"),
            Gallery("blur", "Blur", [ShotGroup("Worst first.", [5])]),
            Gallery("border", "Border", []),
        ],
        listings=[Listing("Unreadable: 1 file", "They could not be read.", [(HOSTILE, "truncated")])],
        settings=[("Root", "/photos")],
    )


@pytest.fixture(scope="module")
def audit(content, tmp_path_factory):
    return write_page(content, tmp_path_factory.mktemp("audit") / "audit.html")


def test_galleries_are_opened_walked_and_marked(audit, visit):
    page = visit(audit, accept_downloads=True)
    assert page.title() == f"srfast audit: {HOSTILE} of 5"
    cards = page.locator("#noise .card")
    assert cards.count() == 5
    assert page.locator("#blur .card").count() == 1
    assert "There are none" in page.locator("#border").inner_text()
    # True pixels: one pixel of the file is one of the page.
    box = cards.nth(0).locator("img").bounding_box()
    assert (box["width"], box["height"]) == (64, 64)
    assert HOSTILE in cards.nth(0).inner_text()
    assert "20.00" in cards.nth(0).inner_text()

    cards.nth(0).locator("button").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.locator("#patch")
    dialog.locator("img").wait_for()
    assert "noise 19 is above 5" in dialog.inner_text()
    assert "JPEG quality" in dialog.inner_text()
    assert "not known" in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    dialog.get_by_text("a/photo 2.png", exact=True).wait_for()
    page.keyboard.press("Shift+X")
    page.keyboard.press("Escape")
    page.locator(".card button:focus").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("u")
    page.locator("#blur .card button").first.focus()
    page.keyboard.press("x")
    assert "1 patch, 2 images rejected" in page.locator("#rejects").inner_text()

    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    assert page.locator(".card.rejected").count() == 3
    with page.expect_download() as waiting:
        page.get_by_text("Download rejects.csv").click()
    assert waiting.value.suggested_filename == "rejects.csv"
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text("utf-8").splitlines()))
    assert rows == [
        {"image": HOSTILE, "x": "0", "y": "0", "size": "64", "reason": "noise"},
        {"image": "a/photo 2.png", "x": "", "y": "", "size": "", "reason": "noise"},
        {"image": "whole.png", "x": "", "y": "", "size": "", "reason": "Blur"},
    ]
