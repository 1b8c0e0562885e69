"""A pack gives back what was read: exactly where it fits, coarser or thinned out by a said rule where it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small
import torch
import toy

from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.examples import Options, gather
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.raw import RawScans
from spinecho.tasks.recon.examples.sources import Ways, sources
from spinecho.train import packing
from spinecho.train.entries import Entry, Group, Thin
from spinecho.train.pack import named, opened, read_arrays, stored
from spinecho.train.packing import Kept
from spinecho.train.stock import stocked

RNG = np.random.default_rng(0)
ARRAYS = {
    "bytes": RNG.integers(0, 255, (3, 20, 24)).astype(np.uint8),
    "few values": (RNG.integers(0, 200, (3, 20, 24)) / 200).astype(np.float16),
    "half": RNG.random((3, 20, 24)).astype(np.float16),
    "complex": (RNG.normal(size=(3, 20, 24)) + 1j * RNG.normal(size=(3, 20, 24))).astype(np.complex64),
    "labels": RNG.integers(-5, 530, (3, 20, 24)).astype(np.int16),
    "black": np.zeros((2, 3, 4), np.float32),
    "empty": np.zeros((0, 3, 4), np.float32),
}
EXACT = ("bytes", "few values", "labels", "black", "empty")


def back(tmp_path, coarse: bool) -> dict[str, np.ndarray]:
    (tmp_path / "a.npz.xz").write_bytes(stored(ARRAYS, coarse))
    return read_arrays(tmp_path / "a.npz.xz")


@pytest.mark.parametrize("coarse", [False, True])
def test_arrays_come_back(tmp_path, coarse):
    again = back(tmp_path, coarse)
    assert again.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        if not coarse or name in EXACT:
            assert np.array_equal(again[name], array), name
    assert np.abs(again["half"].astype(float) - ARRAYS["half"]).max() < 0.5 / 255 + 2**-11
    assert np.abs(again["complex"] - ARRAYS["complex"]).max() < 4e-3


def test_few_values_take_a_byte_each():
    size = len(stored({"x": ARRAYS["few values"]}))
    assert size < len(stored({"x": ARRAYS["half"]})) and size < 1.2 * ARRAYS["few values"].size + 800


def kept(n: int, facts=None) -> Kept:
    """Two paths: n entries of noise, and one of zeros."""
    noise = [Entry("image", {"x": RNG.random((8, 40, 40)).astype(np.float16)}, {"number": i}) for i in range(n)]
    held = Kept()
    held("train", [Group("a", noise), Group("b", [Entry("image", {"x": np.zeros((4, 4), np.float16)})])], facts or {})
    held("validate", [Group("a", noise[:1])], facts or {})
    return held


@pytest.mark.parametrize(
    ("limit", "numbers", "rule"),
    [
        (10**6, [0, 1, 2, 3, 4, 5, 6], "everything, exactly as it was read"),
        (140_000, [0, 1, 2, 3, 4, 5, 6], "everything, images in 256 steps of brightness"),
        (70_000, [0, 1, 3, 5], "a part of it (all took 110 kB), images in 256 steps"),
        (45_000, [0, 3], "a part of it"),
    ],
)
def test_what_is_too_large_is_thinned_out_by_a_said_rule(tmp_path, limit, numbers, rule):
    said: list[str] = []
    made = packing.write(tmp_path / "pack", kept(7), "toy", ["a", "b"], said.append, limit)
    assert made.rule.startswith(rule) and rule in said[-1] and made.size <= limit
    on_disk = sum(p.stat().st_size for p in (tmp_path / "pack").iterdir() if p.suffix == ".xz")
    assert on_disk == made.size
    first, second = opened(tmp_path / "pack", "toy", {}).groups("train")
    assert [e.facts["number"] for e in first.entries] == numbers and len(second.entries) == 1
    assert said[0] == f"packed to train: {len(numbers)} of 7 of a"
    assert len(opened(tmp_path / "pack", "toy").groups("validate")[0].entries) == 1


def test_a_small_path_stays_whole_beside_a_large_one(tmp_path):
    """Drawing goes by path, so that room is shared by path; what the small one leaves, the large one has."""
    held = Kept()
    small_ones = [Entry("image", {"x": RNG.random((2, 20, 20)).astype(np.float16)}) for _ in range(5)]
    large_ones = [Entry("image", {"x": RNG.random((8, 40, 40)).astype(np.float16)}) for _ in range(9)]
    held("train", [Group("small", small_ones), Group("large", large_ones)], {})
    packing.write(tmp_path, held, "toy", [], print, 80_000)
    assert [len(g.entries) for g in opened(tmp_path, "toy").groups("train")] == [5, 5]


def test_where_there_is_no_room_a_task_says_what_is_left_of_a_file(tmp_path):
    """Thinned files of more people are worth more than whole ones of a few; a path with room keeps its own whole."""

    def entry(i: int) -> Entry:
        x = RNG.random((8, 40, 40)).astype(np.float16)
        few = Thin("every 4th plane", lambda: [Entry("image", {"x": x[::4]}, {"number": i, "few": True})])
        return Entry("image", {"x": x}, {"number": i}, thin=few)

    held, said = Kept(), list[str]()
    held("train", [Group("one", [entry(9)]), Group("many", [entry(i) for i in range(8)])], {})
    packing.write(tmp_path, held, "toy", [], said.append, 40_000)
    one, many = opened(tmp_path, "toy").groups("train")
    assert [e.facts for e in one.entries] == [{"number": 9}]
    assert len(many.entries) >= 6 and all(e.facts["few"] and e.arrays["x"].shape == (2, 40, 40) for e in many.entries)
    assert said[0] == "packed to train: 1 of 1 of one"
    assert said[1] == f"packed to train: {len(many.entries)} of 8 of many (every 4th plane)"


def test_planes_stand_in_for_a_volume(tmp_path):
    """Every 8th plane along each axis that is not dark; they are drawn from as a stack."""
    small.heads(tmp_path / "heads")
    held = Kept()
    gather([tmp_path / "heads"], Options(), toy.context(keep=held, validate_every=0))
    entry = held.parts["train"][0].entries[0]
    assert entry.thin is not None and entry.thin.words == "every 8th plane along each axis"
    stacks = entry.thin.entries()
    assert [e.facts["axes"] for e in stacks] == [[0]] * 3
    volume = entry.arrays["volume"]
    for axis, stack in enumerate(stacks):
        planes = np.moveaxis(volume, axis, 0)[4::8]
        assert all(any(np.array_equal(plane, p) for p in planes) for plane in stack.arrays["volume"])
        assert 1 <= len(stack.arrays["volume"]) <= len(planes)


def test_what_does_not_fit_at_all_or_was_not_stocked_is_told(tmp_path):
    with pytest.raises(DataError, match=r"even one file of each path takes .*, and 1 kB may travel -> give fewer"):
        packing.write(tmp_path / "pack", kept(3), "toy", [], print, 1000)
    with pytest.raises(DataError, match=r"not read by train.stock"):
        packing.write(tmp_path / "pack", Kept(), "toy", [], print)


def test_a_pack_is_for_one_task_and_one_way_to_read(tmp_path):
    packing.write(tmp_path / "pack", kept(1, {"spacing_mm": 2.0}), "register", ["heads"], print)
    with pytest.raises(DataError, match="it was packed for register, not for recon"):
        opened(tmp_path / "pack", "recon")
    with pytest.raises(DataError, match=r"packed with \{'spacing_mm': 2.0\}, and \{'spacing_mm': 4.0\} is wanted"):
        opened(tmp_path / "pack", "register", {"spacing_mm": 4.0})
    names = named(tmp_path / "pack", "register")
    assert names[0] == "heads" and names[1].startswith("pack ") and named(tmp_path, "register") == [str(tmp_path)]
    text = (tmp_path / "pack" / "pack.json").read_text()
    (tmp_path / "pack" / "pack.json").write_text(text[:-30])
    with pytest.raises(DataError, match=r"its pack.json cannot be read"):
        opened(tmp_path / "pack", "register")


def test_a_missing_file_of_a_pack_is_told(tmp_path):
    packing.write(tmp_path / "pack", kept(1), "recon", ["a"], print)
    (tmp_path / "pack" / "0001.npz.xz").unlink()
    with pytest.raises(DataError, match=r"0001.npz.xz: it cannot be read .* -> copy the pack again"):
        stocked([tmp_path / "pack"], "train", lambda case: [], toy.context(), splits="recon")


def test_raw_scans_travel_and_are_drawn_as_from_their_files(tmp_path):
    scan = simulate_phantom(Scan(matrix=(1, 36, 40), n_coils=4, sampling="full", fineness=1)).kspace
    (tmp_path / "raw").mkdir()
    write(scan, tmp_path / "raw" / "a.mrd")
    held = Kept()
    context = toy.context(keep=held, validate_every=0)
    gather([tmp_path / "raw"], Options(), context)
    packing.write(tmp_path / "pack", held, "recon", ["raw"], print)
    assert sorted(p.name for p in (tmp_path / "pack").iterdir()) == ["0001.h5", "pack.json"]
    drawn = []
    for path in (tmp_path / "raw", tmp_path / "pack"):
        source, _ = sources([path], Ways(), toy.context())
        assert isinstance(source.sources[0], RawScans)
        drawn.append(Seeded(source, 0)(1, 0))
    assert drawn[1].target is not None and torch.equal(drawn[0].samples, drawn[1].samples)
    assert torch.equal(drawn[0].mask, drawn[1].mask) and torch.equal(drawn[0].target, drawn[1].target)


def test_a_pack_of_a_pack_is_the_same(tmp_path):
    files, first = small.images(tmp_path / "files"), Kept()
    gather([files], Options(), toy.context(keep=first, validate_every=0))
    packing.write(tmp_path / "one", first, "recon", [str(files)], print)
    second = Kept()
    gather([tmp_path / "one"], Options(), toy.context(keep=second, validate_every=0))
    packing.write(tmp_path / "two", second, "recon", [str(files)], print)
    one, two = (json.loads((tmp_path / name / "pack.json").read_text()) for name in ("one", "two"))
    assert one == two
