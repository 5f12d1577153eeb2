# Everything happens in a virtual environment of its own, made and brought up to date as needed.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
# What has been installed: what is needed to run, and what is needed to test or to measure as well.
RUNS := $(VENV)/.runs
TESTS := $(VENV)/.tests
BENCHES := $(VENV)/.benches
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test soak leaks fuzz check bench clean

help:
	@echo "make demo    record a git history while every process is killed (REPOSITORY=path)"
	@echo "make test    run the tests (ARGS='-k name')"
	@echo "make soak    kill processes under load, check that nothing is lost (SECONDS=60 SEED=n)"
	@echo "make leaks   restart, connect, call a thousand times, and see what grows (TIMES=1000)"
	@echo "make fuzz    send garbage to every socket and pipe (SECONDS=60 SEED=n)"
	@echo "make check   lint, format, types, layers"
	@echo "make bench   measure, beside what the same work takes without (ARGS='latency --quick')"
	@echo "make clean   remove the virtual environment and what tools have left"

demo: $(RUNS)
	@$(BIN)/regrow demo $(REPOSITORY)

test: $(TESTS)
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup $(ARGS)

soak: $(TESTS)
	@$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),60) --clients 8 \
	  $(if $(SEED),--seed $(SEED))

leaks: $(TESTS)
	@$(BIN)/python -m tests.leaks --times $(or $(TIMES),1000)

fuzz: $(TESTS)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

check: $(TESTS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(BENCHES)
	@$(BIN)/python -m benchmarks $(ARGS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	  "regrow needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.11" \
	  % sys.version_info[:2])'
	@$(PYTHON) -m venv --clear $(VENV)

$(RUNS): pyproject.toml | $(BIN)/python
	@echo "installing regrow into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(TESTS): pyproject.toml | $(BIN)/python
	@echo "installing regrow and what tests it into $(VENV) ..."
	@$(PIP) --editable '.[test]'
	@touch $(RUNS) $@

# Benchmarks leave out what is not installed, and say so.
$(BENCHES): pyproject.toml | $(BIN)/python
	@echo "installing regrow and what it is measured beside into $(VENV) ..."
	@$(PIP) --editable '.[bench]' || { \
	  echo "not all of that can be had here: measuring without"; $(PIP) --editable .; }
	@touch $(RUNS) $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find supervisor stores ports tests -name __pycache__ -type d -prune -exec rm -rf {} +
