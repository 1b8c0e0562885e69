"""Acquisitions are files: found by name, chosen by shares, asked whether a method can take them."""

from __future__ import annotations

import pytest
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.sim.draws import Draws
from spinecho.tasks.recon import examples
from spinecho.tasks.recon.examples import acquisitions
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Acquisition, acquisition, acquisition_names, chosen
from spinecho.tasks.recon.examples.draw import ready
from spinecho.tasks.recon.examples.simulated import Simulated
from spinecho.tasks.recon.methods import unet
from spinecho.train.draw import generator

ANY = toy.Method(toy.Config())
DRAWS = Draws(matrix=(32, 40), coils=(1, 3))


class Discs:
    def draw(self, rng, shape):
        return toy.disc(shape)


@pytest.mark.parametrize("name", acquisition_names())
def test_each_draws_scans_that_can_be_learned_from(name):
    module = acquisition(name)
    assert isinstance(module, Acquisition) and module.__doc__ and module.refusal(ANY) is None
    one, again, other = (ready(module.draw(Discs(), (36, 32), generator(i), DRAWS)) for i in (1, 1, 2))
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
        (("spiral",), 0.0, "no acquisition 'spiral' -> known are cartesian, radial"),
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

def draw(objects, shape, rng, draws):
    scan = cartesian.draw(objects, shape, rng, draws)
    return replace(scan, mask=scan.mask | True)

def refusal(method):
    return None
''')
    monkeypatch.setattr(acquisitions, "__path__", [*acquisitions.__path__, str(tmp_path)])
    source = Simulated(Discs(), DRAWS, chosen(("full",), 0.0, ANY, "toy"))
    assert source.scan(generator(3)).mask.all()
    facts = examples._facts(examples.Options(acquire=("full",)), source.shares)
    assert facts == {"acquire": [["full", 1.0]]}


def test_facts_name_only_what_is_no_default():
    assert examples._facts(examples.Options(), CARTESIAN) == {}
    both = chosen(("cartesian",), 0.3, ANY, "toy")
    assert examples._facts(examples.Options(radial=0.3), both) == {"radial": 0.3}
