"""Nothing that the browser gets gives the answer away: every response of a whole session is looked through."""

from __future__ import annotations

import json
import re

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from studies import Client, picture, served

N_REAL, N_SYNTHETIC = 6, 5


@pytest.fixture(scope="module")
def responses(tmp_path_factory):
    """All responses while two readers go through a study of unlike files, with the truth of their images."""
    root = tmp_path_factory.mktemp("blind")
    (root / "REAL").mkdir()
    (root / "SYNTHETIC").mkdir()
    for i in range(N_REAL):  # smaller, 16 bits, in NIfTI
        values = (picture(i, 40).astype(np.int16) * 7)[:, :, None]
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), root / "REAL" / f"patient_{i}.nii.gz")
    for i in range(N_SYNTHETIC):  # larger, 8 bits, with a note in the file
        notes = PngInfo()
        notes.add_text("Software", "generator_v7")
        Pillow.fromarray(picture(100 + i, 48)).save(root / "SYNTHETIC" / f"gan_{i}.png", pnginfo=notes)
    told = []
    with served(root) as server:
        session = server.session
        for path in ("/", "/read?reader=x", *server.files):
            told.append((path, *Client(server, "x").ask("GET", path)))
        for reader in ("anna", "ben"):
            client = Client(server, reader)
            order = session.reading(reader).order
            for n in range(1, N_REAL + N_SYNTHETIC + 1):
                address = f"/image?reader={reader}&number={n}"
                told.append((session.manifest.images[order[n - 1]].group, *client.ask("GET", address)))
                client.answer(n, n % 5 + 1, n % 2 == 0)
                told.append(("state", *client.ask("GET", f"/state?reader={reader}")))
    return told


def test_no_response_has_a_name_a_folder_or_a_digest(responses):
    words = re.compile(rb"patient_|gan_\d|REAL|SYNTHETIC|generator_v7|nii|\.png|sha256|group", re.ASCII)
    for path, status, headers, body in responses:
        assert status == 200
        text = body if headers["content-type"] != "application/octet-stream" else b""
        assert not words.search(text + json.dumps(headers).encode()), (path, words.search(text))


def test_pictures_differ_in_their_pixels_alone(responses):
    pictures = [(group, headers, body) for group, _, headers, body in responses if group in ("real", "synthetic")]
    assert len(pictures) == 2 * (N_REAL + N_SYNTHETIC)
    for _, headers, body in pictures:
        headers.pop("date")
        assert headers == pictures[0][1] and len(body) == len(pictures[0][2]) == 2 * 35 * 35
    whites = {"real": set(), "synthetic": set()}
    for group, _, body in pictures:
        whites[group].add(round(np.percentile(np.frombuffer(body, "<u2"), 99.5)))
    assert whites["real"] | whites["synthetic"] <= {203, 204, 205}  # 0.8 of 255


def test_the_state_holds_sizes_and_the_readers_own_answers_alone(responses):
    for path, _, _, body in responses:
        if path == "state":
            state = json.loads(body)
            assert set(state) == {"token", "reader", "study", "count", "side", "levels", "answers"}
            assert all(len(a) == 3 for a in state["answers"])


def test_pages_are_the_same_whoever_is_asked_about(responses):
    pages = {path: body for path, _, _, body in responses if path.startswith("/")}
    assert set(pages) == {"/", "/read?reader=x", "/study.css", "/reading.js", "/view.js"}
    for body in pages.values():
        assert not re.search(rb"https?://(?!127\.0\.0\.1)", body)  # and nothing comes from elsewhere


def test_a_readers_order_does_not_follow_the_groups(responses):
    groups = "".join(g[0] for g, *_ in responses if g in ("real", "synthetic"))
    anna, ben = groups[: N_REAL + N_SYNTHETIC], groups[N_REAL + N_SYNTHETIC :]
    assert anna != ben and sorted(anna) == sorted(ben)
    assert "r" * N_REAL not in anna + "-" + ben and "s" * N_SYNTHETIC not in anna + "-" + ben
