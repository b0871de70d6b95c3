# Everything a contributor runs. Needs GNU make and Python 3.11 or newer, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
READY := .venv/.ready
SOURCES := engine agents memory mcp_tools configs
PYTEST := $(BIN)/pytest

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Install what uv.lock says into .venv (every other target does this first)
	@:

$(READY): pyproject.toml uv.lock scripts/setup.py
	@sh scripts/python.sh scripts/setup.py

.PHONY: run
run: $(READY) ## Ask real questions of the local model: first light
	@$(BIN)/python -m examples.first_light

# Two processes, a file in one of them: 3 min 8 s instead of 5 min on two cores. More would fight for the same cores.
# Bytecode is kept whatever the shell says: else both rewrite the asserts of every test file again on each run. One
# thread of linear algebra each: more wait for each other in a busy loop, at two to three times the cost of a training.
.PHONY: test
test: $(READY) ## All tests that need nothing but this folder (ARGS="-k breaker -x" are passed on)
	@PYTHONDONTWRITEBYTECODE= OPENBLAS_NUM_THREADS=1 $(PYTEST) -m "not system and not long" -n 2 --dist loadfile $(ARGS)

.PHONY: test-system
test-system: $(READY) ## Tests that need more than PyPI (apt, npm, a browser)
	@sh scripts/tests_or_none.sh $(PYTEST) -m "system and not long" $(ARGS)

.PHONY: test-long
test-long: $(READY) ## Long proofs
	@sh scripts/tests_or_none.sh $(PYTEST) -m "long" --timeout=3600 --hypothesis-profile=long $(ARGS)

.PHONY: mutation
mutation: $(READY) ## Break the breaker in every small way: some test has to fail (15 minutes)
	@sh scripts/python.sh scripts/setup.py sync --locked --inexact --extra local --extra dev --extra mutation
	@$(BIN)/python scripts/mutate.py

.PHONY: bench
bench: $(READY) ## Measure what benchmarks/README.md reports
	@$(BIN)/switchgear bench

.PHONY: check
check: lint contracts types lock ## Everything that judges code without running it

.PHONY: lint
lint: $(READY) ## Style, formatting, a docstring on every test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/interrogate --quiet tests

.PHONY: types
types: $(READY) ## Strict type check
	@$(BIN)/basedpyright

.PHONY: contracts
contracts: $(READY) ## Import direction
	@$(BIN)/lint-imports --no-logo

.PHONY: lock
lock: $(READY) ## Whether uv.lock says what pyproject.toml asks for
	@sh scripts/python.sh scripts/setup.py lock --check

.PHONY: format
format: $(READY) ## Rewrite the code in the house's format
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

.PHONY: requirements
requirements: $(READY) ## What is built, partial and open
	@$(BIN)/python -m tests.architecture.requirements_table

.PHONY: clean
clean: ## Remove what the targets made, except .switchgear (your data)
	rm -rf .venv .uv mutants .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
