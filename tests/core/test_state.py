"""State files: what goes in comes out; whatever is damaged is told and never loaded."""

from __future__ import annotations

import json
import math
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.core.state_header import canonical, fingerprint, read_metadata

METADATA = {"method": "varnet", "config": {"channels": [4, 8], "cg_iters": 6}, "trained": {"steps": 10, "loss": 0.25}}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, generator=generator),
        "turned": torch.randn(4, 3, generator=generator).T,
        "step": torch.tensor(7),
        "none": torch.zeros(0, 3),
        "flags": torch.tensor([True, False]),
        "double": torch.randn(2, generator=generator, dtype=torch.float64),
    }


@pytest.fixture
def file(tmp_path) -> Path:
    save_state(tmp_path / "a.safetensors", tensors(), METADATA)
    return tmp_path / "a.safetensors"


def test_round_trip(file):
    state, metadata = load_state(file)
    assert metadata == METADATA == read_metadata(file)
    assert state.keys() == tensors().keys()
    for name, expected in tensors().items():
        assert state[name].dtype == expected.dtype and torch.equal(state[name], expected), name


def test_half_takes_half_the_space_and_comes_back_as_float32(tmp_path):
    state = {"w": torch.linspace(-2, 2, 4096), "n": torch.tensor(3), "d": torch.ones(2, dtype=torch.float64)}
    save_state(tmp_path / "whole", state, {})
    save_state(tmp_path / "half", state, {}, bits=16)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "whole").stat().st_size
    found, _ = load_state(tmp_path / "half")
    assert found["w"].dtype == torch.float32 and torch.equal(found["w"], state["w"].half().float())
    assert found["n"].dtype == torch.int64 and found["d"].dtype == torch.float64


@given(rows=st.integers(1, 5), columns=st.integers(16, 40), size=st.floats(1e-6, 1e4), seed=st.integers(0, 99))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_eight_bits_are_off_by_half_a_step_at_most(tmp_path, rows, columns, size, seed):
    w = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    w[0, 0] = 0
    save_state(tmp_path / "a", {"w": w}, {}, bits=8)
    came, _ = load_state(tmp_path / "a")
    half_a_step = w.abs().amax(1, keepdim=True) / 254
    assert came.keys() == {"w"} and came["w"].dtype == torch.float32
    assert bool(((came["w"] - w).abs() <= 1.001 * half_a_step).all())


def test_eight_bits_take_a_quarter_of_the_space(tmp_path):
    state = {
        "w": torch.randn(8, 16, 3, 3),
        "none": torch.zeros(4, 32),
        "no rows": torch.zeros(0, 32),
        "bias": torch.ones(8),
        "n": torch.tensor(3),
    }
    save_state(tmp_path / "whole", {"w": torch.randn(64, 64, 3, 3)}, {})
    save_state(tmp_path / "eight", {"w": torch.randn(64, 64, 3, 3)}, {}, bits=8)
    assert (tmp_path / "eight").stat().st_size < 0.27 * (tmp_path / "whole").stat().st_size
    save_state(tmp_path / "all", state, {}, bits=8)
    came, _ = load_state(tmp_path / "all")
    assert came.keys() == state.keys() and all(came[k].shape == v.shape for k, v in state.items())
    assert torch.equal(came["none"], state["none"]) and torch.equal(came["bias"], state["bias"])
    assert came["n"].dtype == torch.int64


def test_what_is_no_number_stays_none_in_eight_bits(tmp_path):
    w = torch.ones(2, 20)
    w[1, 3] = math.nan
    save_state(tmp_path / "a", {"w": w}, {}, bits=8)
    came = load_state(tmp_path / "a")[0]["w"]
    assert bool(came[0].isfinite().all()) and bool(came[1].isnan().all())


@pytest.mark.parametrize("steps", [torch.ones(3, 1), torch.ones(2), torch.ones(2, 40)])
def test_steps_that_do_not_fit_are_told(tmp_path, steps):
    save_state(tmp_path / "a", {"w": torch.ones(2, 40, dtype=torch.int8), "w.step of 8 bits": steps}, {})
    with pytest.raises(DataError, match="w and the steps it is stored in do not fit each other -> fetch"):
        load_state(tmp_path / "a")


def test_steps_of_nothing_are_a_tensor(tmp_path):
    save_state(tmp_path / "a", {"w.step of 8 bits": torch.ones(2)}, {})
    assert load_state(tmp_path / "a")[0].keys() == {"w.step of 8 bits"}


def test_too_large_for_half_is_told(tmp_path):
    with pytest.raises(DataError, match="w has values over 65504, too large for float16 -> "):
        save_state(tmp_path / "a", {"w": torch.tensor([7e4])}, {}, bits=16)
    assert not list(tmp_path.iterdir())


def test_the_same_state_is_the_same_file(tmp_path, file):
    save_state(tmp_path / "b", dict(reversed(tensors().items())), dict(reversed(METADATA.items())))
    assert (tmp_path / "b").read_bytes() == file.read_bytes()


def test_shared_and_trained_tensors_can_be_written(tmp_path):
    w = torch.ones(4, requires_grad=True)
    save_state(tmp_path / "a", {"a": w, "b": w, "part": w[1:3]}, {})
    found, _ = load_state(tmp_path / "a")
    assert torch.equal(found["b"], torch.ones(4)) and found["part"].shape == (2,) and not found["a"].requires_grad


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, Path("x")])
def test_metadata_are_json(tmp_path, value):
    with pytest.raises(DataError, match=r"the metadata cannot be written as JSON: .* -> use text"):
        save_state(tmp_path / "a", {}, {"x": value})


def test_an_old_file_stays_when_the_new_one_cannot_be_written(file, tmp_path, monkeypatch):
    before = file.read_bytes()
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match=r"a\.safetensors: it cannot be written: No space left on device -> check"):
        save_state(file, {"w": torch.zeros(3)}, {})
    assert file.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [file.name]


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(DataError, match="it cannot be written: No such file"):
        save_state(tmp_path / "absent" / "a", {}, {})


def test_a_link_stays_a_link(file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    save_state(tmp_path / "link", {"w": torch.zeros(3)}, {})
    assert (tmp_path / "link").is_symlink() and load_state(file)[0].keys() == {"w"}


@pytest.mark.parametrize("reader", [load_state, read_metadata])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        (b"", "it is not a safetensors file .0 bytes"),
        (b"short", "it is not a safetensors file"),
        (b"\xff" * 100, "it is not a safetensors file"),
        (pickle.dumps({"w": 1}) * 10, "it is not a safetensors file"),
        (struct.pack("<Q", 4) + b"no{}", "its header is no JSON"),
        (struct.pack("<Q", 2) + b"[]", "its header is no JSON"),
        (struct.pack("<Q", 20000) + b"[" * 20000, "its header is no JSON"),
        (struct.pack("<Q", 2) + b"{}", "it is a safetensors file, but spinecho did not write it"),
        (struct.pack("<Q", 31) + b'{"__metadata__":{"format":"pt"}', "its header is no JSON"),
        (
            struct.pack("<Q", 32) + b'{"__metadata__":{"format":"pt"}}',
            "it is a safetensors file, but spinecho did not write it",
        ),
    ],
)
def test_other_files_are_told(tmp_path, reader, content, told):
    path = tmp_path / "a"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path}/a: {told}.* -> "):
        reader(path)


def with_header(file: Path, change) -> None:
    """Rewrite the header of a safetensors file; the tensors' bytes stay."""
    raw = file.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    change(header)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + n :])


def entry(header, **change):
    header["__metadata__"]["spinecho"] = canonical({**json.loads(header["__metadata__"]["spinecho"]), **change})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda h: entry(h, sha256="0" * 64), "does not have the sha256 written in it"),
        (lambda h: entry(h, metadata={"method": "other"}), "does not have the sha256 written in it"),
        (lambda h: entry(h, format=2), "its format is 2, known is 1"),
        (lambda h: entry(h, metadata=[1]), "its metadata are not complete"),
        (lambda h: entry(h, more=1), "its metadata are not complete"),
        (lambda h: h["__metadata__"].update(spinecho="{"), "its metadata are no JSON"),
        (lambda h: h["__metadata__"].update(spinecho="[1]"), "its metadata are no JSON"),
        (lambda h: h["weight"].update(shape=[4, 3]), "does not have the sha256 written in it"),
        (lambda h: h["weight"].update(dtype="I32"), "does not have the sha256 written in it"),
        (lambda h: h["weight"].update(shape=[400, 300]), "its tensors cannot be read"),
        (lambda h: h["weight"].update(dtype="Q7"), "its tensors cannot be read"),
        (lambda h: h["weight"].update(data_offsets=[0, 2**40]), "its tensors cannot be read"),
        (lambda h: h.update(renamed=h.pop("weight")), "does not have the sha256 written in it"),
    ],
)
def test_changed_headers_are_told(file, change, told):
    with_header(file, change)
    with pytest.raises(DataError, match=f"{told}.* -> "):
        load_state(file)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data())
def test_mutated_files_are_told_or_the_same(tmp_path_factory, draw):
    path = tmp_path_factory.mktemp("mutated") / "a.safetensors"
    save_state(path, tensors(), METADATA)
    raw = bytearray(path.read_bytes())
    kind = draw.draw(st.sampled_from(["flip", "cut", "insert", "append", "swap"]))
    at = draw.draw(st.integers(0, len(raw) - 1))
    if kind == "flip":
        raw[at] ^= 1 << draw.draw(st.integers(0, 7))
    elif kind == "cut":
        del raw[at:]
    elif kind == "insert":
        raw[at:at] = draw.draw(st.binary(min_size=1, max_size=16))
    elif kind == "append":
        raw += b"\0" * draw.draw(st.integers(1, 9))
    else:
        raw[at], raw[-1 - at] = raw[-1 - at], raw[at]
    path.write_bytes(raw)
    try:
        found, metadata = load_state(path)
    except DataError as error:
        assert error.do and error.file == str(path)
    else:
        assert metadata == METADATA and all(torch.equal(found[k], v) for k, v in tensors().items())


def test_fingerprint_tells_apart_what_concatenation_would_not():
    whole = fingerprint({}, [("ab", "float32", (2,), b"12345678")])
    assert whole != fingerprint({}, [("a", "float32", (2,), b"12345678")])
    assert whole != fingerprint({}, [("ab", "float32", (1, 2), b"12345678")])
    assert whole != fingerprint({}, [("ab", "int32", (2,), b"12345678")])
    assert whole != fingerprint({"k": 1}, [("ab", "float32", (2,), b"12345678")])
    assert fingerprint({}, [("a", "b", (1,), b"1"), ("c", "b", (0,), b"")]) != fingerprint({}, [("a", "b", (1,), b"1")])
