# Everything here needs only python3.11 and make: the first target that needs the tools installs them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
SAM_VERSION := 1.170.0
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
CAMPAIGN_ARGS ?=
FIGURES_ARGS ?=
VOLUME_ARGS ?=
# One process per core; the tests of a file stay together, with what they share.
SIDE_BY_SIDE := --numprocesses auto --dist loadfile
# At most two processes with an engine each: half of their time is waiting, and more engines would fill any laptop.
TWO_ENGINES := --numprocesses 2 --dist loadfile
RUNTIME := layers/runtime/requirements.txt

.PHONY: help setup run down api-local test test-unit test-packaging test-integration localstack-host test-localstack test-browser \
	test-prometheus dashboard-picture screenshots lint style-figures format generate lock sam-validate sam-build sam-deploy \
	bench-cold bench-volume bench-idle stress-balance stress-transfers campaign fuzz clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install exactly what uv.lock pins; does nothing if it has not changed
	@:

# The stamp is touched last: an interrupted installation is done again.
$(STAMP): uv.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or pass PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test "$$($(UV) --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(UV) sync --quiet --python $(BIN)/python --locked --extra local --group dev
	@touch $(STAMP)

# The same draws of Hypothesis in every run: some follow the order of sets.
PYTEST = env PYTHONHASHSEED=0 $(BIN)/pytest

run: setup ## Start the local cloud, deploy to it and run the demo
	@$(BIN)/leaseway up --brief
	@$(BIN)/leaseway demo

down: setup ## Stop the local cloud and keep its data (leaseway down --purge deletes that too)
	@$(BIN)/leaseway down

api-local: setup ## Serve only the API, on port 8000, with reload, against the running local cloud
	@$(BIN)/leaseway api-local

test: lint ## Run the linters and the tests: style, unit, packaging, and integration on separate local clouds
	@$(PYTEST) $(SIDE_BY_SIDE) tests/style tests/unit tests/packaging $(PYTEST_ARGS)
	@$(PYTEST) $(TWO_ENGINES) tests/integration $(PYTEST_ARGS)

test-unit: setup ## Run the unit and style tests
	@$(PYTEST) $(SIDE_BY_SIDE) tests/style tests/unit $(PYTEST_ARGS)

test-packaging: setup ## Run the tests of the packages and the template
	@$(PYTEST) $(SIDE_BY_SIDE) tests/packaging $(PYTEST_ARGS)

test-integration: setup ## Run the tests on deployed stacks, on free ports; a running local cloud is not touched
	@$(PYTEST) $(TWO_ENGINES) tests/integration $(PYTEST_ARGS)

localstack-host: setup ## Build a pinned LocalStack that needs no Docker, in .localstack; does nothing if it exists
	@$(BIN)/python -m leaseway_local.localstack.build

test-localstack: localstack-host ## Run the integration tests on a separate LocalStack, without Docker
	@$(BIN)/python -m leaseway_local.localstack.run $(PYTEST) tests/integration $(PYTEST_ARGS)

test-browser: setup ## Run the tests of console and Swagger UI, in this machine's Chromium
	@$(PYTEST) tests/browser $(PYTEST_ARGS)

test-prometheus: setup ## Run the tests of GET /metrics, with this machine's Prometheus
	@$(PYTEST) tests/prometheus $(PYTEST_ARGS)

dashboard-picture: setup ## Take the README's picture of the dashboard, with its browser test
	@DASHBOARD_PICTURE=docs/images/dashboard.png $(PYTEST) tests/browser/test_dashboard.py

lint: setup ## Check style, types, the directions of imports, and the template
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=functions:localstack $(BIN)/lint-imports
	@if test -f template.yaml; then $(BIN)/cfn-lint template.yaml; fi

style-figures: setup ## Measure sizes, names and words; FIGURES_ARGS="--offenders functions/api" lists a folder's offenders
	@PYTHONPATH=tests $(BIN)/python -m style.figures $(FIGURES_ARGS)

format: setup ## Format the code and sort its imports
	@$(BIN)/ruff check --select I --fix --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: setup ## Write gateway.yaml, the OpenAPI documents, the dashboards and docs/reference from their sources
	@PYTHONPATH=functions:infra $(BIN)/python -m generate

# The runtime layer first: the newest versions that have wheels for Lambda's own platform, which uv.lock then follows.
lock: setup ## Pin the runtime layer's and the project's requirements; LOCK_ARGS=--upgrade takes newer ones
	@$(UV) pip compile $(LOCK_ARGS) --quiet --no-header --no-annotate --no-emit-index-url --python-version 3.11 \
		--override layers/runtime/overrides.txt --python-platform x86_64-manylinux2014 --only-binary :all: \
		pyproject.toml --output-file $(RUNTIME)
	@$(UV) lock --quiet $(LOCK_ARGS) $$(sed 's/^/--upgrade-package /' $(RUNTIME))

# SAM CLI pins versions that clash with ours: it lives apart.
sam-validate: .sam-venv/.installed ## Check template.yaml with SAM CLI, in a separate environment
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .sam-venv/bin/sam validate --lint --template template.yaml

sam-build: setup .sam-venv/.installed ## Build the functions and layers for Lambda with SAM CLI and the deployer's code
	@SAM_CLI_TELEMETRY=0 .sam-venv/bin/sam build --build-dir .aws-sam/build

ENV ?= default
sam-deploy: sam-build ## Deploy to AWS with SAM CLI; ENV=staging or ENV=prod selects that part of samconfig.toml
	@SAM_CLI_TELEMETRY=0 .sam-venv/bin/sam deploy --config-env $(ENV)

.sam-venv/.installed: Makefile
	@test -x .sam-venv/bin/python || $(PYTHON) -m venv .sam-venv
	@.sam-venv/bin/python -m pip install --quiet --disable-pip-version-check aws-sam-cli==$(SAM_VERSION)
	@touch $@

screenshots: setup ## Take the README's pictures of the pages, from a separate stack
	@PYTHONPATH=tests $(BIN)/python -m browser.screenshots

bench-cold: setup ## Compare the cold start of each function with a bare handler with the same clients, in CPU time
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.cold_start

bench-volume: setup ## Simulate thousands of jobs and tasks, with the policy of 883dc55 and with the current code
	@PYTHONPATH=tests:functions $(BIN)/python -m benchmarks.volume $(VOLUME_ARGS)

bench-idle: setup ## Count the hourly calls of an idle worker outside Lambda, and their monthly cost
	@PYTHONPATH=tests:functions $(BIN)/python -m benchmarks.idle_workers

stress-balance: setup ## Send 10,000 debits of 2, 50 at a time, to a balance of 10,000: exactly half must be granted
	@$(BIN)/python tests/benchmarks/stress_balance.py

stress-transfers: setup ## Send 5,000 random transfers between 200 accounts, 20 at a time: the total must not change
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.stress_transfers $(STRESS)

fuzz: setup ## Property tests at random, 20 times the usual examples; FUZZ=500 and FUZZ_ARGS="-k rotate-secret" set more
	@FUZZ=$${FUZZ:-20} $(BIN)/pytest -q -n auto --dist loadfile -m hypothesis --timeout 7200 tests/unit $(FUZZ_ARGS)

campaign: setup ## Run thousands of jobs while workers die, the engine restarts and calls fail; CAMPAIGN_ARGS="--jobs 1000 --minutes 4"
	@PYTHONPATH=tests $(BIN)/python -m campaign $(CAMPAIGN_ARGS)

clean: ## Remove everything that was built or installed, except the data of a local cloud
	@rm -rf $(VENV) .sam-venv .localstack build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
