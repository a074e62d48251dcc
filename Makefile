# voicectl: every target sets up what it needs and does nothing twice.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/voicectl
WHEELS := $(CACHE)/wheels
MODELS ?= faster-whisper-base
QUESTION ?= What is the capital of France?

.PHONY: help install dev models demo check format test test-unit test-integration test-e2e bench-turn lock clean

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.created:
	@printf '\n==> virtual environment in %s\n' $(VENV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "voicectl needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# llama-cpp-python comes as source. Only its library is built (scripts/build_llama.sh), once for this machine.
$(VENV)/.installed: $(VENV)/.created requirements.lock pyproject.toml scripts/install.sh cmake/llama_library_only.cmake
	@scripts/install.sh $(BIN)/python requirements.lock $(WHEELS)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.lock
	@scripts/install.sh $(BIN)/python requirements-dev.lock $(WHEELS)
	@touch $@

install: $(VENV)/.installed  ## Create the virtual environment and install voicectl

dev: $(VENV)/.dev  ## Add what tests and checks need

models: $(VENV)/.installed  ## Fetch and verify the models of profile cpu
	@$(BIN)/voicectl models pull

demo: models  ## Let the appliance answer a question in its own voice; writes demo.wav
	@$(BIN)/voicectl talk --ask "$(QUESTION)" --out demo.wav

check: $(VENV)/.dev  ## Format, lint, types, imports, locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/voicectl models lock

format: $(VENV)/.dev  ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/.dev models  ## All tests: unit, integration, end to end on the real models
	@$(BIN)/voicectl models pull $(MODELS)
	$(BIN)/pytest tests/unit
	$(BIN)/pytest tests/integration
	$(BIN)/pytest tests/e2e

test-unit: $(VENV)/.dev  ## Unit tests only
	$(BIN)/pytest tests/unit

test-integration: $(VENV)/.dev  ## Real sockets and processes, no models
	$(BIN)/pytest tests/integration

test-e2e: $(VENV)/.dev models  ## The real models of profile cpu
	$(BIN)/pytest tests/e2e

bench-turn: $(VENV)/.dev models  ## Measure the latency of turns over recorded speech (SPEECH=folder)
	$(BIN)/python scripts/bench_turn.py $(if $(SPEECH),--speech $(SPEECH))

LOCK := $(BIN)/python -m piptools compile --quiet --strip-extras --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --allow-unsafe

lock: $(VENV)/.dev  ## Resolve the dependencies anew into the lock files
	$(BIN)/python -m pip install --quiet pip-tools
	$(LOCK) -o requirements.lock pyproject.toml
	$(LOCK) --extra dev -o requirements-dev.lock pyproject.toml

clean:  ## Remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
