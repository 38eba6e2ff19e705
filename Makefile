# The commands of the house. A fresh machine needs Python >= 3.11 and make, nothing else:
# every target builds .venv first if it is missing or older than the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
RATTLER := .venv-rattler
# Two workers suit two cores; more only fight over them.
TEST_WORKERS ?= 2

.PHONY: kernels check test environments lint format lock compare clean

# Compiles the bot's pricing kernels once for each version of them: a start then takes a second, not ten.
kernels: $(READY)
	$(BIN)/tradebot kernels

check: kernels
	$(BIN)/tidegauge check

test: export XDG_CACHE_HOME = $(CURDIR)/.cache
test: kernels
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow and not soak and not load and not browser"

# Every environment that asv.conf.json may name, made by its tool. asv loads rattler into the process that asks for it,
# so that tidegauge lies beside it there. conda is no Python package: without one its test fails, as not measured.
environments: $(READY) $(RATTLER)/.ready
	$(BIN)/python -m pytest tests/integration/test_environments.py tests/integration/test_environments_conda.py

$(RATTLER)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(RATTLER)
	$(RATTLER)/bin/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[bench]' py-rattler
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins what every machine installs, for every Python and platform we support; names no package index.
# The peers that benchmarks compare with are left out.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra bench --extra bot --extra load --extra venues --extra dev --universal --upgrade --no-emit-index-url --no-annotate --no-header -q -o requirements.lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "tidegauge needs Python >= 3.11: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $(READY)

# Beside the peers, in an environment of their own: they are old, heavy, and nobody's dependency.
compare: $(PEERS)/.ready
	$(PEERS)/bin/python benchmarks/compare_pricing.py
	$(PEERS)/bin/python benchmarks/compare_american.py
	$(PEERS)/bin/python benchmarks/compare_implied.py

$(PEERS)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install -q --disable-pip-version-check -c requirements.lock -e '.[bot,peers]' mpmath
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(RATTLER)
