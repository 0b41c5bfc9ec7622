# One door. `make` lists what is behind it. Needed: Python 3.11 or newer, make, and a package index for pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/dev.lock
PEER_VENV := .venv-bench
PEER_LOCK := requirements/bench-peer.lock
PURE := stir policies trust_store
SEALED := checkpoint cosignature entry index_growth label_bucket label_index log_description merkle proof sct signed_note tiles vrf
STATED := access_list client description hidden hidden_lookup lookup move own_listing owning receipt record record_memory remembered resolver statement
MAPPED := building chunk columns delta entries leading_digits manifest segments services
ROOMS := acme_client answerback ca_server number_directory serving transparency $(PURE)
PARALLEL := --numprocesses=2 --dist=loadgroup
PYTEST_ARGS ?=
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env --doctree-dir build/doctrees

# Tests start our programs hundreds of times: each start would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check format bench bench-log kills docs vectors lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY)  ## play the whole story on this machine: authorities, SMS, logs, directories, and an attacker
	@$(BIN)/answerback demo

test: $(READY)  ## run the whole suite, with branch coverage (PYTEST_ARGS="-k name" for a part)
	@$(BIN)/pytest $(PARALLEL) $(ROOMS:%=--cov=%) --cov-report=term:skip-covered $(PYTEST_ARGS)

check: $(READY)  ## format, lint, types, layers, and 100 % branch coverage of the pure rooms and formats
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest --quiet --no-header $(PARALLEL) $(PURE:%=tests/unit/%) $(PURE:%=--cov=%) \
		$(SEALED:%=tests/unit/transparency/test_%.py) tests/unit/transparency/test_vectors.py $(SEALED:%=--cov=transparency.%) \
		$(STATED:%=tests/unit/number_directory/test_%.py) tests/unit/number_directory/test_hidden_client.py tests/unit/number_directory/test_resolver_memory.py $(STATED:%=--cov=number_directory.%) \
		$(MAPPED:%=tests/unit/number_directory/routing/test_%.py) $(MAPPED:%=--cov=number_directory.routing.%) \
		--cov-report=term-missing:skip-covered --cov-fail-under=100

format: $(READY)  ## put the code into the house's form, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) $(PEER_VENV)/.ready  ## measure against other programs, side by side, and print ratios
	@$(BIN)/python -m bench --peer $(PEER_VENV)

bench-log: $(READY)  ## measure large transparency logs: 10^7 leaves, 4 million labels, a million entries (minutes)
	@$(BIN)/python -m bench --long --plot docs/explanation/log-proofs.svg

kills: $(READY)  ## kill a directory 200 times while owners publish, on each database (ten minutes)
	@ANSWERBACK_KILLS=200 $(BIN)/pytest -s tests/integration/test_directory_killed.py

docs: $(READY)  ## build the documentation into site/, every warning an error
	@$(SPHINX) docs site
	@echo "The documentation is in site/index.html"

vectors: $(READY)  ## make the test vectors anew, and prove that nothing changed
	@for script in tests/vectors/*.py; do \
		echo "$$script"; $(BIN)/python -m "tests.vectors.$$(basename "$$script" .py)" || exit 1; \
	done
	git diff --exit-code -- tests/vectors

lock: $(READY)  ## resolve the dependencies anew into requirements/
	sh requirements/lock.sh $(BIN)/pip-compile $(LOCK) $(PEER_LOCK)

clean:  ## remove what was built, the virtual environments too
	rm -rf $(VENV) $(PEER_VENV) .venv-witness build site .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf ./*.egg-info tests/npm/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define an-interpreter
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON) here. Say which Python to use: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version). Say which to use: make PYTHON=python3.11"; \
		exit 1; }
endef

$(READY): $(LOCK) pyproject.toml
	$(an-interpreter)
	@echo "[1/3] Making $(VENV) (first time only, about a minute in all)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] Installing the locked dependencies"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r $(LOCK)
	@echo "[3/3] Installing answerback itself, from here"
	@$(BIN)/python -m pip install --disable-pip-version-check -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(PEER_VENV)/.ready: $(PEER_LOCK)
	$(an-interpreter)
	@echo "[1/2] Making $(PEER_VENV) (first time only)"
	@$(PYTHON) -m venv $(PEER_VENV)
	@echo "[2/2] Installing the ACME server to measure against"
	@$(PEER_VENV)/bin/python -m pip install --disable-pip-version-check --require-hashes -r $(PEER_LOCK)
	@touch $@
