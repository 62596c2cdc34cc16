# The words of CI and of people. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install run reset test test-fast compose soak check bench pins clean

PYTHON ?= python3
VENV   := .venv
UV     := $(VENV)/uv/bin/uv
# torch: a wheel from PIP_FIND_LINKS where that is set (uv reads it under its own name), else uv fetches the build that
# TORCH_BACKEND names: `cpu` (default), `auto` for the machine's GPU, `cu130`, ...
TORCH_BACKEND ?= cpu
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
TORCH_OPTION :=
else
TORCH_OPTION := --torch-backend=$(TORCH_BACKEND)
endif
UV_VERSION := 0.13.8
INSTALL := $(UV) pip install --quiet --python $(VENV)/bin/python $(TORCH_OPTION)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(VENV)/.run ## everything that runs, pinned, into .venv

run: $(VENV)/.run ## the whole loop: `make run`, `make run ONCE=1`, `make run REVIEWS=<file, glob, folder or hub>`
	@$(VENV)/bin/restar run $(if $(filter-out 0,$(ONCE)),--once) $(if $(REVIEWS),--reviews '$(REVIEWS)')

reset: $(VENV)/.run ## wipe the state in var/, after asking (YES=1 does not ask)
	@$(VENV)/bin/restar reset $(if $(filter-out 0,$(YES)),--yes)

# In parallel, one thread a worker: two workers with two threads each are slower than either.
PARALLEL := OMP_NUM_THREADS=1 $(VENV)/bin/pytest --numprocesses=auto --maxprocesses=4
COVERAGE := --cov=restar_lib --cov-report=term:skip-covered --no-cov-on-fail

test-fast: $(VENV)/.dev ## what needs no process, no database and no training: under three minutes
	@$(PARALLEL) $(or $(TESTS),tests/unit)

test: $(VENV)/.dev ## everything: unit, processes, training, Postgres, DAGs, web, faults and end-to-end turns
	@PYTHON=$(VENV)/bin/python scripts/browser
	@$(PARALLEL) $(if $(TESTS),,$(COVERAGE)) $(TESTS)

compose: $(VENV)/.run ## the production composition on a real Docker Engine: build, start, one turn, down again
	@PYTHON=$(VENV)/bin/python scripts/compose

soak: $(VENV)/.dev ## the long tests (about 30 minutes): 20 kills a stage, long outages; fills docs/reliability.md
	@$(if $(filter-out 0,$(AGAIN)),rm -f benchmarks/results/reliability.json)
	@set -o pipefail; $(VENV)/bin/pytest -m soak -v $(TESTS) 2>&1 | tee -a soak.log; ended=$$?; \
	  $(VENV)/bin/python scripts/reliability; exit $$ended

# One at a time: `secrets` as a module would hide the standard library's.
SCRIPTS := audit pins reliability run_book secrets
check: $(VENV)/.dev ## Ruff, mypy strict, the import contract, names, pins are fresh and have no known vulnerabilities
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy
	@for script in $(SCRIPTS); do $(VENV)/bin/mypy --no-error-summary scripts/$$script || exit 1; done
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/pytest tests/unit/test_names.py tests/processes/test_import_rules.py
	@$(VENV)/bin/python scripts/pins --check
	@$(VENV)/bin/python scripts/audit

BENCHMARKS := ingest growth desk scoring serving_latency
REAL_BENCHMARKS := quality human train_step choices abstention stars sentences loop gate_curves imdb
bench: $(VENV)/.dev ## side-by-side measurements, each prints a table (serving_latency needs a champion: `make run ONCE=1` first; those of learning need RESTAR_REAL_REVIEWS=<folder of real reviews> and hours)
	@failed=0; for name in $(BENCHMARKS) $(if $(RESTAR_REAL_REVIEWS),$(REAL_BENCHMARKS)); do \
	  echo "== $$name"; $(VENV)/bin/python benchmarks/$$name.py || failed=1; done; exit $$failed

pins: $(VENV)/.dev ## compile requirements/*.in into pinned requirements/*.txt
	@UV=$(UV) $(VENV)/bin/python scripts/pins

clean: ## remove .venv (state in var/ stays; `make reset` removes that)
	@rm -rf $(VENV)

# --- how things get installed

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; choose one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m pip --version > /dev/null 2>&1 || { echo "pip is missing for $(PYTHON): install it (Debian: apt-get install python3-pip python3-venv)"; exit 1; }
	@echo "installing into $(VENV): about two minutes the first time"
	@mkdir -p $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target $(VENV)/uv uv==$(UV_VERSION)
	@$(UV) venv --quiet --allow-existing --python $$($(PYTHON) -c 'import sys; print(sys.executable)') $(VENV)

$(VENV)/.run: $(UV) requirements/run.txt pyproject.toml
	@$(INSTALL) -r requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@$(INSTALL) -r requirements/dev.txt
	@touch $@
