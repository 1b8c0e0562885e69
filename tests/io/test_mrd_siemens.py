"""A Siemens scan converted to MRD lies where the raw file itself says, and shows the same picture."""

from __future__ import annotations

import warnings

import ismrmrd
import numpy as np
import torch
from mrd_files import header, line, save

from spinecho.io.read import read


def converted(source, path):
    """The image lines as a vendor converter stores them: raw samples, directions from the readout's quaternion.

    The quaternion (w, x, y, z) turns (phase, read, slice), in that order, as ISMRMRD's converter takes it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import twixtools

        blocks = [b for b in twixtools.read_twix(str(source), verbose=False)[-1]["mdb"] if b.is_image_scan()]
    lines = []
    for b in blocks:
        w, x, y, z = b.mdh.SliceData.Quaternion
        phase, read_dir, normal = ismrmrd.quaternion_to_directions((x, y, z, w))
        where = b.mdh.SliceData.SlicePos
        lines.append(
            line(
                np.asarray(b.data),
                kspace_encode_step_1=b.mdh.Counter.Lin,
                slice=b.mdh.Counter.Sli,
                center_sample=b.mdh.CenterCol,
                position=(where.Sag, where.Cor, where.Tra),
                read_dir=read_dir,
                phase_dir=phase,
                slice_dir=normal,
            )
        )
    n_lines, n_samples = len(lines), lines[0].number_of_samples
    fov = (4.0, 200.0, 400.0)
    head = header(
        (1, n_lines, n_samples),
        fov_mm=fov,
        recon_matrix=(1, n_lines, n_samples // 2),
        recon_fov_mm=(4.0, 200.0, 200.0),
        vendor="SIEMENS",
        centre=(0, int(blocks[0].mdh.CenterLin)),
    )
    return save(path, head, lines)


def test_conversion_equals_the_raw_file(tmp_path, shared_data):
    source = shared_data / "kspace/siemens_gre.dat"
    raw, got = read(source), read(converted(source, tmp_path / "a.h5"))
    assert got.samples.shape == raw.samples.shape and torch.equal(got.mask, raw.mask.broadcast_to(got.mask.shape))
    assert torch.linalg.vector_norm(got.samples - raw.samples) < 1e-5 * torch.linalg.vector_norm(raw.samples)
    assert got.geometries[0].matches(raw.geometries[0], 1e-2)
    assert "Siemens raw samples conjugated" in " ".join(got.header.history)
