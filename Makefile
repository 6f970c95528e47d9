# Stormdesk. `make` prints this help.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

help:  ## print this help
	@echo "Stormdesk: tell everyone the truth, and give each customer one case."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

# One virtual environment, two stamps: what runs, and what tests need besides.
.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Stormdesk needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python could not make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/runtime: requirements.txt .venv/made
	@echo "Installing what Stormdesk runs on (once)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(PYTHON) bin/link-checkout
	@touch $@

.venv/development: requirements-dev.txt .venv/runtime
	@echo "Installing what the tests need (once)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

setup: .venv/runtime  ## install what Stormdesk runs on, into .venv

demo: .venv/runtime  ## run the main job on real flights; ARGS="--customers 300000"
	@$(BIN)/stormdesk demo $(ARGS)

up: .venv/runtime  ## run everything on this machine
	@$(BIN)/stormdesk up

test: .venv/development  ## install what the tests need and run them all; ARGS="-k name"
	@bin/debian-packages
	@bin/node-packages
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/development  ## style, types and import arrows only
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: .venv/development  ## put the code in the house format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock:  ## resolve requirements*.in again, with hashes and without naming a registry
	@bin/lock

clean:  ## remove the virtual environment and the local data
	@rm -rf .venv var

.PHONY: help setup demo up test check format lock clean
.DEFAULT_GOAL := help
