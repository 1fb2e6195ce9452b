# Two commands do everything on a machine with Python 3.11+ and make:
#   make optimize    environment, install, and the bundled quickstart under 256 KB and 2 points
#   make test        environment, install, and the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MAX_SIZE ?= 256KB
MAX_DROP ?= 2%
ARGS ?=

.PHONY: optimize test lint clean
.DELETE_ON_ERROR:

optimize: $(VENV)/.installed
	$(BIN)/optimize --max-size $(MAX_SIZE) --max-drop $(MAX_DROP) $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; name another one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
