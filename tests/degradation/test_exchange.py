"""Degradations from and to trainers' configurations, with the values that the trainers publish."""

import pytest

from srfast.degradation.exchange import read_trainer
from srfast.degradation.exchange_out import trainer_text
from srfast.degradation.plan import Degradation

KINDS = "['iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso']"
WEIGHTS = "[0.45, 0.25, 0.12, 0.03, 0.12, 0.03]"
FIRST = {
    "basicsr": ("[0.2, 0.7, 0.1]", "[0.15, 1.5]", "0.5", "[1, 30]", "[0.05, 3]", "0.4", "[30, 95]", "0.8"),
    "neosr": ("[0.3, 0.4, 0.3]", "[0.5, 1.5]", "0.2", "[0, 2]", "[0.05, 0.25]", "0.1", "[40, 95]", "0.4"),
}
SECOND = {
    "basicsr": ("[0.3, 0.4, 0.3]", "[0.3, 1.2]", "0.5", "[1, 25]", "[0.05, 2.5]", "0.4", "[30, 95]"),
    "neosr": ("[0.3, 0.4, 0.3]", "[0.3, 1.5]", "0.2", "[0, 2]", "[0.05, 0.1]", "0.1", "[35, 95]"),
}
NAMES = ("resize_prob", "resize_range", "gaussian_noise_prob", "noise_range", "poisson_scale_range", "gray_noise_prob",
         "jpeg_range")  # fmt: skip
REDUX = """
scale: 4
high_order_degradation: true
lq_usm: false
lq_usm_radius_range: [1, 25]
thicklines_prob: 0.0
blur_prob: 0.0
resize_prob: [0.2, 0.7, 0.1]
resize_mode_list: ['bilinear', 'bicubic', 'nearest-exact', 'lanczos']
resize_mode_prob: [0.25, 0.25, 0.25, 0.25]
resize_range: [0.4, 1.5]
gaussian_noise_prob: 0.0
noise_range: [0, 0]
poisson_scale_range: [0, 0]
gray_noise_prob: 0.0
jpeg_prob: 1.0
jpeg_range: [75, 95]
blur_prob2: 0.0
resize_prob2: [0.3, 0.4, 0.3]
resize_mode_list2: ['bilinear', 'bicubic', 'nearest-exact', 'lanczos']
resize_mode_prob2: [0.25, 0.25, 0.25, 0.25]
resize_range2: [0.6, 1.2]
gaussian_noise_prob2: 0
noise_range2: [0, 0]
poisson_scale_range2: [0, 0]
gray_noise_prob2: 0.0
jpeg_prob2: 1.0
jpeg_range2: [75, 95]
resize_mode_list3: ['bilinear', 'bicubic', 'nearest-exact', 'lanczos']
resize_mode_prob3: [0.25, 0.25, 0.25, 0.25]
datasets: {train: {type: realesrgandataset, kernel_range: [5, 17], sinc_prob: 0.0, blur_sigma: [0.2, 2]}}
train: {total_iter: 5, optim_g: {lr: !!float 1e-4}}
"""


def configuration(trainer):
    """The published keys of a trainer."""
    if trainer == "redux":
        return REDUX
    *first, blur = FIRST[trainer]
    keys = {**dict(zip(NAMES, first, strict=True)), "second_blur_prob": blur}
    keys |= dict(zip((f"{n}2" for n in NAMES), SECOND[trainer], strict=True))
    kernels = {"final_sinc_prob": "0.8"}
    for n, sigma in (("", "[0.2, 3]"), ("2", "[0.2, 1.5]")):
        kernels |= {f"blur_kernel_size{n}": "21", f"kernel_list{n}": KINDS, f"kernel_prob{n}": WEIGHTS,
                    f"sinc_prob{n}": "0.1", f"blur_sigma{n}": sigma, f"betag_range{n}": "[0.5, 4]",
                    f"betap_range{n}": "[1, 2]"}  # fmt: skip
    if trainer == "neosr":
        return "scale = 4\n[degradations]\n" + "".join(f"{k} = {v}\n" for k, v in {**keys, **kernels}.items())
    keys |= {"queue_size": "180", "l1_gt_usm": "True", "gan_gt_usm": "False"}
    lines = [f"{k}: {v}" for k, v in keys.items()]
    lines += ["datasets:", "  train:", *(f"    {k}: {v}" for k, v in kernels.items())]
    return "scale: 4\nmodel_type: RealESRGANModel\n" + "\n".join(lines) + "\n"


TRAINERS = {"basicsr": "realesrgan", "neosr": "neosr", "redux": "redux"}


@pytest.mark.parametrize(("trainer", "preset"), TRAINERS.items())
def test_the_presets_are_the_published_configurations(trainer, preset, tmp_path):
    path = tmp_path / f"train.{'toml' if trainer == 'neosr' else 'yml'}"
    path.write_text(configuration(trainer))
    trainer_named, exchanged = read_trainer(path)
    assert trainer_named == trainer
    assert Degradation.of("x", exchanged.content).digest == Degradation.read(preset).digest
    lost = {line.partition(":")[0] for line in exchanged.lost}
    assert lost == ({"queue_size", "l1_gt_usm"} if trainer == "basicsr" else set())
    # Out and in again is the same.
    text, without = trainer_text(Degradation.read(preset), trainer, 4)
    path.write_text(text)
    assert without == []
    assert Degradation.of("x", read_trainer(path)[1].content).digest == Degradation.read(preset).digest


def test_a_resize_that_is_never_done_needs_no_filters(tmp_path):
    path = tmp_path / "train.yml"
    never = REDUX.replace("[0.2, 0.7, 0.1]", "[0, 0, 1]").replace(
        "['bilinear', 'bicubic', 'nearest-exact', 'lanczos']", "[]", 1
    )
    path.write_text(never.replace("[0.25, 0.25, 0.25, 0.25]", "[]", 1))
    content = read_trainer(path)[1].content
    assert [o["do"] for o in content["operation"]] == ["jpeg", "resize", "shuffle"]
    path.write_text(trainer_text(Degradation.of("x", content), "redux", 4)[0])
    assert read_trainer(path)[1].content == content


def test_what_has_no_counterpart_is_listed(tmp_path):
    path = tmp_path / "train.yml"
    path.write_text(REDUX + "dithering_prob: 0.5\nshift_prob: 0\nshift_rgb_r: [[1, 2], [0, 0]]\nmystery_blur: 3\n"
                    "compress_algorithms: [jpeg, h264]\ncompress_algorithm_probs: [0.5, 0.5]\n")  # fmt: skip
    lost = {line.partition(":")[0] for line in read_trainer(path)[1].lost}
    assert lost == {"dithering_prob", "mystery_blur", "compress_algorithms"}
    mine = Degradation.of("mine", {"operation": [
        {"do": "thick-lines", "chance": 0.3},
        {"do": "blur", "chance": 0.5, "size": 9, "sigma": [0.2, 1.0, 3.0]},
        {"do": "resize", "factor": [0.5, 1.0], "filters": "lanczos"},
        {"do": "webp", "quality": [20, 80]},
        {"do": "resize", "to": "lr", "filters": "bicubic"},
        {"do": "jpeg", "quality": 40, "subsampling": "444"},
    ]})  # fmt: skip
    lines = "\n".join(trainer_text(mine, "basicsr", 2)[1])
    for words in "thick-lines,size = 9,quantiles,chance = 0.5,lanczos,webp,subsampling = 444,unsharp".split(","):
        assert words in lines
    lines = "\n".join(trainer_text(mine, "redux", 2)[1])
    assert "thick-lines" not in lines
    assert "webp" not in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale: 4", "without resize_prob"),
        ("a: [1", "not YAML"),
        ("just a text", "expected a configuration"),
        (REDUX.replace("[0.4, 1.5]", "0.4"), "a value is not of the form"),
        (REDUX.replace("[75, 95]", "[750, 950]"), "quality: expected"),
        (REDUX.replace("blur_prob: 0.0", "blur_prob: 7"), "chance: expected"),
    ],
)
def test_bad_files_get_one_line(text, message, tmp_path, run):
    path = tmp_path / "train.yml"
    path.write_text(text)
    code, _, error = run("degradation", "import", path, "-o", tmp_path / "out.toml")
    assert (code, error.count("\n"), message in error) == (2, 1, True), error
    assert not (tmp_path / "out.toml").exists()


def test_the_commands_write_and_list(tmp_path, run, refused):
    a, b = tmp_path / "a.yml", tmp_path / "a.toml"
    assert run("degradation", "export", "realesrgan", "--to", "basicsr", "-o", a)[0] == 0
    code, out, _ = run("degradation", "import", a, "-o", b)
    assert (code, "queue_size" in out) == (0, True)
    assert Degradation.read(b).digest == Degradation.read("realesrgan").digest
    refused("without resize_prob", read_trainer, b)
