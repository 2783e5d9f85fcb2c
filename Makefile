# make demo | test | check | format | venv | clean.  Another Python: make PYTHON=python3.13 test

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install -q -c constraints.txt
SOURCES := barq scheduler workers api

.PHONY: help venv demo test check format screenshot soak worlds clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    run real jobs through a day of surplus power; POWER=day.csv COLUMN=name replays another day"
	@echo "make test    the whole test suite"
	@echo "make coverage   the whole suite with its coverage; it takes much longer"
	@echo "make check   lint, types, import rules"
	@echo "make format  put the sources in order, as make check wants them"
	@echo "make screenshot  make docs/dashboard.png anew; needs Chromium"
	@echo "make soak    simulated sites with faults for hours; RUNS=300 MINUTES=600 SEED=0 say how many and how long"
	@echo "make worlds  more than 100,000 random small sites, each decided on and held against what must hold; SEED=0"
	@echo "make venv    only create $(VENV) and install into it"
	@echo "make clean   remove $(VENV), caches and build products"

venv: $(STAMP)

# Made again when a dependency changes. Torch goes in first and alone: it is nine tenths of the wait.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "There is no '$(PYTHON)' here. On Debian 12: apt-get install python3 python3-venv make git" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Barq needs Python 3.11 or newer, '$(PYTHON)' is older. Name another: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments. On Debian 12: apt-get install python3-venv make git" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0 numpy
	$(PIP) -e '.[site,forecast,simulate,train,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/barq demo $(if $(POWER),--power "$(POWER)") $(if $(COLUMN),--column "$(COLUMN)")

# Two at a time, in the order of tests/conftest.py: whole sites, one by one, beside all the rest.
test: $(STAMP)
	$(BIN)/pytest -n $(or $(WORKERS),2) --no-loadscope-reorder --durations=15 $(ARGS)

coverage: $(STAMP)
	$(BIN)/pytest $(foreach package,$(SOURCES),--cov=$(package)) --cov-report=term:skip-covered $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(STAMP)
	$(BIN)/python -m scheduler.sim.trial --seed $(or $(SEED),0) --runs $(or $(RUNS),300) --minutes $(or $(MINUTES),600)

worlds: $(STAMP)
	$(BIN)/pytest -q --timeout=0 --hypothesis-profile=worlds --hypothesis-seed=$(or $(SEED),0) --durations=0 tests/property/test_decisions.py

screenshot: $(STAMP)
	$(BIN)/python -m tests.browser.screenshot docs/dashboard.png

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
