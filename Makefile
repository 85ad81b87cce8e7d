# `make study` runs the paper's CNN grid on embedded data; `make test` runs the tests.
# Each makes .venv first, if need be, and installs into it with pip.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test lint clean

study: .venv/installed
	$(BIN)/python -m search.run --model cnn --data mnist5k

test: .venv/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=26"

.venv/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ .venv/installed
