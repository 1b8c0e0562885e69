"""The examples as a reader finds them: what they say first, public names only, and the plain scripts at work."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.sim.scan import Scan, simulate_phantom

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PUBLIC = {"spinecho.cli": {"main"}}
"""Beside the names of `spinecho` itself: the command line as a function"""
FOR_METHODS = {"spinecho.tasks.denoise.base": {"Denoise"}, "spinecho.tasks.denoise.parts.noise": {"Noise"}}
"""What a method of one's own is made of (docs/how/extend.md)"""


def play(name: str, *words: object) -> None:
    """Run a script as `python examples/NAME.py WORDS` does."""
    path = str(EXAMPLES / f"{name}.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [path, *map(str, words)])
        runpy.run_path(path, run_name="__main__")


def body(n: int = 20, mm: float = 8.0, shift_mm: float = 0.0) -> Image:
    """A lopsided body with folds."""
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n)] * 3, indexing="ij")
    inside = torch.sigmoid(12 * (0.7 - (x.square() / 0.6 + y.square() + z.square() / 0.8).sqrt()))
    values = 100 * inside * (1 + 0.5 * torch.sin(4 * x + 1) * torch.cos(3 * y) + 0.3 * torch.sin(5 * z + 2 * x))
    place = Geometry.from_frame((shift_mm, 0, 0), np.eye(3), (mm, mm, mm), (n, n, n))
    return Image(values=values[None], geometries=(place,))


@pytest.fixture
def full_scans(tmp_path) -> Path:
    """A folder with two small full scans."""
    folder = tmp_path / "full"
    folder.mkdir()
    for seed in range(2):
        how = Scan(matrix=(1, 56, 48), n_coils=4, sampling="full", snr=40, fineness=1, seed=seed)
        spinecho.write(simulate_phantom(how).kspace, folder / f"{seed}.mrd.h5")
    return folder


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_the_first_lines_say_what_to_give_and_how_long_it_takes(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    lines = docstring.splitlines()
    assert lines[0].endswith((".", "?")) or ":" in lines[0], "what it does"
    assert lines[2].startswith(f"python examples/{path.stem}.py"), "how it is called"
    assert [line for line in lines if line.startswith("What to give: ")], "what it wants"
    assert [line for line in lines if line.startswith("How long: ")], "how long it takes"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_an_example_uses_public_names_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = PUBLIC | (FOR_METHODS if path.stem == "my_own_method" else {})
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spinecho":
            assert {a.name for a in node.names} <= allowed.get(node.module or "", set()), node.module
        elif isinstance(node, ast.Import):
            assert not [a.name for a in node.names if a.name.startswith("spinecho.")]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "spinecho":
            assert node.attr in spinecho.__all__, node.attr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_the_options_that_an_example_types_exist(path, capsys):
    from spinecho.cli import main

    text = path.read_text(encoding="utf-8")
    helped = []
    for name in set(re.findall(r"\"(train|evaluate|register|groupwise|apply|recon)\", ", text)):
        words = {"train": ["recon/varnet"], "recon": ["--method", "varnet"]}.get(name, [])
        main([name, *words, "--help"])
        helped.append(capsys.readouterr().out)
    typed = set(re.findall(r"\"(--[a-z-]+)\"", text))
    assert typed <= set(re.findall(r"--[a-z-]+", " ".join(helped)))


def test_the_list_names_each_example_once():
    listed = re.findall(
        r"^\| \[(.+?)\.py\]\((.+?)\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(one for one, _ in listed) == [p.stem for p in SCRIPTS] and all(a == b for a, b in listed)


def test_array_to_picture(tmp_path, capsys):
    kspace = simulate_phantom(Scan(matrix=(1, 40, 36), n_coils=4, sampling="full", fineness=1)).kspace
    np.save(tmp_path / "k.npy", kspace.samples[:, 0].numpy())
    play("array_to_picture", tmp_path / "k.npy", "coil k1 k0", tmp_path / "out")
    told = capsys.readouterr().out
    assert "4 coils, encoded matrix (1, 40, 36)" in told and "doubts:" in told and "shape (1, 40, 36)" in told
    image = spinecho.read(tmp_path / "out" / "picture.nii.gz")
    assert isinstance(image, spinecho.Image) and (tmp_path / "out" / "picture.png").is_file()
    one, other = spinecho.to_numpy(image).ravel(), kspace.target.abs().numpy().ravel()
    assert np.corrcoef(np.sort(one), np.sort(other))[0, 1] > 0.98


def test_evaluate_on_my_scans(full_scans, tmp_path, capsys):
    play("evaluate_on_my_scans", full_scans, tmp_path / "out", "zero_filled", "cg_sense")
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if "dB inside, mean of 2" in line]
    assert [line.split()[0] for line in lines] == ["cg_sense", "zero_filled"], "the best one first"
    assert (tmp_path / "out" / "report.html").is_file() and (tmp_path / "out" / "rows.csv").is_file()


def test_fine_tune(full_scans, tmp_path, capsys):
    (test := tmp_path / "test").mkdir()
    (full_scans / "1.mrd.h5").replace(test / "1.mrd.h5")
    play("fine_tune", full_scans, test, tmp_path / "out", "1", "--batch", "1", "--threads", "1")
    told = capsys.readouterr().out
    assert (tmp_path / "out" / "run" / "weights.safetensors").is_file()
    assert told.count("| `varnet") >= 2 and "| `l1_wavelet`" in told
    assert "the comparison is in" in told and (tmp_path / "out" / "report.html").is_file()


def test_an_example_stops_where_a_command_fails(tmp_path, capsys):
    with pytest.raises(SystemExit, match="train ended with an error"):
        play("fine_tune", tmp_path / "absent", tmp_path / "absent", tmp_path / "out", "1")
    assert capsys.readouterr().err.startswith("error: ")


def test_register_cohort(tmp_path, capsys):
    (tmp_path / "people").mkdir()
    for i, shift in enumerate((-9.0, 9.0)):
        spinecho.write(body(shift_mm=shift), tmp_path / "people" / f"s{i}.nii.gz")
    play("register_cohort", tmp_path / "people", tmp_path / "out", "1", "--method", "affine")
    assert "2 people, template of" in capsys.readouterr().out
    template, spread = (spinecho.read(tmp_path / "out" / f"{name}.nii.gz") for name in ("template", "spread"))
    assert isinstance(template, Image) and isinstance(spread, Image)
    assert spread.geometry.matches(template.geometry)
    assert 0 <= float(spread.values.min()) <= float(spread.values.mean()) < 0.05, "they are one and the same body"
    assert len(list((tmp_path / "out").glob("s*_in_template.nii.gz"))) == 2


def test_denoise_and_translate(tmp_path, capsys):
    rng = torch.Generator().manual_seed(0)
    clean = body(n=32, mm=5.0)
    noise = 8 * torch.randn(2, *clean.values.shape, generator=rng)
    noisy = Image(values=torch.hypot(clean.values + noise[0], noise[1]), geometries=clean.geometries)
    spinecho.write(noisy, tmp_path / "head.nii.gz")
    play("denoise_and_translate", tmp_path / "head.nii.gz", "t1", "t2", tmp_path / "out")
    told = capsys.readouterr().out
    assert "Rician" in told and "never measured" in told and "taken away:" in told
    for name in ("before", "denoised", "guessed_t2"):
        assert (tmp_path / "out" / f"{name}.png").is_file()
    quiet = spinecho.read(tmp_path / "out" / "denoised.nii.gz")
    assert isinstance(quiet, Image)
    errors = [(v - clean.values).square().mean().sqrt() for v in (quiet.values, noisy.values)]
    assert errors[0] < 0.8 * errors[1]


def test_nibabel_and_simpleitk(tmp_path, capsys):
    pytest.importorskip("SimpleITK", reason="pip install SimpleITK")
    spinecho.write(body(), tmp_path / "in.nii.gz")
    play("nibabel_and_simpleitk", tmp_path / "in.nii.gz", tmp_path / "out")
    told = capsys.readouterr().out
    places = re.findall(r"lies at \[(.*?)\] mm \(LPS\)", told)
    assert len(places) == 3 and len(set(places)) == 1, "all three mean the same place"
    assert len(list((tmp_path / "out").glob("by_*.nii.gz"))) == 3


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder as site-packages is, with the package of `my_own_method` installed by pip, offline."""
    pytest.importorskip("hatchling", reason="pip install hatchling")
    folder = tmp_path_factory.mktemp("plugin")
    play("my_own_method", folder / "package")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    pip += ["--disable-pip-version-check", "--target", str(folder / "site"), str(folder / "package")]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip here")
    assert done.returncode == 0, done.stderr
    return folder / "site"


def run(site: Path, cwd: Path, *words: str) -> str:
    """What a process says that has the package on its path."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); {words[0]}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words[1:]], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = "from spinecho.cli import main; sys.exit(main(sys.argv[1:]))"


def test_my_own_method_is_found_and_run(installed, tmp_path):
    listed = run(installed, tmp_path, COMMAND, "list")
    assert re.search(r"lee +Each voxel moves to its neighbours' mean .* \[from my-own-method\]", listed)
    rng = torch.Generator().manual_seed(0)
    clean = body()
    noisy = Image(values=clean.values + 4 * torch.randn(clean.values.shape, generator=rng), geometries=clean.geometries)
    spinecho.write(noisy, tmp_path / "in.nii.gz")
    words = [
        "in.nii.gz",
        "-o",
        "out.nii.gz",
        "--method",
        "lee",
        "--strength",
        "1.2",
        "--sigma",
        "4",
        "--noise",
        "gaussian",
    ]
    assert "wrote out.nii.gz" in run(installed, tmp_path, COMMAND, "denoise", *words)
    quiet = spinecho.read(tmp_path / "out.nii.gz")
    assert isinstance(quiet, Image)
    assert (quiet.values - clean.values).square().mean() < 0.6 * (noisy.values - clean.values).square().mean()


def test_my_own_method_keeps_to_what_all_keep_to(installed, tmp_path):
    checks = (
        "from spinecho.methods.contract import checks; [c('denoise', 'lee') for c in checks('denoise', 'lee').values()]"
    )
    run(installed, tmp_path, checks)


def test_my_own_method_is_the_local_wiener_filter(installed):
    module = runpy.run_path(str(EXAMPLES / "my_own_method.py"), run_name="method")
    method = module["Method"](module["Config"]())
    x = torch.zeros(1, 1, 5, 5)
    x[..., 2, 2] = 9.0
    flat = method(x, torch.tensor(100.0))
    assert torch.allclose(flat[..., 1:4, 1:4], torch.ones(1, 1, 3, 3)), "all noise: the mean over 3 x 3"
    torch.testing.assert_close(method(x, torch.tensor(0.0)), x, msg="no noise: nothing changes")
    torch.testing.assert_close(method(torch.full((1, 2, 6, 6), 3.0), torch.tensor(0.5)), torch.full((1, 2, 6, 6), 3.0))
