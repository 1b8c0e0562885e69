"""The loss `dropout`: points of whole lines, features dropped while it is computed and no longer, what it then is."""

from __future__ import annotations

import drawn
import pytest
import torch
from test_recon_losses import METHODS, rng, scan, shaken
from torch import nn

from spinecho.calib.csm import estimate_csm
from spinecho.tasks.recon.methods import cascade, hqs_net
from spinecho.tasks.recon.parts import division
from spinecho.tasks.recon.parts.losses import How, dropout, ssdu


def network() -> hqs_net.Method:
    method = hqs_net.Method(hqs_net.Config(channels=(4, 6), blocks=(1, 1), n_steps=2, early=1, start_iters=3))
    return shaken(method)  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("kind", ["random", "points"])
def test_points_are_hidden_where_lines_were_measured_and_no_calibration_line(kind):
    kspace = scan(kind)
    divided = dropout.drawn(kspace, rng(), How(share=0.3, masks=2))
    outer = division.outer_of(kspace).expand(1, 1, 64, 40)
    assert divided.left.shape == (2, 1, 1, 64, 40) and not (divided.left & ~outer).any()
    for left in divided.left:
        assert int(left.sum()) == round(0.3 * int(outer.sum()))
    assert not torch.equal(divided.left[0], divided.left[1])
    assert torch.equal(dropout.drawn(kspace, rng(), How(share=0.3, masks=2)).left, divided.left)
    if kind == "random":
        shares = divided.left[0, 0, 0].float().mean(-1)[outer[0, 0].all(-1)]
        assert float(shares.min()) > 0 and float(shares.max()) < 0.65, "of each line a part, of none the whole"
    seen = divided.seen(0)
    torch.testing.assert_close(estimate_csm(seen), estimate_csm(kspace))


@pytest.mark.parametrize("name", list(METHODS))
def test_features_are_dropped_only_within(name):
    deep = cascade.Config(n_cascades=2, n_convs=3, channels=4)
    method = shaken(cascade.Method(deep) if name == "cascade" else METHODS[name]())
    kspace = scan(shape=(40, 36))
    example, csm = dropout.drawn(kspace, rng(), How()), estimate_csm(kspace)

    def image() -> torch.Tensor:
        with torch.no_grad():
            return method.stages(example.seen(0), csm)[-1]

    whole = image()
    with dropout.dropped(method):
        torch.manual_seed(0)
        one, other = image(), image()
        torch.manual_seed(0)
        again = image()
    assert not torch.equal(one, other), "drawn anew in each pass"
    assert torch.equal(one, again), "from torch's own state"
    assert torch.equal(image(), whole), "and gone afterwards"


def test_it_is_gone_after_an_error():
    layer = nn.Conv2d(4, 4, 1)
    with pytest.raises(RuntimeError, match="broken"), dropout.dropped(layer):
        raise RuntimeError("broken")
    x = torch.ones(1, 4, 2, 2)
    assert torch.equal(layer(x), layer(x))


def test_images_are_never_dropped():
    """A layer from an image to features sees all of it; the mean of a feature stays."""
    enter, keeps = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1, bias=False)
    with torch.no_grad():
        keeps.weight.copy_(torch.eye(4)[:, :, None, None])
    with dropout.dropped(nn.ModuleList([enter, keeps])):
        x = torch.ones(1, 2, 8, 8)
        assert torch.equal(enter(x), enter(x))
        y = keeps(torch.ones(1, 4, 200, 200)).detach()
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / (1 - dropout.FEATURES)]))
    assert y.mean().item() == pytest.approx(1, rel=0.01)


def test_with_nothing_dropped_it_is_ssdu_on_points(monkeypatch):
    monkeypatch.setattr(dropout, "FEATURES", 0.0)
    method, kspace = network(), scan(shape=(40, 36))
    example = dropout.drawn(kspace, rng(), How(masks=2))
    with torch.no_grad():
        torch.testing.assert_close(dropout.loss(method, example), ssdu.loss(method, example))
        points = division.divide(kspace, 0.4, 2, rng(), points=True)
        torch.testing.assert_close(ssdu.loss(method, points), ssdu.loss(method, example))


def test_the_refusals_are_those_of_ssdu():
    assert dropout.refusal(scan()) is None
    assert "trajectory" in (dropout.refusal(drawn.drawn_spokes()) or "")
