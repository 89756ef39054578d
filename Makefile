# Needs only Python 3.11+ and make: each target first makes .venv ready (scripts/bootstrap.sh).
#   make demo          the whole loop on real mail, in about a minute     (ARGS="--days 10" for options)
#   make test          every test, on SQLite and PostgreSQL               (ARGS="-k guard" for some)
#   make check         what a change must pass: format, lint, types, import rules, tests

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check format format-check lint types imports docs bench lock release clean distclean

PYTHON ?=
ARGS ?=
PY := .venv/bin/python
SERVER := .venv/.stamp-server
DEV := .venv/.stamp-dev
CHANGES := pyproject.toml scripts/bootstrap.sh constraints-server.lock
WORKERS ?= 2

# Two test workers share the machine: libraries that start a thread per core would only make them fight.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

$(SERVER): $(CHANGES)
	@PYTHON="$(PYTHON)" sh scripts/bootstrap.sh server
	@touch $@

$(DEV): $(CHANGES) constraints-dev.lock
	@PYTHON="$(PYTHON)" sh scripts/bootstrap.sh dev
	@touch $(SERVER) $@

demo: $(SERVER) ## the whole loop on real mail
	@$(PY) -m trimtab demo $(ARGS)

test: $(DEV) ## every test, on SQLite and PostgreSQL
	@$(PY) -m pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

check: format-check lint types imports test ## what a change must pass

format: $(DEV) ## format the code
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix --quiet . || true

format-check: $(DEV) ## fail when a file is not formatted
	@$(PY) -m ruff format --check .

lint: $(DEV) ## ruff
	@$(PY) -m ruff check .

types: $(DEV) ## mypy --strict
	@$(PY) -m mypy

imports: $(DEV) ## the layer rules
	@.venv/bin/lint-imports

docs: $(DEV) ## write the reference pages that follow from the code
	@$(PY) -m scripts.errors_reference
	@$(PY) -m scripts.make_cli_reference
	@$(PY) -m scripts.make_api_reference
	@$(PY) -m scripts.make_vectors --check

bench: $(DEV) ## every claim, measured
	@$(PY) -m bench all --markdown docs/benchmarks.md $(ARGS)

lock: ## resolve the dependencies anew (needs uv; ARGS=--upgrade for the newest)
	@sh scripts/lock.sh $(ARGS)

release: $(DEV) ## build the source and wheel packages into dist/
	@rm -rf dist
	@$(PY) -m hatchling build --target sdist --target wheel --directory dist

clean: ## remove what the tools leave behind
	@rm -rf dist build htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environment too
	@rm -rf .venv
