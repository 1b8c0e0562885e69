# Two commands for a newcomer: `make demo` and `make test`. Both set up .venv first.
PY ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TORCH := torch==2.13.0

.PHONY: demo test test-slow test-peer test-gpu check check-files bench samples clean

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

test-peer: $(STAMP)
	$(BIN)/python -m pytest -m peer

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf .venv demo-out
