"""Names of exported patches."""

import re

from srfast.exporting.arrangement import image_names


def test_names_are_plain_and_unique():
    images = [
        "a b.png", "a_b.jpg", "A_B.png", "a_b-2.png", "café.png", "cafe\u0301.png", "日本.png", "中国.png", "...png",
        "sub/a.png", "sub_a.png", "x.tar.png", "-.png", "Ünï cödé (1).png", "n" * 240 + "1.png", "n" * 240 + "2.png",
    ]  # fmt: skip
    names = image_names(images)
    assert len({n.casefold() for n in names}) == len(images)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,130}", n) for n in names), names
    assert names[:4] == ["a_b", "a_b-2", "A_B-3", "a_b-2-2"]
    assert names[13] == "Uni_code_1"
    assert image_names(["0001.png", "0002_s003.png", "img-7.webp"]) == ["0001", "0002_s003", "img-7"]
    assert image_names([]) == []
