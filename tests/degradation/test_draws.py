"""Files of degradations, draws and how they are carried out."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import srfast
from srfast.data import toml
from srfast.degradation.carrying_out import carry_out
from srfast.degradation.chance import Chance, key_of
from srfast.degradation.plan import Degradation, Draws, written
from srfast.degradation.settings import PRESETS, DegradeArguments
from srfast.errors import InputError
from srfast.ops.native import isas
from tests.ops import degrade_reference


def photograph(h=120, w=168):
    """Smooth areas, edges and texture."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:h, :w]
    image = np.stack([128 + 90 * np.sin(x / 9 + k) * np.cos(y / 13) for k in range(3)], -1)
    image[h // 3 : h // 2, w // 4 : w // 2] = (230, 20, 90)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def of(*operations):
    return Degradation.of("mine.toml", {"operation": list(operations)})


LR = {"do": "resize", "to": "lr", "filters": "bicubic"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_same_bytes_whatever_carries_it_out(name):
    draws, image = Draws(Degradation.read(name), seed=11), photograph()
    for draw in range(5):
        key = key_of(11, "a" * 64, "1", draw)
        steps = draws.degradation.draw(*image.shape[:2], 2, key)
        expected = carry_out(image, steps, key)
        assert expected.shape == (60, 84, 3)
        for isa, threads in [*((i, 1) for i in isas()), (None, 2), (None, 7)]:
            assert carry_out(image, steps, key, threads=threads, isa=isa).tobytes() == expected.tobytes()
    again = draws.lr(image, 2, draw=4, pixels="a" * 64)
    assert np.array_equal(again[0], expected)
    assert again[1] == steps


def test_the_bytes_are_those_of_every_machine():
    """One draw of each operation that needs no encoder, whose bytes depend on its version: as x86-64 has them."""
    operations = [
        {"do": "unsharp"},
        {"do": "blur", "size": [7, 21], "kinds": "plateau_aniso", "sigma": [0.2, 3.0], "plateau": [1.0, 2.0]},
        {"do": "resize", "factor": [0.5, 1.5], "filters": {"area": 1, "bilinear": 1}, "mapping": "factor"},
        {"do": "gaussian-noise", "sigma": [1, 30], "gray": 0.4},
        {"do": "poisson-noise", "scale": [0.05, 3.0], "gray": 0.4},
        {"do": "blur", "size": 13, "sinc": 1.0},
        {"do": "thick-lines"},
        {"do": "resize", "to": "lr", "filters": "lanczos"},
    ]
    image = np.arange(96 * 64 * 3, dtype=np.uint32).reshape(96, 64, 3) * 2654435761 >> 24
    image = (image & 255).astype(np.uint8)
    lr, _ = Draws(of(*operations), 7).lr(image, 2, draw=3)
    digest = "f579d835a3b90a6236e674498b8739a7f745a800f468e521630c655c6b9045de"
    assert hashlib.sha256(lr.tobytes()).hexdigest() == digest


def test_a_draw_depends_on_seed_pixels_size_and_number_only():
    key = key_of(1, "b" * 64, "1/2", 9)
    text = b"srfast degradation 1\n1\n" + b"b" * 64 + b"\n1/2\n9\n"
    assert key.tolist() == np.frombuffer(hashlib.sha256(text).digest()[:16], "<u4").tolist()
    others = [key_of(2, "b" * 64, "1/2", 9), key_of(1, "c" * 64, "1/2", 9), key_of(1, "b" * 64, "1", 9)]
    assert len({tuple(k) for k in [key, *others, key_of(1, "b" * 64, "1/2", 8)]}) == 5
    words = degrade_reference.philox((0, (1 << 31) | 3, int(key[2]), int(key[3])), (int(key[0]), int(key[1])))
    assert Chance(key, 3).uniform(0) == (words[0] + 0.5) / 2**32


def test_one_operation_more_moves_no_other():
    image, noise = photograph(), {"do": "gaussian-noise", "sigma": [1, 30]}
    blur = {"do": "blur", "size": 7, "sigma": [0.2, 3.0]}
    inner = {"do": "one-of", "operation": [noise, {"do": "poisson-noise", "scale": 1}]}
    for draw in range(8):
        key = key_of(0, "0" * 64, "1", draw)
        always = of(blur, inner, LR).draw(*image.shape[:2], 2, key)
        never = of({**blur, "chance": 0}, inner, LR).draw(*image.shape[:2], 2, key)
        assert always[1:] == never


def test_a_folder_of_a_preset_s_name_is_not_it(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    Path("redux").mkdir()
    assert Degradation.read(DegradeArguments(degradation="redux").degradation).name == "redux"
    Path("neosr").write_text('[[operation]]\ndo = "bicubic"\n')
    assert len(Degradation.read("neosr").operations) == 1
    refused(r"expected a degradation, got a folder", Degradation.read, tmp_path)


def test_the_order_of_keys_has_no_meaning():
    def turned(value):
        if isinstance(value, dict):
            return {k: turned(v) for k, v in reversed(value.items())}
        return [turned(v) for v in value] if isinstance(value, list) else value

    for name in PRESETS:
        one = Degradation.read(name)
        other = Degradation.of(name, turned(one.content()))
        assert other.digest == one.digest
        for draw in range(20):
            key = key_of(0, "0" * 64, "1", draw)
            assert other.draw(96, 144, 2, key) == one.draw(96, 144, 2, key)


def test_distributions_are_those_of_the_file():
    stats = pytest.importorskip("scipy.stats")
    d = of({"do": "one-of", "weights": [1, 3], "operation": [
        {"do": "gaussian-noise", "sigma": [1, 30], "gray": 0.4}, {"do": "jpeg", "quality": [30, 95]}]},
        {"do": "blur", "size": [7, 21], "kinds": {"iso": 3, "plateau_iso": 1}, "sigma": 1, "plateau": [0.5, 1, 4],
         "sinc": 0.25}, LR)  # fmt: skip
    drawn = [s for n in range(10_000) for s in d.draw(96, 96, 2, key_of(0, "0" * 64, "1", n))]
    by = {name: [s for s in drawn if s["operation"] == name] for name in ("gaussian-noise", "jpeg", "blur")}
    assert stats.binomtest(len(by["jpeg"]), 10_000, 0.75).pvalue > 0.01
    assert stats.kstest([s["strength"] for s in by["gaussian-noise"]], stats.uniform(1, 29).cdf).pvalue > 0.01
    assert stats.binomtest(sum(s["gray"] for s in by["gaussian-noise"]), len(by["gaussian-noise"]), 0.4).pvalue > 0.01
    assert stats.chisquare(np.bincount([s["quality"] - 30 for s in by["jpeg"]], minlength=66)).pvalue > 0.01
    assert stats.chisquare(np.bincount([(s["size"] - 7) // 2 for s in by["blur"]], minlength=8)).pvalue > 0.01
    assert stats.binomtest(sum(s["kind"] == "sinc" for s in by["blur"]), 10_000, 0.25).pvalue > 0.01
    shapes = np.array([s["shape"] for s in by["blur"] if s["kind"] == "plateau"])
    assert stats.binomtest(len(shapes), 10_000, 0.75 * 0.25).pvalue > 0.01
    assert stats.binomtest(int((shapes < 1).sum()), len(shapes), 0.5).pvalue > 0.01
    assert stats.kstest(shapes[shapes > 1], stats.uniform(1, 3).cdf).pvalue > 0.01


def test_shuffle_repeat_and_chance():
    d = of({"do": "shuffle", "operation": [{"do": "thick-lines"}, LR, {"do": "jpeg", "quality": 50}]},
           {"do": "thick-lines", "chance": 0.5, "repeat": 3})  # fmt: skip
    orders, counts = set(), set()
    for n in range(300):
        names = [s["operation"] for s in d.draw(96, 96, 2, key_of(0, "0" * 64, "1", n))]
        orders.add(tuple(names[:3]))
        counts.add(len(names) - 3)
    assert len(orders) == 6
    assert counts == {0, 1, 2, 3}


def test_bicubic_is_imresize_and_a_scale_of_1_is_the_image():
    image = photograph()
    draws = Draws(Degradation.read("bicubic"))
    assert np.array_equal(draws.lr(image, 3)[0], srfast.imresize(image, 1 / 3))
    assert np.array_equal(draws.lr(image, 1)[0], image)
    for name in PRESETS:
        assert Draws(Degradation.read(name)).lr(image, 1)[0].shape == image.shape


def test_jpeg_is_the_accurate_one():
    cv2 = pytest.importorskip("cv2")
    image = photograph()
    for quality in (10, 60, 95):
        lr, _ = Draws(of({"do": "jpeg", "quality": quality, "subsampling": "422"}, LR)).lr(image, 1)
        how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x211111]
        theirs = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], how)[1], cv2.IMREAD_COLOR)[..., ::-1]
        # Two copies of libjpeg-turbo: equal unless one takes another DCT.
        assert np.array_equal(lr, theirs)


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_that_was_written_reads_as_the_same(name, tmp_path):
    first = Degradation.read(name)
    path = tmp_path / "mine.toml"
    path.write_text(written(first.content()), encoding="utf-8")
    second = Degradation.read(path)
    assert second.operations == first.operations
    assert second.digest == first.digest
    assert (second.title, second.source) == (first.title, first.source)


WRONG = [
    ('do = "blurr"', "operation 1: do: expected one of .*did you mean blur?"),
    ('do = "jpeg"', "operation 1: quality: expected a whole number from 1 to 100, .*got nothing"),
    ('do = "jpeg"\nquality = 101', "quality: expected .*got 101"),
    ('do = "jpeg"\nquality = [90, 30]', "quality: expected .*ascending"),
    ('do = "jpeg"\nquality = 30.5', "quality: expected a whole number"),
    ('do = "jpeg"\nquality = 30\nqualty = 3', "qualty: expected one of .*did you mean quality?"),
    ('do = "blur"\nsize = 8', "size: expected an odd number"),
    ('do = "blur"\nsize = 7\nkinds = {box = 1}', "kinds: expected one of iso"),
    ('do = "blur"\nsize = 7\nsigma = nan', "sigma: expected a number"),
    ('do = "blur"\nsize = 7\nchance = true', "chance: expected a probability"),
    ('do = "thick-lines"\nrepeat = 9', "repeat: expected a whole number from 1 to 8"),
    ('do = "one-of"\noperation = []', "operation: expected 1 to 32 operations, got 0"),
    ('do = "one-of"\nweights = [1]\noperation = [{do = "thick-lines"}, {do = "thick-lines"}]', "weights: expected 2"),
    ('do = "sequence"\noperation = [{do = "jpeg", quality = 0}]', "operation 1: 1: quality: expected"),
    ('do = "thick-lines"', "expected operations that end at the size of the LR image"),
    ("", "do: expected one of"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file_is_refused_in_one_line(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f"[[operation]]\n{text}\n")
    with pytest.raises(InputError, match=message) as error:
        Degradation.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_names_and_other_files_are_refused(tmp_path, refused):
    refused("did you mean realesrgan", Degradation.read, "realesrgn")
    for text, message in (("operation = 3", "expected at least one"), ("x = 1", "expected one of"), ("a", "not TOML")):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        refused(message, Degradation.read, path)
    deep = LR
    for _ in range(9):
        deep = {"do": "sequence", "operation": [deep]}
    refused("nested at most", of, deep)
    assert toml.unknown("do", "x", ["y"]).message == "do: expected one of y, got 'x'"
