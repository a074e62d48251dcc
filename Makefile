# voicectl: every target sets up what it needs and does nothing twice.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/voicectl
WHEELS := $(CACHE)/wheels
MODELS ?= faster-whisper-base
QUESTION ?= What is the capital of France?
# Files of tests side by side; those of the real models and of booted machines want the processors for themselves.
TWO_AT_ONCE := -n 2 --dist loadfile
# The tests start hundreds of processes: without bytecode each would compile voicectl anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install dev models demo check format test test-unit test-integration test-e2e test-hosts test-hosts-long bench-turn bench-load bench-barge-in bench-decode bench-refusal bench-records bench-recording bench-redaction bench-faults check-gate check-intervals check-decisions check-null-server measure-judge validate-plan soak fuzz lock clean

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
	$(BIN)/pytest $(TWO_AT_ONCE) tests/unit
	$(BIN)/pytest $(TWO_AT_ONCE) tests/integration
	$(BIN)/pytest tests/e2e

test-unit: $(VENV)/.dev  ## Unit tests only
	$(BIN)/pytest $(TWO_AT_ONCE) tests/unit

test-integration: $(VENV)/.dev  ## Real sockets and processes, no models
	$(BIN)/pytest $(TWO_AT_ONCE) tests/integration

test-e2e: $(VENV)/.dev models  ## The real models of profile cpu
	$(BIN)/pytest tests/e2e

test-hosts: $(VENV)/.dev models  ## Install, upgrade and break booted Debian machines (needs root and systemd-nspawn)
	$(BIN)/pytest tests/hosts

test-hosts-long: $(VENV)/.dev models  ## The same at 30 random moments each, and an hour of watching what leaves
	VOICECTL_HOSTS_CAMPAIGN=1 VOICECTL_HOSTS_POINTS=30 VOICECTL_HOSTS_EGRESS_S=3600 $(BIN)/pytest tests/hosts

bench-turn: $(VENV)/.dev models  ## Measure the latency of turns over recorded speech (SPEECH=folder)
	$(BIN)/python scripts/bench_turn.py $(if $(SPEECH),--speech $(SPEECH))

bench-load: $(VENV)/.dev models  ## Measure 4, 8 and 16 calls at once (SPEECH=folder, CALLS="4 8 16")
	$(BIN)/python scripts/bench_load.py --calls $(or $(CALLS),4 8 16) $(if $(SPEECH),--speech $(SPEECH))

bench-barge-in: $(VENV)/.dev models  ## Measure how soon the agent is silent when the caller speaks
	$(BIN)/python scripts/bench_barge_in.py --calls 1 4 --trials 40

bench-decode: $(VENV)/.dev models  ## Compare the scheduler with a bare loop over the model
	$(BIN)/python scripts/bench_decode.py

bench-refusal: $(VENV)/.dev models  ## Measure how soon a call too many is refused
	$(BIN)/python scripts/bench_refusal.py --calls 8 --tries 100

bench-faults: $(VENV)/.dev models  ## Kill each worker 20 times under 8 calls, then the gateway; about 20 minutes
	$(BIN)/python scripts/fault_workers.py --calls 8 --times 20
	$(BIN)/python scripts/fault_workers.py --gateway
	$(BIN)/python scripts/fault_records.py

bench-records: $(VENV)/.dev  ## Measure how fast calls are recorded, and what that takes from them
	$(BIN)/python scripts/bench_records.py

bench-recording: $(VENV)/.dev models  ## Compare calls that are recorded with calls that are not; a quarter of an idle hour
	$(BIN)/python scripts/bench_recording.py

bench-redaction: $(VENV)/.dev  ## Count leaks in 20,000 spoken card numbers, and false finds (N=20000)
	$(BIN)/python scripts/check_redaction.py --n $(or $(N),20000)

check-gate: $(VENV)/.dev  ## Prove the gate's numbers: chance, changed bytes, a million calls, spoiled data; over an hour
	$(BIN)/python scripts/check_gate.py chance
	$(BIN)/python scripts/check_gate.py bytes
	$(BIN)/python scripts/check_gate.py speed
	$(BIN)/python scripts/check_gate.py adversarial

measure-judge: $(VENV)/.dev models  ## Compare the judge of profile cpu with the labelled calls (PROFILE=name)
	$(BIN)/python scripts/measure_judge.py $(PROFILE)

check-intervals: $(VENV)/.dev  ## How often the intervals of percentiles hold the truth; about an hour on two cores
	$(BIN)/python scripts/check_intervals.py

check-decisions: $(VENV)/.dev  ## How often compare, saturated and steady are wrong; about half an hour on two cores
	$(BIN)/python scripts/check_decisions.py

check-null-server: $(VENV)/.dev  ## Hold the load generator against a server whose delays are known; two idle minutes
	$(BIN)/python scripts/check_null_server.py

validate-plan: $(VENV)/.dev models  ## Hold plan's predictions against real calls; half an idle hour (OUT=folder, SPEECH=folder)
	$(BIN)/python scripts/validate_plan.py run --out $(or $(OUT),plan-validation) $(if $(SPEECH),--speech $(SPEECH))

soak: $(VENV)/.dev models  ## 500 sessions in one gateway: memory, files, tasks, sequences; about 10 minutes
	$(BIN)/python scripts/soak.py --sessions 500

fuzz: $(VENV)/.dev  ## 200,000 malformed messages; about 7 minutes
	VOICECTL_FUZZ_MESSAGES=200000 $(BIN)/pytest -s tests/integration/test_fuzz_realtime.py

LOCK := $(BIN)/python -m piptools compile --quiet --strip-extras --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --allow-unsafe

lock: $(VENV)/.dev  ## Resolve the dependencies anew into the lock files
	$(BIN)/python -m pip install --quiet pip-tools
	$(LOCK) -o requirements.lock pyproject.toml
	$(LOCK) --extra dev -o requirements-dev.lock pyproject.toml
	$(LOCK) -o requirements-cuda12.lock requirements-cuda12.in
	$(LOCK) -o requirements-cuda13.lock requirements-cuda13.in

clean:  ## Remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
