# Every task of the project. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= demo
CHAPTERS := $(basename $(notdir $(wildcard notebooks/*.ipynb)))
STRIP := --extra-keys "metadata.papermill cell.metadata.papermill metadata.language_info"
JUPYTER_BOOK := $(BIN)/jupyter-book build book --config _config.yml --path-output . -n -W --keep-going

.PHONY: help book test test-slow lint format bench oracles gpu doctor lock clean
.DEFAULT_GOAL := help

help: ## list every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The whole lock is small beside torch, so that one environment serves the book and the tests.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

book: $(VENV)/.installed ## make the environment, run every chapter (PROFILE=demo), build _build/html
	@set -e; for chapter in $(CHAPTERS); do $(BIN)/pecg run $$chapter --profile $(PROFILE); done
	@$(BIN)/pecg report
	@$(JUPYTER_BOOK)
	@cp -R book/_assets/. _build/html/_static/  # Sphinx leaves them when no page has changed
	@echo "The book is at _build/html/index.html"

test: $(VENV)/.installed ## make the environment and run the tests
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed oracles ## the proofs that take minutes: the full-size twin, memory, the oracles
	$(BIN)/python -m pytest -m slow -rP

lint: $(VENV)/.installed ## ruff, mypy, and notebooks without outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify $(STRIP) notebooks/*.ipynb

format: $(VENV)/.installed ## format the code, strip the notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout $(STRIP) notebooks/*.ipynb

# The peers live in an environment of their own and never meet the project's.
.venv-bench/.installed: requirements.lock tests/bench/requirements-bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement requirements.lock
	.venv-bench/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv-bench/bin/python -m pip install --quiet --no-deps -r tests/bench/requirements-bench.txt
	@touch $@

bench: .venv-bench/.installed ## speed beside what one would use instead, in one run
	rm -rf _data/twins/zzu-bench
	.venv-bench/bin/pecg data twin zzu _data/twins/zzu-bench
	.venv-bench/bin/python tests/bench/bench.py --data _data/twins/zzu-bench

# Of mamba-ssm only the Python part, for the references that it holds: no compiler, no GPU.
.venv-bench/.oracles: .venv-bench/.installed
	MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE .venv-bench/bin/python -m pip install \
	  --quiet --no-build-isolation --no-deps mamba-ssm==2.3.2.post1
	@touch $@

oracles: .venv-bench/.oracles ## the state-space models against mamba-ssm's references and transformers
	PECG_REQUIRE=oracles .venv-bench/bin/python -m pytest tests/oracles

gpu: $(VENV)/.installed ## build mamba-ssm's kernels, prove and time them, run a chapter on the GPU
	$(BIN)/python tests/gpu/prove.py

doctor: $(VENV)/.installed ## what this machine can do
	@$(BIN)/pecg doctor

# torch's local versions (+cpu) and its CUDA packages depend on the machine; torch pins the latter.
lock: $(VENV)/.installed ## pin pyproject.toml's dependencies anew in requirements.lock
	$(BIN)/python -m pip install --quiet uv
	UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip compile --quiet --universal \
	  --python-version 3.11 --extra test --no-header --no-annotate pyproject.toml -o - \
	  | grep -vE '^(cuda-|nvidia-|triton)' | sed -E 's/^torch==([0-9.]+).*/torch==\1/' \
	  | sort -u | sed '1i # Pins for pyproject.toml, for Python 3.11 to 3.13. Made by "make lock"; do not edit.' \
	  > requirements.lock.new && mv requirements.lock.new requirements.lock

clean: ## remove everything that can be made again
	rm -rf $(VENV) .venv-bench _data _runs _build book/papers book/generated
