"""Acquisitions are files: found by name, chosen by shares, asked whether a method can take them."""

from __future__ import annotations

import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.store import Volume, stored
from spinecho.tasks.recon import examples
from spinecho.tasks.recon.examples import acquisitions
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Acquisition, acquisition, acquisition_names, chosen
from spinecho.tasks.recon.examples.simulated import Simulated
from spinecho.tasks.recon.methods import unet
from spinecho.train.draw import generator

ANY = toy.Method(toy.Config())
DEFAULT = {"drawing": examples._DRAWING}
RANGES = Ranges(matrix=(32, 40), coils=(1, 3))


DRAWING = Drawing(stored([Volume(toy.disc((34, 36, 38)).numpy(), "pictures")]), RANGES)
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", acquisition_names())
def test_each_draws_scans_that_can_be_learned_from(name):
    module = acquisition(name)
    assert isinstance(module, Acquisition) and module.__doc__ and module.refusal(ANY) is None
    one, again, other = (module.draw(DRAWING, generator(i), [generator(i, 0), generator(i, 1)], CPU) for i in (1, 1, 2))
    assert one.axes == ("example",) and len(one.samples) == 2
    assert torch.equal(one.samples, again.samples) and one.samples.shape[-1] and one.target.any()
    assert one.samples.shape != other.samples.shape or not torch.equal(one.samples, other.samples)


@pytest.mark.parametrize(
    ("given", "radial", "shares"),
    [
        (("cartesian",), 0.0, CARTESIAN),
        (("radial",), 0.0, (("radial", 1.0),)),
        (("cartesian", "radial:0.25"), 0.0, (("cartesian", 0.75), ("radial", 0.25))),
        (("cartesian", "radial"), 0.0, (("cartesian", 0.5), ("radial", 0.5))),
        (("cartesian",), 0.25, (("radial", 0.25), ("cartesian", 0.75))),
        (("cartesian",), 1.0, (("radial", 1.0), ("cartesian", 0.0))),
    ],
)
def test_shares(given, radial, shares):
    assert chosen(given, radial, ANY, "toy") == shares


@pytest.mark.parametrize(
    ("given", "radial", "told"),
    [
        (("spiral",), 0.0, "no acquisition 'spiral' -> known are cartesian, radial, short, shots"),
        (("radial:2",), 0.0, r"acquire=\('radial:2',\) -> give NAME or NAME:SHARE"),
        (("radial:much",), 0.0, r"acquire=\('radial:much',\) -> give NAME"),
        (("radial:0.4", "cartesian:0.4"), 0.0, "add up to 0.8"),
        (("radial:0.4", "radial"), 0.0, "names radial twice"),
        ((), 0.0, "add up to 0"),
        (("radial:0.4", "cartesian"), 0.5, "both given"),
    ],
)
def test_shares_that_cannot_be(given, radial, told):
    with pytest.raises(DataError, match=told):
        chosen(given, radial, ANY, "toy")


def test_a_method_is_asked():
    with pytest.raises(DataError, match=r"unet cannot train on radial scans: .* -> leave out acquire=\('radial',\)"):
        chosen(("radial:0.1", "cartesian"), 0.0, unet.Method(unet.Config()), "unet")


def test_a_new_file_is_an_acquisition(tmp_path, monkeypatch):
    (tmp_path / "full.py").write_text('''"""All samples."""
from dataclasses import replace
from spinecho.tasks.recon.examples.acquisitions import cartesian

def draw(drawing, step, examples, device):
    scan = cartesian.draw(drawing, step, examples, device)
    return replace(scan, mask=scan.mask | True)

def refusal(method):
    return None
''')
    monkeypatch.setattr(acquisitions, "__path__", [*acquisitions.__path__, str(tmp_path)])
    source = Simulated(DRAWING, chosen(("full",), 0.0, ANY, "toy"))
    assert source.batch(generator(3), [generator(4)], CPU).mask.all()
    facts = examples._facts(examples.Options(acquire=("full",)), source.shares)
    assert facts == {**DEFAULT, "acquire": [["full", 1.0]]}


@pytest.mark.parametrize("radial", [0.0, 0.5, 1.0])
def test_share_of_radial_steps(radial):
    source = Simulated(DRAWING, (("radial", radial), ("cartesian", 1 - radial)))
    n = sum(not source.batch(generator(i), [generator(i, 0)], CPU).is_cartesian for i in range(24))
    assert n == 24 * radial or (radial == 0.5 and 5 < n < 19)


def test_facts_name_only_what_is_no_default():
    assert examples._facts(examples.Options(), CARTESIAN) == DEFAULT
    both = chosen(("cartesian",), 0.3, ANY, "toy")
    assert examples._facts(examples.Options(radial=0.3), both) == {**DEFAULT, "radial": 0.3}
