"""Which scans are evaluated: files, folders, case lists, and the simulated test split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spinecho.core.door import check_present
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.names import told_apart
from spinecho.io.options import ReadOptions
from spinecho.io.read import find_format, read, slice_count
from spinecho.sim.scan import Scan, sample_scan, simulate_brain, simulate_phantom
from spinecho.sim.splits import split
from spinecho.tasks.recon.judge.truth import Source

N_SIMULATED = 8
"""Scans of `sim` without a number."""

_DESCRIBES = ("contrast", "anatomy", "kind")
_PATHS = ("mask", "traj")
"""Reading options that name files, relative to the case list like `path`."""


@dataclass(frozen=True, kw_only=True)
class SimOptions:
    """What the simulated test split is drawn from; the rest (contrast, position, noise ...) is drawn by seed.

    Parameters
    ----------
    labels
        Folder with label maps of heads (labels_NN.nii.gz), of which the test subjects are taken; None: the phantom.
    coils
        Taken by turns; empty: drawn, 4 to 20.
    matrix
        (y, x).
    noise
        Relative to what is drawn (SNR 10 to 60).
    """

    labels: Path | None = None
    coils: tuple[int, ...] = ()
    matrix: tuple[int, int] = (320, 320)
    noise: float = 1.0
    seed: int = 0


def sources(named: Sequence[str], options: ReadOptions, sim: SimOptions = SimOptions()) -> tuple[Source, ...]:
    """All scans that the command line names.

    Parameters
    ----------
    named
        Files of any raw format, folders of them (what is no raw data in there is passed over), case lists (.json), or
        `sim` or `sim:N` for N simulated test scans.
    options
        How arrays are to be read; a case list brings its own.

    Raises
    ------
    DataError
        If there is no such file, a list is not understood, or nothing is left.
    """
    scans: list[Source] = []
    files: dict[int, Path] = {}
    in_folders: dict[int, Path] = {}
    for item in named:
        name, _, number = item.partition(":")
        path = Path(item)
        if name == "sim" and not path.exists():
            if number and not number.isdigit():
                raise DataError(f"{item!r} is no simulated split", do="give sim, or sim:N for N scans")
            scans += simulated(int(number) if number else N_SIMULATED, sim)
        elif path.suffix == ".json":
            scans += case_list(path)
        elif path.is_dir():
            for source, file in _folder(path, options):
                in_folders[len(scans)] = file
                scans.append(source)
        else:
            files[len(scans)] = path
            scans.append(from_file(path, options))
    for i, name in zip(files, told_apart(list(files.values())), strict=True):
        scans[i] = replace(scans[i], name=name)
    _tell_apart(scans, in_folders)
    if not scans:
        raise DataError(f"there is no raw data in {' '.join(named)}", do="give files, or folders that hold some")
    return tuple(scans)


def from_file(path: Path, options: ReadOptions, **described: Any) -> Source:
    """A scan in a file, or the slices of it that the options name; `described` are fields of Source."""
    n_slices = slice_count(path, options)
    first, last = options.slices or (0, n_slices)
    if not 0 <= first < last <= n_slices:
        raise DataError(f"slices {first}:{last} were asked for, it has {n_slices}", do="choose within", file=path)

    def load(i: int) -> KSpace:
        part = options if n_slices == 1 else replace(options, slices=(first + i, first + i + 1))
        scan = read(path, part)
        if isinstance(scan, Image):
            do = f"give raw data; for complex coil images {setting('domain', 'coil-images')}"
            raise DataError("it holds an image, not k-space", do=do, file=path)
        return scan

    return Source(name=path.name, n_slices=last - first, load=load, **described)


def _tell_apart(scans: list[Source], in_folders: dict[int, Path]) -> None:
    """Scans of folders are called by their place in them; where that is one name for two, by more folders in front."""
    often = Counter(scan.name for scan in scans)
    alike = [i for i in in_folders if often[scans[i].name] > 1]
    for i, name in zip(alike, told_apart([in_folders[i] for i in alike]), strict=True):
        scans[i] = replace(scans[i], name=name)


def _folder(folder: Path, options: ReadOptions) -> Iterator[tuple[Source, Path]]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.suffix == ".hdr" and path.with_suffix(".cfl").exists():
            continue
        try:
            find_format(path)
            source = from_file(path, options)
        except DataError:
            continue
        yield replace(source, name=str(path.relative_to(folder))), path


def case_list(path: Path) -> list[Source]:
    """A JSON list of scans, each an object with `path`, reading options, and `contrast`, `anatomy`, `kind`, `name`.

    For example [{"path": "brain.npz", "axes": "y x coil", "domain": "coil-images", "anatomy": "brain"}]. Paths are
    relative to the list.

    Raises
    ------
    DataError
        Names the entry and what is wrong with it.
    """
    check_present(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"it is not JSON ({error})", do="give a list of objects with a path each", file=path) from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "path" in e for e in entries):
        raise DataError(
            "it is not a list of objects with a path each", do='write [{"path": "scan.h5"}, ...]', file=path
        )
    return [_entry(dict(entry), path) for entry in entries]


def _entry(entry: dict[str, Any], file: Path) -> Source:
    options = {f.name for f in fields(ReadOptions)} - {"simulate_mask"}
    known = {"path", "name", *_DESCRIBES, *options}
    if unknown := set(entry) - known:
        do = f"known are {', '.join(sorted(known))}"
        raise DataError(f"an entry has {', '.join(sorted(unknown))}", do=do, file=file)
    if entry.get("kind") not in (None, "real", "simulated"):
        raise DataError(f"an entry has kind {entry['kind']!r}", do="give real or simulated", file=file)
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k in options}
    given |= {k: file.parent / v for k, v in given.items() if k in _PATHS}
    described = {k: entry[k] for k in _DESCRIBES if k in entry}
    source = from_file(file.parent / entry["path"], ReadOptions(**given), **described)
    return replace(source, name=entry.get("name", source.name))


def simulated(n: int, options: SimOptions) -> Iterator[Source]:
    """n scans of the test split: subjects by turns, everything else drawn from the seed and the scan's number."""
    subjects = _subjects(options.labels) if options.labels else []
    for i in range(n):
        rng = torch.Generator().manual_seed(1_000_003 * options.seed + i)
        y, x = options.matrix
        scan = sample_scan(rng, Scan(matrix=(1, y, x), sampling="full"))
        coils = options.coils[i % len(options.coils)] if options.coils else scan.n_coils
        scan = replace(scan, sampling="full", n_coils=coils, snr=scan.snr / options.noise)
        labels = subjects[i % len(subjects)] if subjects else None
        where = f"{labels.name.partition('.')[0]}" if labels else "phantom"
        yield Source(
            name=f"sim {i}: {where}, {scan.contrast}",
            n_slices=1,
            load=_simulation(scan, labels),
            contrast=scan.contrast if labels else "phantom",
            anatomy="head" if labels else "phantom",
            kind="simulated",
        )


def _simulation(scan: Scan, labels: Path | None) -> Callable[[int], KSpace]:
    def load(_: int) -> KSpace:
        if labels is None:
            return simulate_phantom(scan).kspace
        volume = read(labels)
        assert isinstance(volume, Image)
        ids = volume.values.reshape(volume.values.shape[-3:]).numpy().round().astype(np.int32)
        return simulate_brain(torch.from_numpy(ids), volume.geometry, scan).kspace

    return load


def _subjects(folder: Path) -> list[Path]:
    """Label maps of the test subjects (`sim.splits`) that lie in the folder."""
    candidates = [folder / f"labels_{i}.nii.gz" for i in split("label_maps", "test")]
    present = [p for p in candidates if p.exists()]
    if not present:
        names = ", ".join(p.name for p in candidates)
        raise DataError("there is no label map of a test subject", do=f"wanted are {names}", file=folder)
    return present
