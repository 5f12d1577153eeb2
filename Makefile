# Everything happens in a virtual environment of its own, made and brought up to date as needed.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test check clean install

help:
	@echo "make demo    record a git history while every process is killed (REPOSITORY=path)"
	@echo "make test    run the tests (ARGS='-k name')"
	@echo "make check   lint, format, types, layers"
	@echo "make clean   remove the virtual environment and what tools have left"

demo: $(STAMP)
	@$(BIN)/regrow demo $(REPOSITORY)

test: $(STAMP)
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
	  "regrow needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make PYTHON=python3.11" \
	  % sys.version_info[:2])'
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find supervisor stores ports tests -name __pycache__ -type d -prune -exec rm -rf {} +
