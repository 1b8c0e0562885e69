"""Examples by number: heads on one grid, unpaired images, label maps; training and use from the command line."""

from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
import torch
from two_contrasts import head, saved

from spinecho.cli import main
from spinecho.core.method import Method
from spinecho.methods import registry
from spinecho.methods.pretrained import open_learned
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.examples.drawn import Drawn
from spinecho.tasks.translate.examples.heads import Gathered, gathered
from spinecho.tasks.translate.examples.rendered import rendered
from spinecho.tasks.translate.parts.level import level
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

SMALL = {
    "lookup": ["--knots", "9"],
    "supervised": ["--channels", "4", "6", "--blocks", "1", "1", "--neighbours", "1"],
    "cyclegan": ["--channels", "4", "6", "--blocks", "1", "1", "--critic-channels", "2"],
    "pix2pix3d": ["--channels", "3", "4", "--critic-channels", "2"],
}
PAIRS = ("t1-t2", "t2-t1")


def heads() -> tuple[dict[str, np.ndarray], ...]:
    def one(seed: int, *contrasts: str) -> dict[str, np.ndarray]:
        return {c: head(c, (12, 44, 40), seed, 0.1 * seed).numpy().astype(np.float16) for c in contrasts}

    return one(0, "t1", "t2"), one(1, "t1", "t2", "flair"), one(2, "t1")


def maps(size: int = 40) -> np.ndarray:
    """Shells of white and grey matter, fluid, bone and skin, as places in TISSUES."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    radius, names = np.sqrt(x**2 + y**2 + z**2), list(TISSUES)
    known = [names.index(n) for n in ("white matter", "grey matter", "csf", "bone", "skin")]
    return np.select([radius < r for r in (0.5, 0.7, 0.8, 0.9, 1)], known, 0).astype(np.uint8)


def drawn(**options) -> Drawn:
    chosen = {"gathered": Gathered(heads(), ()), "pairs": PAIRS, "shape": (3, 24, 24), "number": 4, "seed": 0}
    return Drawn(**{**chosen, **options})


SUPPLIES: dict[str, Callable[..., Drawn]] = {
    "paired": drawn,
    "unpaired": lambda **o: drawn(paired=False, shape=(1, 24, 24), **o),
    "rendered": lambda **o: drawn(gathered=Gathered((), (maps(),)), **o),
    "both": lambda **o: drawn(gathered=Gathered(heads(), (maps(),)), rendered=0.5, **o),
    "larger than the head": lambda **o: drawn(shape=(20, 48, 48), **o),
    "cut": lambda **o: drawn(gathered=Gathered(heads(), (maps(),)), rendered=0.5, cut=1.0, **o),
}
each = pytest.mark.parametrize("supply", SUPPLIES.values(), ids=SUPPLIES)


@each
def test_a_number_gives_the_same_example_and_another_number_another(supply):
    torch.manual_seed(3)
    one, again, other = supply()(1, 0), supply()(1, 0), supply()(1, 1)
    for name in ("seen", "wanted", "pairs"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert not torch.equal(one.seen, other.seen) and not torch.equal(one.seen, supply(seed=1)(1, 0).seen)
    assert not torch.equal(one.seen, supply(part="validate")(1, 0).seen)


@each
def test_examples_are_finite_bright_and_of_one_shape(supply):
    for step in range(4):
        lesson = supply()(step, 0)
        assert lesson.seen.shape == lesson.wanted.shape == (4, *supply().shape) and lesson.pairs.shape == (4,)
        for x in (lesson.seen, lesson.wanted):
            assert bool(torch.isfinite(x).all()) and x.dtype == torch.float32 and float(x.min()) >= 0
        assert float(lesson.wanted.max()) > 0.2 and float(lesson.wanted.max()) < 5


def test_pairs_are_of_one_place_and_their_contrasts():
    """Where white matter is in T1, it is in T2: the sides are functions of each other but for noise."""
    lesson = drawn(pairs=("t1-t2",), number=8)(1, 0)
    white = (lesson.seen > 0.4) & (lesson.seen < 0.5)
    assert float((lesson.wanted[white] - 0.4).abs().median()) < 0.05
    assert not bool(((lesson.seen == 0) != (lesson.wanted == 0)).float().mean() > 0.05)


def test_unpaired_sides_are_of_other_places_or_people():
    lesson = SUPPLIES["unpaired"](pairs=("t1-flair", "flair-t1"), number=16)(1, 0)
    same = ((lesson.seen > 0) == (lesson.wanted > 0)).flatten(1).float().mean(1)
    assert float(same.median()) < 0.95


def test_what_is_not_there_is_said():
    assert drawn(pairs=("t1-t2", "t2-flair", "t1-pd")).absent() == ["t1-pd"]
    assert drawn(gathered=Gathered(heads()[2:], ())).absent() == list(PAIRS)
    assert drawn(gathered=Gathered((*heads()[2:], {"t2": heads()[0]["t2"]}), ())).absent() == list(PAIRS)
    two = Gathered((heads()[2], {"t2": heads()[0]["t2"]}), ())
    assert drawn(gathered=two, paired=False).absent() == [], "other people are as good"
    assert drawn(gathered=Gathered((), (maps(),))).absent() == []


@pytest.mark.parametrize("seed", range(4))
def test_rendered_contrasts_are_in_the_order_of_the_signal_equations(seed):
    """White matter is brighter than grey in T1, darker in T2, fluid dark and bright; the brain's level is about 1."""
    rng = torch.Generator().manual_seed(seed)
    (t1, t2), _ = rendered(maps(), ("t1", "t2"), (40, 40, 40), rng)
    places, names = torch.from_numpy(maps()), list(TISSUES)
    tissue = {n: places == names.index(n) for n in ("white matter", "grey matter", "csf")}
    mean = lambda x, n: float(x[tissue[n]].mean())  # noqa: E731
    assert mean(t1, "white matter") > mean(t1, "grey matter") > mean(t1, "csf")
    assert mean(t2, "white matter") < mean(t2, "grey matter") < mean(t2, "csf")
    for x in (t1, t2):
        assert mean(x, "white matter") + mean(x, "grey matter") == pytest.approx(1, abs=0.12)


class Said(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


def context(say: Said) -> Context:
    method: Method = registry.load("translate", "lookup").Method(registry.load("translate", "lookup").Config())
    told = {"method": method, "task": "translate", "name": "lookup", "settings": Settings(), "team": Team()}
    return Context(**told, device=torch.device("cpu"), on_broken="stop", say=say)


def test_heads_are_put_together_by_their_names_and_grids(tmp_path):
    saved(tmp_path / "a", {"t1": "t1", "t2": "t2", "t1post": "t1", "notes": "t2"})
    saved(tmp_path / "b", {"x_T1W": "t1", "y_T1W": "t1", "y_FLAIR": "flair"})
    saved(tmp_path / "c", {"t1": "t1"})
    moved = nib.load(tmp_path / "c" / "t1.nii.gz")
    nib.save(nib.Nifti1Image(moved.get_fdata(), np.diag([2.0, 2, 2, 1])), tmp_path / "c" / "t2.nii.gz")
    say = Said()
    found = gathered([tmp_path], "train", context(say), cubic=False)
    assert sorted(tuple(sorted(h)) for h in found.heads) == [("flair", "t1"), ("t1",), ("t1",), ("t1", "t2"), ("t2",)]
    assert any("t1post.nii.gz does not say one contrast" in s for s in say)
    assert any("lie on 2 grids" in s and "register them" in s for s in say)
    for one in found.heads:
        for volume in one.values():
            assert level(torch.from_numpy(volume.astype(np.float32))) == pytest.approx(1, rel=0.05)


def test_contrasts_of_two_people_are_no_pair(tmp_path):
    """In BIDS every person's folder is called anat."""
    saved(tmp_path / "sub-01" / "anat", {"t1": "t1", "t2": "t2"})
    saved(tmp_path / "sub-02" / "anat", {"t1": "t1"}, turn=0.3)
    heads = gathered([tmp_path], "train", context(Said()), cubic=False).heads
    assert sorted(tuple(sorted(h)) for h in heads) == [("t1",), ("t1", "t2")]


def test_thick_slices_train_slices_and_no_volumes(tmp_path):
    folder = saved(tmp_path / "a", {"t1": "t1", "t2": "t2"})
    for path in folder.iterdir():
        thick = nib.load(path).get_fdata().transpose(2, 0, 1)
        nib.save(nib.Nifti1Image(thick, np.diag([4.0, 1, 1, 1])), path)
    say = Said()
    (one,) = gathered([folder], "train", context(say), cubic=False).heads
    assert len(one["t1"]) == 12, "slices lie across the long axis"
    assert gathered([folder], "train", context(say), cubic=True).heads == () and "slices too thick" in say[-1]


def test_label_maps_are_known_by_what_they_hold(tmp_path):
    ids = {"air": 0, "white matter": 2, "grey matter": 3, "csf": 24, "bone": 515, "skin": 511}
    table = np.zeros(len(TISSUES), np.int32)
    for name, label in ids.items():
        table[list(TISSUES).index(name)] = label
    nib.save(nib.Nifti1Image(table[maps()], np.eye(4)), tmp_path / "anything.nii.gz")
    found = gathered([tmp_path / "anything.nii.gz"], "train", context(Said()), cubic=True)
    assert (
        found.heads == () and found.maps[0].shape == (38, 38, 38) and set(np.unique(found.maps[0])) <= set(maps().flat)
    )


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_and_its_weights_are_used(name, tmp_path, capsys):
    for i in range(5):
        saved(tmp_path / "people" / f"person{i}", {"t1": "t1", "t2": "t2"}, (20, 32, 28), 0.1 * i)
    out, people = tmp_path / "run", tmp_path / "people"
    command = ["train", f"translate/{name}", "--data", str(people), "--out", str(out), "--pairs", *PAIRS]
    command += ["--batch", "1", "--steps", "2", "--patch", "16", "--patches", "2", *SMALL[name]]
    assert main([*command, "--validate-every", "2", "--validation-examples", "2", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "of twice the median" in said and (out / "pictures" / "step_000002.png").exists()
    weights = out / "weights.safetensors"
    assert open_learned("translate", weights).pairs == PAIRS
    given, made = people / "person0" / "t1.nii.gz", tmp_path / "t2.nii.gz"
    use = ["translate", str(given), "--to", "t2", "-o", str(made), "--weights", str(weights), "--maps"]
    assert main(use) == 0
    names = {f"t2{part}.nii.gz" for part in ("", "_spread", "_cycle")}
    assert names <= {p.name for p in tmp_path.iterdir()} and nib.load(made).shape == (28, 32, 20)
    assert "guessed from T1, never measured" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--patch", "8"], "give at least 16 voxels and 1 patch"),
        (["--rendered", "2"], "give a share from 0 to 1"),
        (["--cut", "-1"], "--cut is -1 -> give a share from 0 to 1"),
        (["--lesions", "1.5"], "--lesions is 1.5 -> give a share from 0 to 1"),
        (["--pairs", "t1-pd"], "nothing shows the pairs t1-pd"),
        (["--pairs", "t1-t1"], "--pairs are t1-t1"),
    ],
)
def test_options_that_make_no_example_are_refused(options, said, tmp_path, capsys):
    saved(tmp_path / "person", {"t1": "t1", "t2": "t2"})
    command = ["train", "translate/supervised", "--data", str(tmp_path / "person"), "--out", str(tmp_path / "run")]
    extra = [] if "--pairs" in options else ["--pairs", *PAIRS]
    assert main([*command, "--steps", "1", *extra, *options]) == 2
    assert said in capsys.readouterr().err
