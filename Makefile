# Everything that a newcomer needs, from a Python, git and make alone.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first of these that runs, is new enough, and can make a virtual environment.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo check test browser lock contracts bench bench-quick simulate chaos clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## install what the project needs into .venv, and fetch the broker's jars
	@$(BIN)/python -m cli.stack.jars

demo: setup ## start Kafka, PostgreSQL and every process, and run the main job
	@$(BIN)/wallet demo

check: $(STAMP) ## lint, formatting, types, and which package may import which
	@echo "ruff check" && $(BIN)/ruff check --quiet .
	@echo "ruff format" && $(BIN)/ruff format --quiet --check .
	@echo "mypy" && $(BIN)/mypy --no-error-summary
	@echo "import-linter" && $(BIN)/lint-imports --no-cache >$(VENV)/imports.log \
		|| { cat $(VENV)/imports.log; exit 1; }

test: setup check browser ## check, then run all tests
	@$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

browser: ## find a Chromium for the tests of the checkout page, or install it where apt-get may
	@($(FIND_BROWSER)) || if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "installing chromium for the tests of the checkout page"; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes \
			--no-install-recommends chromium >/dev/null || true; fi
	@($(FIND_BROWSER)) || { echo "No Chromium was found on the PATH, which the tests of the" \
		"checkout page need. Install it, on Debian with: apt-get install chromium" >&2; exit 1; }

lock: $(STAMP) ## pin all packages and jars anew (to newer ones: make lock UPGRADE=--upgrade)
	@$(BIN)/uv pip compile $(PIN) pyproject.toml --output-file requirements.txt
	@$(BIN)/uv pip compile $(PIN) pyproject.toml --all-extras --constraint requirements.txt \
		--output-file requirements-dev.txt
	@echo hatchling | $(BIN)/uv pip compile $(PIN) - --constraint requirements-dev.txt \
		--output-file requirements-build.txt
	@cd cli/stack/jars && $(CURDIR)/$(BIN)/jgo --quiet --ignore-config lock
	@! grep -n '://' requirements*.txt cli/stack/jars/jgo.lock.toml

contracts: $(STAMP) ## write docs/contracts and docs/errors.md anew from the code
	@$(BIN)/python -m schemas.contracts docs/contracts
	@$(BIN)/python -m api.contracts docs

bench: setup ## measure each figure beside its ceiling, in under an hour (FIGURE=name for one)
	@$(BIN)/python -m bench $(if $(FIGURE),--figure $(FIGURE)) --json bench-results.json

bench-quick: setup ## four figures in about two minutes, compared with the committed ratios
	@$(BIN)/python -m bench --quick --json bench-results.json

simulate: $(STAMP) ## run the engine in a simulated world, over and over (MINUTES=1, SEEDS=a:b, SEED=n)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(MINUTES),--minutes $(MINUTES))

chaos: setup ## kill, pause and cut off real processes under load (MINUTES=10, SEED=a number)
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

clean: ## remove .venv and caches; data of wallet dev (.wallet) stays
	@rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# as tests/support/customer_browser.py does
FIND_BROWSER := for name in chromium chromium-browser google-chrome; do \
	command -v $$name >/dev/null && exit 0; done; false

PIN := --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(UPGRADE)

$(STAMP): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer that can make a virtual" \
		"environment was found. Install one (with its venv module), or name it:" \
		"make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing the locked packages into $(VENV); the first time takes a while"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--no-deps --editable .
	@touch $@
