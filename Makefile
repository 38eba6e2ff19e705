# The commands of the house. A fresh machine needs Python >= 3.11 and make, nothing else:
# every target builds .venv first if it is missing or older than the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two workers suit two cores; more only fight over them.
TEST_WORKERS ?= 2

.PHONY: check test lint format lock clean

check: $(READY)
	$(BIN)/tidegauge check

test: $(READY)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow and not soak and not load and not browser"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins every extra for every Python and platform we support; names no package index.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --upgrade --no-emit-index-url --no-annotate --no-header -q -o requirements.lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tidegauge needs Python >= 3.11: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $(READY)

clean:
	rm -rf $(VENV)
