# Two commands for a newcomer: `make demo` and `make test`. Both set up .venv first.
PY ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PEERS := .venv-peers/.installed
TORCH := torch==2.13.0

.PHONY: demo test test-slow test-peer test-gpu check check-files bench peers samples clean

$(STAMP): pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/spinecho demo --out demo-out

test: $(STAMP)
	$(BIN)/python -m pytest

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# what these compare with: apt install bart dicom3tools dcm2niix ismrmrd-tools
test-peer: $(STAMP)
	$(BIN)/python -m pytest -m peer

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# 300 damaged files for each reader
check-files: $(STAMP)
	$(BIN)/python tests/hostile/check_files.py 300

$(PEERS): benchmarks/peers.txt
	$(PY) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r benchmarks/peers.txt
	@touch $(PEERS)

peers: $(PEERS)

# beside bart (apt install bart), sigpy and pygrappa; writes benchmarks/RESULTS.md
bench: $(STAMP) $(PEERS)
	$(BIN)/python -m benchmarks

samples: $(STAMP)
	$(BIN)/pip install --quiet -e '.[samples]'
	$(BIN)/python tools/make_samples.py

clean:
	rm -rf .venv .venv-peers demo-out
