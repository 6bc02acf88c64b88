"""What ``srfast compare`` reads, and what it refuses."""

import json
import math
import re

import pytest

import srfast
from srfast.errors import InputError


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        ("image,psnr\n1,30\n2,31\n", "lpips", "metric: expected one of psnr of .*, got 'lpips'"),
        ("image,psnr\n1,30\n", "image", "metric: expected one of psnr of .*, got 'image'"),
        ("image\n1\n", "psnr", "metric: expected a column of values of .*, got 'psnr'"),
        ("name,psnr\n1,30\n", "psnr", "expected a column 'image'.*, got 'name', 'psnr'"),
        ("image;psnr\n1;30\n", "psnr", "expected a column 'image', separated by commas from others, got 'image;psnr'"),
        ("image,psnr\n1,30,5\n", "psnr", r"a\.csv: line 2: expected 2 values, got 3"),
        ("image,psnr,note\n1\n", "psnr", "psnr of '1': expected a number, got ''"),
        ("image,psnr\n1," + "3" * 140_000, "psnr", r"a\.csv: line 2: expected CSV, got: field larger"),
        ("image,psnr\n", "psnr", r"a\.csv: expected values of images, got none"),
        ('{"images": []}', "psnr", r"a\.csv: expected values of images, got none"),
        ('{"images": ["1", "2"]}', "psnr", r"a\.csv: expected images as objects .*, got '1'"),
        ('[{"image": "1", "psnr": 30}]', "psnr", "expected a file that `srfast eval --json` wrote"),
        ('{"images": [{"image": 1, "psnr": 30}]}', "psnr", r"a\.csv: expected the name of an image, got 1"),
        ('{"images": [{"image": "1", "psnr": [30]}]}', "psnr", r"psnr of '1': expected a number, got \[30\]"),
        ('{"images": [{"image": "1", "psnr": 30}, {"image": "2"}]}', "psnr", "psnr of '2': expected a number"),
        ("image,psnr\n1,30\n1,31\n", "psnr", "image '1' occurs twice"),
        ("image,psnr\n1,high\n", "psnr", "psnr of '1': expected a number, got 'high'"),
        ("image,psnr\n9,30\n8,30\n", "psnr", "expected at least two images .*, got 0 of 4: a has '8', b has '.'"),
        ("{", "psnr", "not JSON"),
        ("", "psnr", r"a\.csv: expected values of images, got none"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, metric, message, refused):
    (tmp_path / "a.csv").write_text(text)
    good = {"1": 30.0, "2": 31.0}
    refused(message, srfast.compare, {"a": tmp_path / "a.csv", "b": good}, metric)
    refused("evaluate it first", srfast.compare, {"a": tmp_path, "b": good})
    refused("at least two evaluations, got 1", srfast.compare, {"b": good})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"scale": 4}, "expected scale 2, as .*a.json has, got scale 4; `scale` picks one"),
        ({"protocol": "rgb"}, "expected protocol classic, as .*a.json has, got protocol rgb; `protocol` picks one$"),
        ({"scale": 4, "protocol": "rgb"}, "b.json: expected scale 2, protocol classic, .*, got scale 4, protocol rgb"),
        ({"ssim_window": "skimage"}, "expected ssim_window wang, as .*a.json has, got ssim_window skimage"),
    ],
)
def test_evaluations_that_were_measured_otherwise_are_refused(tmp_path, other, message, refused):
    head = {"scale": 2, "protocol": "classic", "ssim_window": "wang"}
    images = [{"image": f"{i}.png", "psnr": 30.0 + i, "ssim": 0.9} for i in range(5)]
    for name, about in (("a", head), ("b", {**head, **other})):
        (tmp_path / f"{name}.json").write_text(json.dumps({**about, "images": images}))
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    metric = "ssim" if "ssim_window" in other else "psnr"
    for runs in ({"a": a, "b": b}, {"a": [a, b], "c": {f"{i}.png": float(i) for i in range(5)}}):
        refused(message, srfast.compare, runs, metric)
    if metric == "ssim":
        assert len(srfast.compare({"a": a, "b": b}).rows) == 2


def test_headers_are_read_in_any_case(tmp_path):
    other = {f"{i}.png": 30.0 + i for i in range(3)}
    for header in ("Image,PSNR", "image, psnr", " IMAGE , Psnr "):
        (tmp_path / "a.csv").write_text("\n".join([header, *(f"{k},{v + 1}" for k, v in other.items())]))
        for metric in ("psnr", "PSNR"):
            assert srfast.compare({"a": tmp_path / "a.csv", "b": other}, metric).rows[0].name == "a"


def test_seeds_of_json(tmp_path):
    rows = [{"image": f"{i}.png", "psnr": 30.0 + i + s, "seed": s} for s in (0, 1) for i in range(4)]
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps({"images": rows}))
    contest = srfast.compare({n: tmp_path / f"{n}.json" for n in "ab"})
    assert (contest.rows[1].paired, contest.seeds) == (2, True)
    with pytest.raises(InputError, match=r"b\.json: image '0\.png' with seed 0 occurs in .*a\.json too"):
        srfast.compare({"a": [tmp_path / "a.json", tmp_path / "b.json"]})


@pytest.mark.parametrize("named", [lambda i: f"i{i}", lambda i: f"BSD100/i{i}.png"])
def test_names_that_differ_are_shown(named, refused):
    a = {f"i{i}.png": 30.0 + i for i in range(20)}
    b = {named(i): 30.0 + i for i in range(20)}
    message = re.escape(f"got 0 of 40: a has 'i0.png', b has {named(0)!r}")
    refused(message, srfast.compare, {"a": a, "b": b})
    with pytest.raises(InputError, match="got 0 of 20: the others are missing in some of the trainings, or not finite"):
        srfast.compare({"a": a, "b": dict.fromkeys(a, math.nan)})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["=a.csv", "b.csv"], "compare: expected a name before '='"),
        (["X="], "X: expected the name of a file, got ''"),
        (["a=x.csv", "a=y.csv"], "compare: expected evaluations with different names, got 'a' twice"),
    ],
)
def test_names_on_the_command_line(given, message, run):
    code, _, err = run("compare", *given)
    assert (code, err.count("\n"), message in err) == (2, 1, True), err


@pytest.mark.parametrize(
    ("a", "how", "message"),
    [
        ({"x": "high"}, {}, "a: psnr of 'x': expected a number"),
        ({}, {}, "a: expected values of images, got none"),
        ({"1": 30.0, "2": 31.0}, {"scale": 4}, "^scale: expected evaluations that name their scale, got none"),
        ({"1": 30.0, "2": 31.0}, {"protocol": "rgb"}, "^protocol: expected evaluations that name their protocol"),
    ],
)
def test_values_by_image(a, how, message, refused):
    refused(message, srfast.compare, {"a": a, "b": {"1": 1.0, "2": 31.0}}, **how)


def test_one_file_is_one_training(tmp_path):
    (tmp_path / "a.csv").write_text("image,psnr\n1,30\n2,31\n")
    (tmp_path / "link.csv").symlink_to("a.csv")
    for twice in ("a.csv", "link.csv"):
        with pytest.raises(InputError, match=r"^a: expected a file for each training, got .*a\.csv twice"):
            srfast.compare({"a": [tmp_path / "a.csv", tmp_path / twice], "b": {"1": 30.0, "2": 31.0}})
