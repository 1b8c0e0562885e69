"""30 damaged files for each reader: no crash, no hang, no memory eaten up, one exception type."""

from __future__ import annotations

import numpy as np
import pytest
from mutants import mutants, readers, seed
from reader_process import Answer, Reader

N = 30


@pytest.fixture(scope="module")
def reader():
    process = Reader()
    yield process
    process.stop()


@pytest.mark.parametrize("name", readers())
def test_damaged_files(name, reader, tmp_path, request):
    shared = request.config.getoption("--shared") / "data"
    try:
        source = seed(name, tmp_path / "seed", shared if shared.is_dir() else None)
    except FileNotFoundError as absent:
        if "real data absent" in str(absent):
            pytest.skip(f"real data absent: {shared}")
        raise
    (tmp_path / name).mkdir()
    rng = np.random.default_rng(sum(name.encode()))
    answers: list[Answer] = []
    for path in mutants(source, tmp_path / name, N, rng):
        answers.append(reader.ask(path))
        assert answers[-1].is_fine, answers[-1]
    refused = [a.text for a in answers if a.outcome == "DataError"]
    assert all(" -> " in text and "\n" not in text for text in refused), "each refusal says what to do, in one line"


@pytest.mark.parametrize("name", sorted(set(readers()) - {"twix"}))
def test_the_undamaged_file_is_read(name, reader, tmp_path):
    answer = reader.ask(seed(name, tmp_path / name / "0"))
    assert answer.outcome == "read", answer
    assert answer.is_fine
