"""Studies as TOML: what is wrong is named in one line."""

import re
from pathlib import Path

import pytest

import srfast
from srfast.errors import InputError
from srfast.study.description import cells
from srfast.study.file import find_study, read_study, ready_made

NET = "def Net(scale): pass"
CLAIM = '[[claim]]\narm = "des"\nagainst = "des"\nagainst_keep = 0.5\n'
STUDIES = Path(__file__).resolve().parents[2] / "studies"


def test_paths_are_relative_to_the_file_and_images_of_the_user_take_the_place_of_all_data(write_study, tmp_path):
    path = write_study()
    study = read_study(path)
    assert (study.train, study.test) == ((str(tmp_path / "photos"),), {"photos": str(tmp_path / "photos" / "sub")})
    study = read_study(path, images=[tmp_path])
    assert (study.train, study.test) == ((str(tmp_path),), {})
    assert read_study(path, images=[tmp_path], test={"mine": tmp_path}).test == {"mine": str(tmp_path)}


def test_an_arm_without_keep_keeps_all_and_the_error_has_a_whole_study(write_study, photo_folder, tmp_path):
    arms = '[[arm]]\nname = "all"\n[[arm]]\nname = "half"\nkeep_loss = 0.5\nbudget = "updates"'
    assert [(a.keep, a.of_loss) for a in read_study(write_study(arms=arms)).arms] == [((1.0,), False), ((0.5,), True)]
    path = tmp_path / "short.toml"
    path.write_text('title = "nothing else"')
    with pytest.raises(InputError, match=r"two lines make a study: training = .* and arm = ") as refused:
        read_study(path, images=[photo_folder])
    first, second = re.search(r"study: (.*}) and (arm = .*])\)", str(refused.value)).groups()
    path.write_text(f"{first}\n{second}\n")
    arms = read_study(path, images=[photo_folder]).arms
    assert [(a.name, a.keep) for a in arms] == [("all", (1.0,)), ("half", (0.5,))]


def test_models_of_the_users_are_those_of_a_file_beside_the_study(write_study, tmp_path, refused):
    (tmp_path / "my.py").write_text(NET)
    (tmp_path / "other.py").write_text(NET)
    path = write_study(('["fsrcnn"]', '["fsrcnn", "my.py:Net"]'))
    path.write_text(path.read_text() + 'models = ["my.py:Net"]\n')
    study = read_study(path)
    assert (study.models, study.arms[-1].models) == (("fsrcnn", "Net"), ("Net",))
    assert (study.network("Net"), study.network("fsrcnn")) == (f"{tmp_path.resolve()}/my.py:Net", "fsrcnn")
    assert {cell.name for cell in cells(study) if cell.model == "Net"} == {
        "Net-des-k100-u12-s0", "Net-des-k50-u6-s0", "Net-des-k50-u12-s0", "Net-rs2-k50-u6-s0",
    }  # fmt: skip
    path.write_text(path.read_text().replace('"fsrcnn", "my.py:Net"', '"my.py:Net", "other.py:Net"'))
    refused(r"expected models of different names.*got 'Net' twice", read_study, path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("updates = 12", "update = 12", "training.update: expected one of .* got 'update'; did you mean updates?"),
        ("updates = 12", "updates = 0", "training.updates: expected a whole number of at least 1"),
        ("updates = 12", "", "training.updates: expected a whole number of at least 1 .*, got nothing"),
        ("updates = 12", "updates = true", "training.updates: expected a whole number of at least 1 .*, got True"),
        ("seeds = 1", "seeds = [1, 1]", "training.seeds: expected a number of seeds below 65,536, or a list"),
        ("batch = 2", "batch = 2.5", "training.batch: expected a whole number of at least 1, got 2.5"),
        ("batch = 2", 'loss = "l3"', "training.loss: expected l1, mse or euclidean, got 'l3'"),
        ("lr_patch = 12", "lr_patch = 20", r"training.lr_patch: expected at most 16 \(patches are 32 px\), got 20"),
        ('["fsrcnn"]', '["fsrcn"]', "training.models: expected one of .*; did you mean fsrcnn?"),
        ("[training.options.fsrcnn]", "[training.options.srcnn]", "training.options.srcnn: expected one of fsrcnn"),
        ("patch = 32", "patch = 33", "scoring.patch: expected a positive multiple of the scale 2, got 33"),
        ("patch = 32", 'patch = 32\nshrink = "2"', "scoring.shrink: expected .*fractions of 1 such as 1,3/4,1/2"),
        ("patch = 32", "patch = 32\ndefects = 1", "scoring.defects: expected True or False, got 1"),
        ("[scoring]", "[scorin]", "scorin: expected one of .*; did you mean scoring?"),
        ("keep = 0.5", "keep = 1.5", "keep: expected a fraction with 0 < keep <= 1, or a list of these, got 1.5"),
        ("keep = 0.5", "keep_loss = 1.5", "keep_loss: expected a fraction .*, or a list of these, got 1.5"),
        ("keep = 0.5", "keep = 0.5\nkeep_loss = 0.5", "arm 'rs2'.keep: expected either keep or keep_loss"),
        ("keep = 0.5", "keep_loss = 0.5", "arm 'rs2'.budget: expected 'updates' or fractions"),
        ("keep = 0.5", "keep_loss = 0.5\nbudget = 0.5", "arm 'rs2'.keep_loss: cannot be combined with redraw"),
        ('method = "random"', 'method = "loss"', "arm 'rs2'.redraw: expected only method = 'random' with 'pass'"),
        ("keep = 0.5", "keep = 0.5\nbatch = 0", "arm 2.batch: expected a whole number of at least 1, got 0"),
        ("keep = 0.5", "keep = 0.5\nlr_patch = 20", r"arm 'rs2'.lr_patch: expected at most 16 .*, got 20"),
        ("keep = 0.5", 'keep = 0.5\nloss = "l3"', "arm 2.loss: expected l1, mse or euclidean, got 'l3'"),
        ("batch = 2", 'degradation = "mild"', "training.degradation: expected one of .*, a TOML file, got '.*mild'"),
        ("batch = 2", "batch = 0", "training.batch: expected a whole number of at least 1, got 0"),
        ('method = "random"', 'method = "lost"', "arm 'rs2'.method: expected one of .*, got 'lost'"),
        ('name = "rs2"', 'name = "DES"', "arm 'DES'.name: expected names that differ in more than case, got 'des' too"),
        ('"epochs", "updates"', '"epoch"', "arm 1.budget: expected 'epochs', 'updates' or a fraction"),
        ('train = ["photos"]', "train = []", "data.train: expected a folder of images, or a list"),
        ('{photos = "photos/sub"}', "{photos = 3}", "data.test.photos: expected a folder, got 3"),
        *(
            ("[data]", f"[[claim]]\n{claim}\n[data]", message)
            for claim, message in [
                ('arm = "dse"\nagainst = "rs2"', "claim 1.arm: expected one of .*; did you mean des?"),
                ('arm = "des"', "claim 1.against: expected the name of an arm, got nothing"),
                ('arm = "des"\nagainst = "rs2"\nkeep = 0.3', "claim 1.keep: expected one of .*, got 0.3"),
                ('arm = "des"\nagainst = "rs2"\nstratum = "soft"', "claim 1.stratum: expected easy, middle"),
                ('arm = "des"\nagainst = "rs2"\ndataset = "Set5"', "claim 1.dataset: expected one of photos"),
                ('arm = "des"\nagainst = "des"\nkeep = 0.5\nagainst_keep = 1.0\nupdates = 999',
                 r"claim 1.updates: expected one of \[6, 12\], for which its arm 'des' trains .* 0.5\), got 999"),
                ('arm = "des"\nagainst = "rs2"', r"claim 1.updates: expected one of \[6\], .*'rs2' trains .*, got 12"),
                ('arm = "des"\nagainst = "des"\nscale = 3', r"claim 1.scale: expected one of \[2\], got 3"),
                ('arm = "des"\nagainst = "des"\nscale = 5', "claim 1.scale: expected 2, 3 or 4, got 5"),
            ]
        ),
        ("[data]", "[data", "not TOML"),
        ('budget = ["epochs", "updates"]', "budget = inf", "budget: expected 'epochs', .*, got inf"),
        ("seeds = 1", "seeds = [2147483648]", "training.seeds: expected a number of seeds below 65,536, or a list of"),
        ("mappings = 1", "mappings = 2026-11-26", "training.options: expected a table of tables, one a model, got"),
        ('name = "rs2"', 'name = "rs2"\nmodels = ["srcnn"]', r"arm 'rs2'.models: expected one of training.models"),
        ('["bicubic"]', '["a/net.onnx", "b/net.onnx"]', "scoring.scorers: expected .* got 2 named 'net.onnx'"),
        ("[data]", '[[claim]]\narm = "des"\nagainst = "des"\n[data]', "claim 1.against: expected another arm than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_in_one_line(write_study, old, new, message):
    path = write_study((old, new))
    with pytest.raises(InputError, match=message) as error:
        read_study(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_claim_is_about_one_of_several_scales(write_study):
    path = write_study(("patch = 32", "patch = 36\nscale = [2, 3]"), more=f"{CLAIM}scale = 3\n")
    study = read_study(path)
    assert study.claims[0].scale == 3
    assert {c.scale for c in cells(study)} == {2, 3}


@pytest.mark.parametrize(
    ("edits", "changes", "message"),
    [
        ([], {"pool": [0.5]}, r"data.pool: expected 1.0 too, on which claims are judged, got \[0.5\]"),
        ([('["fsrcnn"]', '["fsrcnn", "srcnn"]'), ('name = "des"', 'name = "des"\nmodels = ["srcnn"]')], {},
         "claim 1.model: .* srcnn, which its arm 'des' trains"),
        ([("patch = 32", "patch = 36\nscale = [2, 3]")], {}, r"claim 1.scale: expected one of \[2, 3\], got nothing"),
    ],
)  # fmt: skip
def test_both_sides_of_a_claim_are_trained(edits, changes, message, write_study, refused):
    refused(message, read_study, write_study(*edits, more=CLAIM, **changes))


@pytest.mark.parametrize("name", sorted(p.name for p in STUDIES.glob("*.toml")))
def test_the_ready_made_studies_are_studies(name):
    study = read_study(STUDIES / name)
    assert study.arms
    assert study.name == name.removesuffix(".toml")


def test_every_study_comes_with_the_package():
    files = {p.name: p.read_text() for p in STUDIES.glob("*.toml")}
    assert {name: p.read_text() for name, p in ready_made().items()} == files
    for path in ready_made().values():
        assert read_study(path, images=[STUDIES]).train == (str(STUDIES),)


def test_a_file_of_the_users_comes_first(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert find_study("how-much.toml") == ready_made()["how-much.toml"]
    Path("how-much.toml").write_text("title = 1")
    assert find_study("how-much.toml") == Path("how-much.toml")
    for name in ("how-mach.toml", "how-much", "nowhere/how-much.toml"):
        refused(rf"study: expected .*how-much\.toml, .* got '{name}'", find_study, name)


def test_a_ready_made_study_asks_for_images(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^images: how-much\.toml is a ready-made study and needs your images"):
        srfast.run_study("how-much.toml", "out")
    refused("no such file or folder", srfast.run_study, "how-much.toml", "out", images=["nowhere"])
    assert list(tmp_path.iterdir()) == []


def test_images_alone_run_a_study_to_its_tables(write_study, photo_folder, tmp_path, monkeypatch, run):
    arms = '[[arm]]\nname = "full"\n[[arm]]\nname = "random"\nmethod = "random"\nkeep = 0.5\n'
    study = write_study(updates=4, arms=arms)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("srfast.study.file.ready_made", lambda: {"tiny.toml": study})

    line = ("study", "tiny.toml", "--images", photo_folder, "--jobs", "1")
    code, out, err = run(*line, "--only", "full")
    assert (code, out) == (0, ""), "a part of a study has no answer"
    assert "A study of seconds -> tiny\n[1/1] fsrcnn-full-k100-u4-s0 done" in err
    code, out, err = run(*line)
    assert code == 0
    assert "[2/2] fsrcnn-random-k50-u2-s0 done" in err
    assert out.startswith("# A study of seconds\n")
    assert "Table 1: selections on holdout" in out
    assert (tmp_path / "work" / "tiny" / "results.parquet").exists()
