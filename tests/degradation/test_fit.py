"""A degradation that is fitted to LR images."""

import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.degradation.plan import Degradation
from srfast.workflows.fitting import fit_degradation, measures

skimage = pytest.importorskip("skimage")

NOISY = """
[[operation]]
do = "resize"
to = "lr"
filters = "area"
[[operation]]
do = "gaussian-noise"
sigma = 9.0
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """HR images, and others from which LR images were made that have noise and blur."""
    from skimage import data

    root = tmp_path_factory.mktemp("fit")
    for folder, names in (("hr", ("astronaut", "coffee")), ("other", ("chelsea", "rocket"))):
        (root / folder).mkdir()
        for name in names:
            image = Image.fromarray(getattr(data, name)()).reduce(1)
            for k in range(2):
                crop = image.crop((40 * k, 30 * k, 40 * k + 288, 30 * k + 224))
                crop.save(root / folder / f"{name}{k}.png")
    made = root / "mine.toml"
    made.write_text('[[operation]]\ndo = "blur"\nsize = 15\nsigma = 2.4\n' + NOISY)
    srfast.degrade(root / "other", root / "lr", degradation=made, scale=2)
    return root / "hr", root / "lr"


def test_the_measures_come_near(folders, tmp_path):
    hr, lr = folders
    done = fit_degradation(hr, tmp_path / "fit.toml", like=[lr], scale=2, show=tmp_path / "fit.html")
    middle = len(done.given["noise"]) // 2
    # The noise of a window is known to about a grey level; detail differs by 0.02 between photographs.
    for name, near in (("noise", 1.5), ("detail", 0.02)):
        before = abs(done.given[name][middle] - done.before[name][middle])
        after = abs(done.given[name][middle] - done.after[name][middle])
        assert after < near
        assert after < before / 2
    assert done.jpeg[0] == 0
    operations = Degradation.read(tmp_path / "fit.toml").operations
    assert [o.do for o in operations] == ["blur", "resize", "gaussian-noise"]
    assert 7 < np.median(operations[2].settings["sigma"]) < 12  # it was 9
    assert operations[2].settings["gray"] == 0
    page = (tmp_path / "fit.html").read_text()
    assert "motion" in page
    assert page.count("<table>") == 4


def test_jpeg_is_seen(folders, tmp_path):
    hr, _ = folders
    (tmp_path / "lr").mkdir()
    for file in hr.iterdir():
        Image.open(file).save(tmp_path / "lr" / f"{file.stem}.jpg", quality=40)
    coffee = tmp_path / "lr" / "coffee0.jpg"
    assert measures(np.asarray(Image.open(coffee)), coffee)["jpeg"] == 40
    done = fit_degradation(hr, tmp_path / "fit.toml", like=[tmp_path / "lr"])
    assert done.degradation.operations[-1].settings["quality"] == 40
    assert done.jpeg == (1.0, 1.0)


def test_gray_images_get_gray_noise(folders, tmp_path):
    """In colour, noise of the same strength moves the luma less, and gray HR images would get a tint."""
    hr, _ = folders
    (tmp_path / "gray").mkdir()
    for file in (hr.parent / "other").iterdir():
        Image.open(file).convert("L").save(tmp_path / "gray" / file.name)
    made = tmp_path / "made.toml"
    made.write_text(NOISY + "gray = 1.0\n")
    srfast.degrade(tmp_path / "gray", tmp_path / "lr", degradation=made, scale=2)
    done = fit_degradation(hr, tmp_path / "fit.toml", like=[tmp_path / "lr"], scale=2)
    noise = done.degradation.operations[-1]
    assert (noise.do, noise.settings["gray"]) == ("gaussian-noise", 1)
    assert 7.5 < np.median(noise.settings["sigma"]) < 10.5
    assert any(line.startswith("gray: 100% of your LR images") for line in done.lines)


@pytest.mark.parametrize(("mode", "size"), [("L", (40, 33)), ("RGBA", (64, 48)), ("RGB", (33, 32))])
def test_one_small_image_without_noise(folders, tmp_path, mode, size):
    hr, _ = folders
    (tmp_path / "lr").mkdir()
    photograph = Image.open(hr / "coffee0.png").reduce(2).crop((0, 0, *size)).convert(mode)
    photograph.save(tmp_path / "lr" / "a.png")
    done = fit_degradation(hr, tmp_path / "fit.toml", like=[tmp_path / "lr"])
    operations = done.degradation.operations
    assert operations[-1].do == "resize" or max(np.atleast_1d(operations[-1].settings["sigma"])) < 1
    assert done.jpeg[0] == 0
    assert str(tmp_path) not in (tmp_path / "fit.toml").read_text(), "the file says nothing of the machine"
    assert 'source = "lr, 1 image"' in (tmp_path / "fit.toml").read_text()


def test_wrong_input_is_refused(folders, tmp_path, run, refused):
    hr, lr = folders
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "flat.png")
    for images, like, message in (
        (hr, [], "like"),
        (hr, [tmp_path / "small.png"], "at least 32 x 32"),
        (tmp_path / "small.png", [lr], r"small.png: expected at least 64 x 64 pixels, got 20 x 20"),
        (hr, [tmp_path / "flat.png"], "like: expected LR images that show something"),
    ):
        refused(message, fit_degradation, images, tmp_path / "x.toml", **{"like": like} if like else {})
    (tmp_path / "mine.toml").write_text("mine = 1")
    for argv in ([hr, "--like", lr, "-o", tmp_path / "mine.toml"], [hr, "-o", tmp_path / "x.toml"]):
        code, _, error = run("degradation", "fit", *argv)
        assert (code, error.count("\n")) == (2, 1)
