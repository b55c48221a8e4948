# Everything a newcomer needs is here: make demo, make test, make check, make bench.
PYTHON ?= $(shell for v in python3.11 python3.12 python3.13 python3; do command -v $$v >/dev/null 2>&1 && $$v -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,14))' 2>/dev/null && { echo $$v; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
.DEFAULT_GOAL := help
.PHONY: help demo test check bench install clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## make the virtual environment and install freshet into it
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "freshet needs Python 3.11, 3.12 or 3.13:  sudo apt-get install python3 python3-venv python3-dev"; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { echo "hnswlib is built from source and needs a C++ compiler:  sudo apt-get install g++ python3-dev"; exit 1; }
	@echo "==> making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing:  sudo apt-get install python3-venv"; exit 1; }
	@echo "==> installing freshet and its packages (hnswlib is compiled: about a minute)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the whole pipeline on this machine, live; ARGS="--duration 60 --json" and the like
	@$(BIN)/freshet demo $(ARGS)

test: $(STAMP) ## every test, with real Kafka and Redis where they can be had
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## style, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP) ## every figure the docs quote
	@$(BIN)/python -m bench all $(ARGS)

clean: ## remove what make install made
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache
