# `make study` runs the paper's CNN grid on embedded data; `make test` runs the tests,
# `make bench` the short benchmarks.
# Each makes .venv first, if need be, and installs into it with pip.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test lint bench clean

study: .venv/installed
	$(BIN)/python -m search.run --model cnn --data mnist5k

test: .venv/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.startup --repeats 3
	$(BIN)/python -m benchmarks.training cnn lenet300 --repeats 3
	$(BIN)/python -m benchmarks.files cnn
	$(BIN)/python -m benchmarks.growth --milestones 10 100 1000

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
