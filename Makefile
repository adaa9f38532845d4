# `make` alone explains itself; everything else sets up what it needs first.
PYTHON ?= python3
export UV_PROJECT_ENVIRONMENT := .venv
UV := .venv/uv/bin/uv
STAMP := .venv/.setup-stamp

.PHONY: help setup run test lint format bench bench-quick clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## set up .venv with the locked dependencies (fast when nothing changed)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Headgate needs Python 3.11 or newer; found %s. Call make with PYTHON=python3.11 (or newer)." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'

$(STAMP): $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --quiet --python .venv/bin/python
	@touch $@

run: setup ## start the demo: server, sandbox Heap and a workspace with write key wk_demo
	@exec .venv/bin/headgate demo

test: setup ## run every check and every test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/pytest

format: setup ## format the code and mend what lint can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: setup ## measure speed and memory against yardsticks of the same minute
	.venv/bin/python -m bench

bench-quick: setup ## the same in under a minute, rougher
	.venv/bin/python -m bench --quick

clean: ## remove the environment and everything generated
	rm -rf .venv .clients .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
