"""A bundle trains where our readers are absent, is killed and goes on, and its weights are of use at home."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from time import sleep

import numpy as np
import pytest
import small
import torch

import forked
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.train import bundle
from spinecho.train.journal import read
from spinecho.train.order import from_json

ABSENT = "nibabel pydicom ismrmrd twixtools finufft tyro beartype pywt skimage SimpleITK rich jinja2 sigpy dask"


class Absent:
    """What finds none of these packages."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT.split():
            raise ImportError(name + " is not installed here")


def without_readers(*words: str) -> None:
    """The bundle's command where our readers cannot be imported, and are not yet."""
    assert not set(ABSENT.split()) & {name.partition(".")[0] for name in sys.modules}
    sys.meta_path.insert(0, Absent())
    forked.code("import sys; from spinecho.train.bundle import main; sys.exit(main())", *words)


def bundled(method: str, tmp_path: Path, *more: object) -> Path:
    """The folder for a few steps of a method."""
    folder, files = tmp_path / "bundle", small.files_for(method, tmp_path / "files")
    given = ["train", method, "--data", files, "--bundle", folder, *small.METHODS[method], *small.QUICK, *more]
    assert main([str(word) for word in given]) == 0
    return folder


def elsewhere(*words: object) -> forked.Forked:
    """The bundle at work in a process without our readers."""
    return forked.Forked(without_readers, *map(str, words))


def lines(out: Path) -> list[tuple]:
    seen = [{k: v for k, v in line.items() if k != "seconds"} for line in read(out / "metrics.jsonl")]
    return [tuple(line.items()) for line in seen]


@pytest.mark.parametrize("method", sorted(small.METHODS))
def test_it_trains_without_our_readers_and_goes_on_after_a_kill(method, tmp_path, capsys):
    """To the same losses, scores and weights as a training from the files themselves, bit for bit."""
    folder, out, plain = bundled(method, tmp_path, "--steps", 5), tmp_path / "out", tmp_path / "plain"
    assert "everything, exactly as it was read" in capsys.readouterr().out
    is_killed = method == "recon/varnet"
    if is_killed:
        child = elsewhere(folder, "--out", out)
        while child.poll() is None and not any((out / "checkpoints").glob("step_*")):
            sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    child = elsewhere(folder, "--out", out)
    shown, wrong = child.communicate()
    assert child.wait() == 0, wrong
    assert ("goes on after step" in shown) == is_killed
    assert f"wrote {out}/weights.safetensors; to use it: spinecho " in shown
    given = ["train", method, "--data", tmp_path / "files", "--out", plain, *small.METHODS[method], *small.QUICK]
    assert main([*map(str, given), "--steps", "5"]) == 0
    assert lines(out) == lines(plain)
    (ours, facts), (theirs, _) = (load_state(o / "weights.safetensors") for o in (out, plain))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    sources = facts["trained"]["facts"]["data"]
    assert sources[0] == str(tmp_path / "files") and sources[1].startswith("pack ")


def test_weights_from_a_bundle_reconstruct(tmp_path):
    folder = bundled("recon/varnet", tmp_path, "--steps", 2)
    child = elsewhere(folder, "--validate-every", 0)
    _, wrong = child.communicate()
    assert child.wait() == 0, wrong
    weights, scan = folder / "run" / "weights.safetensors", tmp_path / "scan.h5"
    from spinecho.io.write import write
    from spinecho.sim.scan import Scan, simulate_phantom

    write(simulate_phantom(Scan(matrix=(1, 48, 40), n_coils=4, sampling="random:2:12:0")).kspace, scan)
    assert main(["recon", str(scan), "-o", str(tmp_path / "image.npy"), "--weights", str(weights)]) == 0
    assert np.isfinite(np.load(tmp_path / "image.npy")).all()


def test_weights_to_start_from_travel_and_what_is_said_there_counts(tmp_path):
    assert bundled("recon/varnet", tmp_path, "--steps", 1)
    assert bundle.main([str(tmp_path / "bundle")]) == 0
    begin, files = tmp_path / "bundle/run/weights.safetensors", tmp_path / "files"
    folder = tmp_path / "next"
    given = ["train", "recon/varnet", "--data", files, "--bundle", folder, "--init", begin, *small.QUICK]
    assert main([*map(str, given), "--budget", "9m"]) == 0
    begin.rename(tmp_path / "gone.safetensors")
    child = elsewhere(folder, "--steps", 2, "--rate", 1e-9, "--batch", 2, "--validate-every", 0, "--freeze", "mix")
    _, wrong = child.communicate()
    assert child.wait() == 0, wrong
    ours, facts = load_state(folder / "run/weights.safetensors")
    before, _ = load_state(tmp_path / "gone.safetensors")
    assert all(torch.allclose(ours[name], before[name], atol=1e-6) for name in before)
    assert facts["trained"]["settings"]["batch"] == 2 and facts["trained"]["facts"]["init"] == "weights.safetensors"
    assert facts["trained"]["settings"]["freeze"] == ["mix"]
    order = from_json((folder / "order.json").read_text(), folder)
    assert (order.budget, order.init, order.out) == ("9m", "weights.safetensors", Path("run"))
    readme = (folder / "README.txt").read_text()
    assert "python -m spinecho.train.bundle next --out RUN" in readme and "Packed: everything, exactly" in readme


def test_an_order_comes_back_as_it_was_given(tmp_path):
    folder = bundled("register/voxelmorph", tmp_path, "--steps", 3)
    order = from_json((folder / "order.json").read_text(), folder)
    assert order.config.channels == (4, 8) and order.config.spacing_mm == 4.0 and order.options.labels is None
    assert order.settings.steps == 3 and order.paths == (Path("pack"),) and order.command.startswith("spinecho train ")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--out", "runs/x"], "--out and --bundle are both given"),
        (["--bundle", "FULL"], "FULL: the folder is not empty -> choose another --bundle"),
    ],
)
def test_what_cannot_be_written_is_told(more, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("FULL").mkdir()
    Path("FULL/thing").touch()
    files = small.images(tmp_path / "files")
    given = ["train", "recon/varnet", "--data", str(files), "--bundle", "new", *small.VARNET, *small.QUICK, *more]
    assert main(given) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not Path("new").exists()


def test_what_is_no_bundle_or_damaged_is_told(tmp_path, capsys):
    assert bundle.main([str(tmp_path)]) == 2
    assert "it is not a bundle: there is no order.json in it" in capsys.readouterr().err
    folder = bundled("denoise/unet", tmp_path, "--steps", 1)
    assert bundle.main([str(folder), "--budget", "9m", "--steps", "4"]) == 2
    assert "--budget 9m and --steps 4 are both given" in capsys.readouterr().err
    first = next((folder / "pack").glob("*.xz"))
    first.write_bytes(first.read_bytes()[:-20])
    assert bundle.main([str(folder)]) == 2
    assert "it cannot be read" in capsys.readouterr().err
    written = json.loads((folder / "order.json").read_text())
    (folder / "order.json").write_text(json.dumps({**written, "surprise": 1}))
    with pytest.raises(DataError, match="not an order of this version"):
        from_json((folder / "order.json").read_text(), folder)
