"""Objects in batches: planes as they lie in memory, none black, with a phase of their own, placed in the grid."""

from __future__ import annotations

import anatomies
import numpy as np
import pytest
import torch
from anatomies import CPU

from spinecho.core.errors import DataError
from spinecho.sim.drawn.bucket import Bucket
from spinecho.sim.drawn.donors import lent_phase
from spinecho.sim.drawn.measured import measured_fields
from spinecho.sim.drawn.native import native
from spinecho.sim.drawn.objects import objects
from spinecho.sim.drawn.place import place
from spinecho.sim.drawn.rows import PARTS, Rows
from spinecho.sim.drawn.stack import single, stack
from spinecho.sim.drawn.store import Volume, stored
from spinecho.train.draw import generator

BUCKET = Bucket(shape=(48, 44), receivers=4)
NOT_WIDE = torch.zeros(40, 1, dtype=torch.bool)


def rows(n: int = 40, seed: int = 0) -> Rows:
    return Rows.drawn([generator(seed, i) for i in range(n)])


@pytest.mark.parametrize("kind", ["labels", "pictures", "complex"])
def test_a_plane_is_cut_as_it_lies(kind):
    store = anatomies.store(kind)
    planes = torch.arange(len(store.planes))[::7]
    columns = store.columns(planes)
    size = (int(columns["rows"].max()), int(columns["columns"].max()))
    some = rows(len(planes)).of("object")
    cut = native(kind, store, planes, some, size)
    assert cut.shape == (len(planes), 4, *size) and torch.isfinite(cut).all()
    lit = cut[:, :3].abs().sum(1) > 0.02
    for i in range(len(planes)):
        box = {name: int(column[i]) for name, column in columns.items()}
        inside = torch.zeros(size, dtype=torch.bool)
        margin = 10 if kind == "labels" else 3  # up to three more planes, each larger than the first
        inside[max(0, box["top"] - margin) : box["top"] + box["height"] + margin,
               max(0, box["left"] - margin) : box["left"] + box["width"] + margin] = True  # fmt: skip
        assert lit[i].any() and not (lit[i] & ~inside).any(), "the object lies in its box"
        assert not cut[i, :, box["rows"] :].any() and not cut[i, :, :, box["columns"] :].any()


def test_volumes_in_any_order_of_memory_are_the_same():
    a, b = (stored([Volume(order(anatomies.head()), "labels")]) for order in (np.ascontiguousarray, np.asfortranarray))
    assert torch.equal(a.values["labels"], b.values["labels"]) and torch.equal(a.planes, b.planes)


def test_planes_are_chosen_by_weight_and_fineness():
    coarse = Volume(anatomies.body(), "pictures", weight=1.0)
    fine = Volume(np.kron(anatomies.body(), np.ones((1, 4, 4), np.float32)), "pictures", (0,), weight=1.0)
    store = stored([coarse, fine])
    u = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    share = {n: float((store.choose(u, (n, n)) >= len(store.planes) - 36).float().mean()) for n in (48, 160)}
    assert 0.35 < share[48] < 0.6 and share[160] > 0.9


def test_an_empty_volume_is_refused():
    with pytest.raises(DataError, match="no plane"):
        stored([Volume(np.pad(np.ones((2, 2, 2), np.float32), 20), "pictures")])


@pytest.mark.parametrize("kind", ["labels", "pictures", "complex"])
def test_objects_are_never_black_and_have_phase(kind):
    image, wide = objects(anatomies.store(kind), BUCKET, rows(), CPU)
    assert image.shape == (40, *BUCKET.fine) and wide.shape == (40, 1)
    size = image.abs()
    assert torch.allclose(size.amax((1, 2)), torch.ones(40), atol=1e-5)
    assert float((size > 0.02).float().mean((1, 2)).min()) > 0.02
    inside = size > 0.1
    turn = torch.stack([image[i][inside[i]].angle().std() for i in range(40)])
    assert float((turn > 0.1).float().mean()) > 0.7


def test_long_readouts_are_half_air():
    bucket = Bucket(shape=(40, 76), receivers=2, long=True)
    image, wide = objects(anatomies.store("labels"), bucket, rows(), CPU)
    assert float(wide.float().mean()) > 0.7
    across = (image.abs() > 0.05).any(1).float().sum(1) / bucket.fine[1]
    assert float(across[wide[:, 0]].max()) < 0.7


def test_placing_keeps_the_object_in_the_grid_and_its_brightness():
    store = anatomies.store("pictures")
    planes = torch.full((40,), 60)
    box = store.columns(planes)
    plane = torch.ones(40, 1, int(box["rows"][0]), int(box["columns"][0]))
    placed = place(plane, box, NOT_WIDE, NOT_WIDE, (72, 80), rows().of("object"))
    assert placed.shape == (40, 1, 72, 80)
    assert float(placed.max()) < 1.001 and float(placed.amax((1, 2, 3)).min()) > 0.99
    areas = (placed > 0.5).float().sum((1, 2, 3))
    assert float(areas.max() / areas.min()) > 1.3, "of many sizes"


def test_lent_phase_is_a_phase():
    store = anatomies.store()
    chosen = torch.zeros(400, dtype=torch.long)
    wide = torch.zeros(400, 1, dtype=torch.bool)
    lent = lent_phase(store, BUCKET, chosen, wide, rows(400).of("lent"))
    assert lent is not None
    who, phase = lent
    assert 30 < len(who) < 90
    assert torch.allclose(phase.abs(), torch.ones_like(phase.abs()), atol=1e-4)
    assert float(phase.angle().flatten(1).std(1).median()) > 0.1
    assert lent_phase(anatomies.store("labels"), BUCKET, chosen, wide, rows(400).of("lent")) is None


def test_measured_maps_are_seen_at_other_angles():
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 32),) * 2, indexing="ij")
    maps = torch.polar(torch.exp(-(x.square() + y.square())), 3 * x)[None] * torch.arange(1, 7)[:, None, None]
    seen = measured_fields(maps, 4, 24, rows().of("coils"))
    assert seen.shape == (40, 4, 24, 24)
    assert torch.allclose(seen.abs().square().mean((1, 2, 3)), torch.ones(40), atol=1e-4)
    assert not torch.allclose(seen[0], seen[1])


def test_stacks_of_unlike_scans_are_refused():
    one = anatomies.scans(BUCKET, 2)
    assert torch.equal(stack([single(one, 0), single(one, 1)]).samples, one.samples)
    other = anatomies.scans(Bucket(shape=(40, 44), receivers=4))
    with pytest.raises(DataError, match="different shapes"):
        stack([one, other])
    with pytest.raises(DataError, match="some scans of a batch have noise_cov"):
        stack([one, anatomies.scans(Bucket(shape=(48, 44), receivers=4, known=True))])


def test_numbers_are_taken_once():
    drawn = rows(3).of("mask")
    first, second = drawn.take(2), drawn.rest().take(2)
    assert not torch.equal(first, second) and torch.equal(drawn.take(2), second)
    assert abs(float(rows(200).of("mask").normal(50).std()) - 1) < 0.05
    assert set(rows(200).of("mask").integer(3).flatten().tolist()) == {0, 1, 2}
    with pytest.raises(AssertionError, match="more numbers"):
        drawn.take(PARTS["mask"])
