# Dure. `make demo` plays one payment day; `make test` proves the rest. Both set everything up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMPILE := $(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate -q

.PHONY: demo test endure crash attack broker fuzz gates bench bench-settlement lock lock-check setup clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Dure needs Python 3.11 or newer; run: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/dure-terminal-sim demo

# Two at a time, each with its own server and folders; what measures time, one after the other.
TIMED := $(addprefix tests/e2e/test_,kill_under_load.py kill_with_holds.py running_installation.py demo.py) \
	$(addprefix tests/integration/switch/test_,faults.py limits.py)
test: $(STAMP)
	$(BIN)/python -m pytest -m "not endure" -n 2 --dist loadfile $(addprefix --ignore=,$(TIMED))
	$(BIN)/python -m pytest -m "not endure" $(TIMED)

# Storms of terminals, crashes, a day of faults: minutes more.
endure: $(STAMP)
	$(BIN)/python -m pytest -m endure

# The night and the way through the bank, killed at every single write (3,200 and more), two at a time.
crash: $(STAMP)
	DURE_CRASH_EVERY=1 $(BIN)/python -m pytest -m endure -n 2 --dist load -rP tests/integration/settlement/crash

# Everything hostile that we know: what is expected, how often it was tried, and what it did.
attack: $(STAMP)
	$(BIN)/python -m pytest tests/attack
	$(MAKE) fuzz

# Coverage-guided; by hand, for longer: make fuzz RUNS=100000000 SECONDS=3600
RUNS ?= 300000
SECONDS ?= 60
fuzz: $(STAMP)
	for target in framing message icc hsm; do \
		$(BIN)/python -m tests.fuzz $$target --runs $(RUNS) --seconds $(SECONDS) || exit 1; done

# The real broker, Mosquitto; it must be installed.
broker: $(STAMP)
	DURE_MOSQUITTO=required $(BIN)/python -m pytest tests/broker

gates: $(STAMP) lock-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# A night of 300,000 payments and one of 10,000,000; about 25 GB of disk for half an hour.
bench-settlement: $(STAMP)
	$(BIN)/python -m tests.bench.settle

# The lock holds versions and hashes only, so it names no index and works with any mirror.
lock: $(STAMP)
	$(COMPILE) -o requirements.lock

lock-check: $(STAMP)
	@cp requirements.lock $(VENV)/lock.check
	@$(COMPILE) -o $(VENV)/lock.check
	@cmp -s requirements.lock $(VENV)/lock.check || { echo "requirements.lock does not match pyproject.toml: run 'make lock' and commit it"; exit 1; }

clean:
	rm -rf $(VENV) var
