# Assay. Every target makes its own environment first; python3, pip and make are all that has to be there.
.PHONY: help env demo demo-full test lint bench lock clean
.DEFAULT_GOAL := help
ASSAY := .venv/bin/assay
PYTEST := .venv/bin/python -m pytest -rfEs
# Files at once in `make test`.
WORKERS ?= 2

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

env: ## Make .venv with the locked versions
	@bash scripts/environment.sh

demo: env ## Run the sample suite and end at its report: no key, no network
	@$(ASSAY) run support-tickets

demo-full: demo ## The demo, then made-up traffic: what it cost, how it went, its pages, a winner deployed and a canary taken back
	@$(ASSAY) demo

lint: env ## ruff, mypy (strict), the import rules, the schema against its migrations
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/python -m tasks.store.migrations.check

test: lint ## All checks, then pytest against a real Postgres, a real Prefect and a real browser
	$(PYTEST) -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: env ## The long forms: 200 kills, all programs
	$(PYTEST) -m slow --timeout 3000

bench: env ## Measure speed and memory; prints ratios to bare loops measured in the same run
	.venv/bin/python -m benchmarks.suite_runs
	.venv/bin/python -m benchmarks.ingest
	.venv/bin/python -m benchmarks.rollups
	.venv/bin/python -m benchmarks.statistics
	.venv/bin/python -m benchmarks.experiments
	.venv/bin/python -m benchmarks.deployments

lock: env ## Lock the newest allowed versions, with hashes and without addresses
	.venv/bin/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --python-version 3.11 --group dev pyproject.toml -o requirements.lock

clean: ## Remove the environment and caches; data under ASSAY_HOME stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist
