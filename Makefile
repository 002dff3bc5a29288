# Shoal: `make` lists the targets. PYTHON picks the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help bench-adapters demo test test-train lint type bench bench-streaming bench-router bench-cascade bench-serving bench-specialists lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/run.stamp ## run the shipped team over a real inbox and print what every subtask took
	@$(BIN)/shoal demo

test: $(VENV)/dev.stamp ## everything the tests need, then the tests
	@$(BIN)/shoal models pull embedded:smollm2:135m
	$(BIN)/pytest

test-train: $(VENV)-train/stamp ## what needs torch (5 GB into an environment of its own, once)
	$(VENV)-train/bin/pytest -m train

lint: $(VENV)/dev.stamp ## formatting, ruff and the layer contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

type: $(VENV)/dev.stamp ## strict types
	$(BIN)/basedpyright

bench: $(VENV)/dev.stamp ## overhead, router latency, memory and a thousand runs at once, as ratios in one run
	$(BIN)/python benchmarks/overhead.py

bench-streaming: $(VENV)/dev.stamp ## how much later the first streamed token is than the bare engine's
	$(BIN)/python benchmarks/streaming.py

ENGINE ?= fake
bench-serving: $(VENV)/dev.stamp ## what the scheduler is worth; ENGINE=fake, embedded or ollama
	$(BIN)/python benchmarks/serving.py --engine $(ENGINE)

bench-adapters: $(VENV)/dev.stamp ## what ten specialists cost their engine: memory, tokens a second, a switch, as ratios in one run
	$(BIN)/python benchmarks/adapters.py

bench-router: $(VENV)/dev.stamp ## the router's targets on public data, and its peers beside it; data in DATA
	$(BIN)/python benchmarks/router.py $(DATA)

bench-cascade: $(VENV)/dev.stamp ## how well rows for the large model are chosen, and whether promises hold; data in DATA
	$(BIN)/python benchmarks/cascade.py $(DATA) --pictures docs/pictures
	$(BIN)/python benchmarks/cascade_foresight.py $(DATA)

bench-specialists: $(VENV)-train/stamp ## quality against size of a specialist: bare, adapter, merged, pruned; rows in ROWS and HELD_OUT, its job in SYSTEM
	$(VENV)-train/bin/python benchmarks/specialists.py --data $(ROWS) --held-out $(HELD_OUT) --system "$(SYSTEM)" --adapter $(ADAPTER) --prune 4 8

lock: $(VENV)/dev.stamp ## resolve the dependencies anew into requirements/
	sh requirements/lock.sh $(BIN)/python

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) $(VENV)-train .pytest_cache .ruff_cache .hypothesis

# A stamp is written last, so that an interrupted installation starts again.
$(VENV)/run.stamp: pyproject.toml requirements/run.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Shoal needs Python 3.11 to 3.13: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "installing into $(VENV) (once, about two minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)-train/stamp: pyproject.toml
	@$(PYTHON) -m venv $(VENV)-train
	@$(VENV)-train/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,embedded,train]'
	@touch $@
