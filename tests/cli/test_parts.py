"""The command line's parts: options from dataclasses, facts in words, conversions from format to format, threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
import tyro

from spinecho import Image, KSpace
from spinecho.cli import main
from spinecho.cli.parse import parse, value_of, with_settings
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.describe import facts, one_line, times, written
from spinecho.io.options import ReadOptions
from spinecho.io.read import read

AXES = ["--axes", "coil k1 k0"]


@dataclass(frozen=True, kw_only=True)
class Inner:
    key: str | None = None
    """name of the variable"""
    pair: tuple[int, int] | None = None
    """start and stop"""


@dataclass(frozen=True, kw_only=True)
class Outer:
    file: Annotated[Path, tyro.conf.Positional]
    """what to read"""
    size: float | None = None
    """in mm"""
    loud: bool = False
    """say more"""
    inner: Annotated[Inner, tyro.conf.arg(name="")] = field(default_factory=Inner)


@dataclass(frozen=True, kw_only=True)
class Config:
    weight: float | None = None
    """of the penalty"""
    n_iters: int = 7
    """of the solver"""


def test_options_fill_the_dataclass():
    args = parse(Outer, "test", "", ["a.h5", "--size", "2.5", "--pair", "3", "9", "--loud"])
    assert (args.file, args.size, args.loud) == (Path("a.h5"), 2.5, True)
    assert args.inner.pair == (3, 9) and args.inner.key is None
    assert isinstance(args, Outer) and isinstance(args.inner, Inner)


def test_what_is_left_out_keeps_its_default():
    args = parse(Outer, "test", "", ["a.h5"])
    assert (args.size, args.loud, args.inner.key, args.inner.pair) == (None, False, None, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.h5", "--pair", "3", "4", "77"], "77"),
        (["a.h5", "--size", "wide"], "--size"),
        (["a.h5", "--colour", "red"], "--colour"),
        ([], "PATH"),
        (["a.h5", "b.h5"], "b.h5"),
    ],
)
def test_wrong_options_end_with_2_and_are_named(arguments, told, capsys):
    with pytest.raises(SystemExit) as end:
        parse(Outer, "test", "", arguments)
    shown = capsys.readouterr()
    assert end.value.code == 2
    assert told in shown.err + shown.out


def test_settings_stand_beside_the_other_options(capsys):
    args = parse(with_settings(Outer, Config), "test", "", ["a.h5", "--weight", "0.5", "--key", "k"])
    assert (args.settings.weight, args.settings.n_iters, args.inner.key) == (0.5, 7, "k")
    with pytest.raises(SystemExit) as end:
        parse(with_settings(Outer, Config), "test", "About it.", ["--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    for words in (
        "usage: spinecho test",
        "About it.",
        "--weight FLOAT",
        "--n-iters INT",
        "of the penalty",
        "(default: 7)",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], "none"),
        (["--method", "tv"], "tv"),
        (["--method=tv", "-o", "x"], "tv"),
        (["--method"], "none"),
        (["scan", "--method", "tv", "--method", "llr"], "llr"),
        (["--methods", "tv"], "none"),
        (["--method=a=b"], "a=b"),
    ],
)
def test_the_value_behind_an_option(arguments, found):
    assert value_of("--method", arguments, "none") == found


def scan(mask: torch.Tensor | None = None, n_coils: int = 2, **facts_) -> KSpace:
    shape = (1, 8, 6)
    known = {
        "samples": torch.ones(3, n_coils, *shape, dtype=torch.complex64),
        "mask": torch.ones(1, 1, 1, 8, 1, dtype=torch.bool) if mask is None and "traj" not in facts_ else mask,
        "encoding": Encoding.cartesian(shape),
        "geometries": (Geometry.from_frame((0, 0, 0), np.eye(3), (1.5, 2.0, 5.0), shape),),
        "axes": ("time",),
        "header": Header(file_format="mrd"),
    }
    return KSpace(**{**known, **facts_})


def test_one_line_on_a_scan():
    assert one_line(scan()) == "mrd: 3 times, 2 coils, matrix 1 x 8 x 6 (z, y, x), fully sampled"
    half = torch.zeros(1, 1, 1, 8, 1, dtype=torch.bool)
    half[..., ::3, :] = True
    line = one_line(scan(half, n_coils=1, header=Header(flags=("simulated", "x=1"))))
    assert line == "data: 3 times, 1 coil, matrix 1 x 8 x 6 (z, y, x), 2.67-fold undersampled [simulated, x=1]"
    assert one_line(scan().part("time", 0)).startswith("mrd: 1 time, 2 coils")


def test_one_line_on_a_trajectory_and_on_one_slice_of_many():
    encoding = Encoding(matrix=(1, 8, 8), recon_matrix=(1, 8, 8), trajectory="radial")
    traj = torch.zeros(1, 1, 8, 6, 3)
    radial = scan(traj=traj, encoding=encoding, geometries=(Geometry.unknown((1, 8, 8)),))
    assert one_line(radial).endswith("radial trajectory of 8 readouts")
    one = replace(scan().part("time", 0), axes=("slice",))
    assert one_line(one, n_slices=40).startswith("mrd: 40 slices, ")


def test_facts_are_those_that_are_known():
    told = dict(facts(scan()))
    assert told["what"] == "k-space" and told["noise covariance"] == "no"
    assert told["voxel"] == "1.5 x 2 x 5 mm (x, y, z)"
    assert told["first voxel"] == "-4.50, -8.00, 0.00 mm LPS"
    assert not {"TE", "TR", "scanner", "field", "orientation", "calibration lines apart", "truth in the file"} & set(
        told
    )


def test_facts_of_a_scan_that_records_much():
    header = Header(
        file_format="twix", vendor="Siemens", model="Prisma", field_t=2.89, te_ms=(4.2, 9.75), tr_ms=(500.0,),
        ti_ms=(900.0,), flip_deg=(8.0,), sequence="gre", protocol="t2s", history=("first", "second"),
    )  # fmt: skip
    rich = scan(
        header=header,
        calib=torch.ones(1, 2, 1, 4, 6, dtype=torch.complex64),
        noise_cov=torch.eye(2, dtype=torch.complex64),
        target=torch.ones(3, 1, 1, 8, 6),
        geometries=(Geometry.unknown((1, 8, 6)),),
    )
    rows = facts(rich)
    told = dict(rows)
    assert told["scanner"] == "Siemens Prisma" and told["field"] == "2.89 T"
    assert (told["TE"], told["TR"], told["TI"]) == ("4.2, 9.75 ms", "500 ms", "900 ms")
    assert told["flip angle"] == "8 degrees" and told["sequence"] == "gre" and told["protocol"] == "t2s"
    assert (
        told["calibration lines apart"] == "1 x 4 x 6"
        and told["noise covariance"] == told["truth in the file"] == "yes"
    )
    assert told["orientation"] == "unknown" and "first voxel" not in told
    assert [value for label, value in rows if label == "history"] == ["first", "second"]


def test_facts_of_an_image():
    image = Image(values=torch.ones(1, 1, 8, 6), geometries=(Geometry.unknown((1, 8, 6)),))
    told = dict(facts(image))
    assert told["what"] == "image" and told[""] == "data: 1 x 8 x 6 (z, y, x), float32"
    assert "noise covariance" not in told


def test_what_was_written():
    assert written([Path("a.nii"), Path("b.png")]) == "wrote a.nii\nwrote b.png"
    assert written([Path(f"out/{i}.dcm") for i in range(5)]) == "wrote 5 files in out"
    assert times((1, 20, 3)) == "1 x 20 x 3"


def run(*arguments: object, code: int = 0) -> None:
    assert main([str(a) for a in arguments]) == code


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> tuple[Path, np.ndarray]:
    rng = np.random.default_rng(5)
    array = (rng.standard_normal((2, 12, 10)) + 1j * rng.standard_normal((2, 12, 10))).astype(np.complex64)
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, array)
    return path, array


RAW = ("npy", "cfl", "mrd", "h5")


@pytest.mark.parametrize("source", RAW)
@pytest.mark.parametrize("target", RAW)
def test_k_space_from_every_format_to_every_other(source, target, samples, tmp_path, capsys):
    """Two conversions keep every sample, whatever the formats."""
    path, array = samples
    first, second = tmp_path / f"first.{source}", tmp_path / f"second.{target}"
    run("convert", path, first, *AXES)
    run("convert", first, second, *(AXES if source == "npy" else []))
    assert capsys.readouterr().out.count("fully sampled") == 2
    found = read(second, ReadOptions(axes=AXES[1] if target == "npy" else None))
    assert isinstance(found, KSpace)
    np.testing.assert_allclose(found.samples.numpy().reshape(array.shape), array, rtol=1e-6)


@pytest.mark.parametrize("source", ["nii.gz", "npy", "h5", "mrd"])
@pytest.mark.parametrize("target", ["nii", "mrd", "npy"])
def test_pictures_from_format_to_format(source, target, tmp_path):
    picture = np.random.default_rng(3).random((9, 7)).astype(np.float32)
    np.save(tmp_path / "picture.npy", picture)
    first, second = tmp_path / f"first.{source}", tmp_path / f"second.{target}"
    run("convert", tmp_path / "picture.npy", first, "--axes", "y x")
    run("convert", first, second)
    found = read(second)
    assert isinstance(found, Image)
    np.testing.assert_allclose(found.values.abs().squeeze().numpy(), picture, rtol=1e-5)


def test_threads_are_those_that_were_asked_for(samples, tmp_path):
    run("recon", samples[0], *AXES, "--method", "zero_filled", "-o", tmp_path / "o.npy", "--threads", 2)
    assert torch.get_num_threads() == 2


def test_several_outputs_and_a_wrong_one_among_them(samples, tmp_path, capsys):
    good, bad = tmp_path / "a.npy", tmp_path / "b.docx"
    run("recon", samples[0], *AXES, "--method", "zero_filled", "-o", good, "--output", bad, code=2)
    assert "no writer for image files called '.docx'" in capsys.readouterr().err
    assert not good.exists(), "refused before any work"
    run("recon", samples[0], *AXES, "--method=zero_filled", "-o", good, "--output", tmp_path / "c.cfl")
    assert good.exists() and (tmp_path / "c.hdr").exists()


def test_a_report_may_be_the_only_output(samples, tmp_path, capsys):
    run("recon", samples[0], *AXES, "--method", "zero_filled", "--report", tmp_path / "r.html")
    assert f"wrote {tmp_path / 'r.html'}" in capsys.readouterr().out
    assert "zero_filled" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("command", ["info", "convert", "recon", "demo", "list"])
def test_every_command_helps_and_refuses_what_it_does_not_know(command, capsys):
    run(command, "--help")
    assert f"usage: spinecho {command}" in capsys.readouterr().out
    run(command, "--no-such-option", code=2)


def test_the_version_and_help_by_every_name(capsys):
    from spinecho.core.version import __version__

    for name in ("-V", "--version"):
        run(name)
        assert capsys.readouterr().out == f"spinecho {__version__}\n"
    shown = []
    for name in ("help", "-h", "--help"):
        run(name)
        shown.append(capsys.readouterr().out)
    assert len(set(shown)) == 1 and shown[0].startswith("usage: spinecho COMMAND")


def test_a_setting_of_another_method_is_refused(samples, tmp_path, capsys):
    run("recon", samples[0], *AXES, "--method", "zero_filled", "--l2", "0.1", "-o", tmp_path / "o.npy", code=2)
    shown = capsys.readouterr()
    assert "--l2" in shown.err + shown.out
    assert not (tmp_path / "o.npy").exists()
