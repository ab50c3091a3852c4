# make demo and make test are all that a newcomer needs; make help lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test foreign serve lint types imports docs bench mutants wheel lock clean

help:  ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/' | sort

.venv/runtime: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/dev: .venv/runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	touch $@

demo: .venv/runtime  ## the main job on this machine: simulators, gateway, patients, proof
	$(BIN)/careweir demo

serve: .venv/runtime  ## the gateway with simulators and demo tokens on port 8080
	$(BIN)/careweir serve --demo --data careweir-data

test: .venv/dev  ## the whole test suite, a file at a time on each core
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

foreign: .venv/dev  ## clients and validators that are not from PyPI, where node, Java and Maven are
	tests/clients/foreign.sh $(BIN)/python

lint: .venv/dev  ## ruff: format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev  ## mypy --strict and pyright
	$(BIN)/mypy
	$(BIN)/pyright

imports: .venv/dev  ## which way the arrows point
	$(BIN)/lint-imports

docs: .venv/dev  ## docs are held to the code
	$(BIN)/python -m pytest tests/docs

bench: .venv/runtime  ## ratios against baselines of the same run
	$(BIN)/careweir bench

mutants: .venv/dev  ## seeded faults in access and minimise: how many a test notices (slow)
	PYTHONPATH=tests:gateway:adapters:fhir $(BIN)/python -m mutation.run

wheel: .venv/dev  ## build the wheel and prove the packaging
	$(BIN)/python -m pytest tests/packaging

lock: .venv/dev  ## write the hash-locked requirements again
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --strip-extras -o requirements.txt pyproject.toml requirements.in
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --strip-extras -c requirements.txt -o requirements-dev.txt requirements-dev.in

clean:  ## remove what these targets made
	rm -rf .venv careweir-data dist
