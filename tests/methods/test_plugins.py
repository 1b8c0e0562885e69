"""A method in an installed package is listed, run, trained, evaluated and checked like ours; ours keep their names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import forked
import spinecho
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.evaluate import versions
from spinecho.methods import plugins, registry
from spinecho.methods.pretrained import built

MEAN = '''"""Each voxel becomes the mean of itself and its neighbours along x; an example of a package.

Source: none, it is arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from spinecho.tasks.denoise.base import Denoise


@dataclass(frozen=True)
class Config:
    share: float = 0.5
    """of the neighbours' mean in the result"""


class Method(Denoise):
    config: Config

    def forward(self, values, noise):
        mean = (values.roll(1, -1) + values.roll(-1, -1)) / 2
        return (1 - self.config.share) * values + self.config.share * mean
'''
LEARNED = '''"""One learned number that all values are multiplied by; an example of a package.

Source: none, it is arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from spinecho.tasks.denoise.base import Denoise


@dataclass(frozen=True)
class Config:
    start: float = 0.5
    """of the number before training"""


class Method(Denoise):
    config: Config
    learned = True

    def __init__(self, config):
        super().__init__(config)
        self.factor = torch.nn.Parameter(torch.tensor(config.start))

    def forward(self, values, noise):
        return self.factor * values

    def loss(self, example):
        return (self.factor * example.noisy - example.clean).abs().square().mean()
'''
POINTS = """[spinecho.methods]
denoise/mean3 = otherlab.mean3
denoise/factor = otherlab.factor
denoise/wavelet = otherlab.mean3
dream/mean3 = otherlab.mean3
denoise = otherlab.mean3
denoise/gone = otherlab.gone
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path, monkeypatch) -> Install:
    """A package on the path, as installed: a dist-info folder with entry points, and modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_BY_HAND", [])

    def put(points: str = POINTS, package: str = "otherlab", **modules: str) -> Path:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        for name, text in (modules or {"mean3": MEAN, "factor": LEARNED}).items():
            (tmp_path / package / f"{name}.py").write_text(text)
        for name in [n for n in sys.modules if n.partition(".")[0] == package]:
            del sys.modules[name]
        plugins._installed.cache_clear()
        return tmp_path

    yield put
    plugins._installed.cache_clear()


def image() -> Image:
    values = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)) + 100
    return Image(values=values, geometries=(Geometry.unknown((3, 40, 40)),))


def test_it_is_listed_and_run(install, capsys, monkeypatch, tmp_path):
    install()
    assert {"mean3", "factor", "wavelet"} <= set(registry.names("denoise")) and "gone" not in registry.names("denoise")
    assert "otherlab.mean3" not in sys.modules, "listing imports no method"
    assert main(["list"]) == 0
    told = capsys.readouterr()
    assert "mean3        Each voxel becomes the mean" in told.out and "[from otherlab]" in told.out
    assert "[from otherlab] [no weights yet: spinecho train denoise/factor]" in told.out
    assert spinecho.denoise(image(), "mean3", sigma=1.0).values.std() < image().values.std() * 0.8
    monkeypatch.chdir(tmp_path)
    spinecho.write(image(), "in.nii.gz")
    words = ["denoise", "in.nii.gz", "-o", "out.nii.gz", "--method", "mean3", "--share", "0", "--sigma", "1"]
    assert main(words) == 0
    one, other = spinecho.read("in.nii.gz"), spinecho.read("out.nii.gz")
    assert isinstance(one, Image) and isinstance(other, Image)
    torch.testing.assert_close(one.values, other.values)


def test_what_cannot_be_used_is_told_and_ours_stay(install, capsys):
    install()
    assert registry.load("denoise", "wavelet").__name__ == "spinecho.tasks.denoise.methods.wavelet"
    assert main(["list"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not used: ")]
    assert len(told) == 4
    for wanted in (
        "denoise/wavelet of otherlab: spinecho has a method of that name",
        "dream/mean3 of otherlab: there is no task dream",
        "denoise of otherlab: its entry point shall be called task/name",
        "denoise/gone of otherlab: there is no module otherlab.gone",
    ):
        assert any(wanted in line for line in told), told


def test_of_two_packages_one_has_the_name(install):
    install()
    install("[spinecho.methods]\ndenoise/mean3 = zlab.mean3\n", "zlab", mean3=MEAN)
    assert registry.elsewhere("denoise")["mean3"].package == "otherlab"
    assert any("denoise/mean3 of zlab: another package offers that name too" in why for why in registry.not_used())


def test_a_module_that_fails_is_its_packages_fault(install):
    install("[spinecho.methods]\ndenoise/bad = badlab.bad\n", "badlab", bad='"""Bad."""\nraise OSError("no")\n')
    assert registry.summary("denoise", "bad") == "Bad."
    with pytest.raises(DataError, match=r"bad of badlab cannot be imported \(OSError: no\) -> repair or remove badlab"):
        built("denoise", "bad", {})


def test_a_package_that_fails_hides_its_methods(install):
    folder = install("[spinecho.methods]\ndenoise/a = sadlab.a\n", "sadlab", a=MEAN)
    (folder / "sadlab" / "__init__.py").write_text("raise RuntimeError('no')\n")
    assert "a" not in registry.names("denoise") and any("cannot be found (no)" in why for why in registry.not_used())


def test_rows_of_an_evaluation_depend_on_its_files(install):
    folder = install()
    before = versions.of_method("denoise", "mean3", {}), versions.of_method("denoise", "wavelet", {})
    (folder / "otherlab" / "mean3.py").write_text(MEAN.replace("0.5", "0.4"))
    after = versions.of_method("denoise", "mean3", {}), versions.of_method("denoise", "wavelet", {})
    assert before[0] != after[0] and before[1] == after[1]


def test_it_is_trained_and_its_weights_are_its_own(install, tmp_path, monkeypatch):
    folder = install()
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    spinecho.write(image(), "scans/a.nii.gz")
    spinecho.write(image(), "scans/b.nii.gz")
    words = "train denoise/factor --data scans --out run --steps 3 --batch 1 --patches 2 --patch 16 --validate-every 0"
    assert main(words.split()) == 0
    weights = "run/weights.safetensors"
    assert spinecho.denoise(image(), "factor", sigma=1.0, weights=weights).values.mean() != image().values.mean()
    assert not registry.offer("denoise", "factor").is_ready
    Path(weights).rename(folder / "otherlab" / "factor.safetensors")
    assert registry.offer("denoise", "factor").is_ready, "weights beside the module"
    spinecho.denoise(image(), "factor", sigma=1.0)
    assert folder / "otherlab" / "factor.safetensors" in plugins.sources(registry.elsewhere("denoise")["factor"])


def test_a_single_file_is_a_package_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "alone_of_a_test.py").write_text(MEAN)
    (tmp_path / "another.py").touch()
    plugin = plugins.Plugin("denoise", "alone", "alone_of_a_test", plugins.source_of("alone_of_a_test"))
    assert plugins.sources(plugin) == [tmp_path / "alone_of_a_test.py"] and plugin.label.endswith("alone_of_a_test")
    with pytest.raises(DataError, match="no module nowhere_of_a_test"):
        plugins.source_of("nowhere_of_a_test")


def checked(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    """`pytest --spinecho-method`, in a process of its own."""
    words = [f"--spinecho-method={module}" for module in modules]
    plugin = ["-p", "spinecho.cli.pytest_plugin", "-p", "no:cacheprovider", "-rA"]
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return forked.run(forked.module, "pytest", *plugin, *words, environment=environment, folder=folder)


def test_it_is_checked_like_ours(install):
    folder = install(mean3=MEAN, factor=LEARNED)
    (folder / "otherlab" / "worse.py").write_text(
        MEAN.replace("Source: ", "From ").replace("        mean = ", "        values += 1\n        mean = ")
    )
    done = checked(folder, "otherlab.mean3", "otherlab.factor", "otherlab.worse")
    assert "denoise/mean3[repeats]" in done.stdout and "PASSED ::denoise/factor[training]" in done.stdout, done.stdout
    assert "FAILED ::denoise/worse[parts]" in done.stdout and "names no source" in done.stdout
    assert "FAILED ::denoise/worse[repeats]" in done.stdout
    assert done.returncode == 1 and "2 failed, 11 passed" in done.stdout


def test_what_is_no_method_cannot_be_checked(install):
    folder = install(mean3=MEAN, wavelet=MEAN, nothing='"""Nothing."""\n')
    for module, told in (
        ("otherlab.nothing", "has no class Method of a task's base class"),
        ("otherlab.wavelet", "spinecho has a method of that name, which stays"),
        ("otherlab.absent", "No module named"),
    ):
        done = checked(folder, module)
        assert done.returncode == 4 and told in done.stderr, done.stdout + done.stderr
