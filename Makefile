# make help lists the targets. VENV=... names an existing environment, PIP_ARGS=... goes to pip
# (an index with another PyTorch build, say), CORES=... to snakemake.
PYTHON ?= python3.11
VENV ?= .venv
PIP_ARGS ?=
CORES ?= all
BIN := $(VENV)/bin

.PHONY: help demo setup setup-dev kernels built-kernels format lint test bench bench-demo schema clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: setup  ## set up, reconstruct and localize the scene that ships with the repository, print the recall table
	$(BIN)/snakemake --cores $(CORES) results/demo
	@$(BIN)/trigpoint summary results/demo

setup: $(VENV)/.trigpoint-setup built-kernels  ## the environment for running: pinned versions, weights of the demo
setup-dev: $(VENV)/.trigpoint-setup-dev built-kernels  ## the environment for developing and testing

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.trigpoint-setup: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e .
	$(BIN)/trigpoint fetch-weights disk-depth
	@touch $@

$(VENV)/.trigpoint-setup-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[dev,render,slurm]"
	$(BIN)/trigpoint fetch-weights disk-depth
	$(BIN)/trigpoint fetch-weights disk-lightglue
	@touch $@ $(VENV)/.trigpoint-setup

kernels: | $(BIN)/python  ## the compiled correlation kernels: needs g++, adds CUDA where nvcc is found
	$(BIN)/python cuda_kernels/build.py

built-kernels: | $(BIN)/python
	@$(BIN)/python cuda_kernels/build.py --if-possible

format: setup-dev  ## rewrite the code in the agreed form
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench
	$(BIN)/snakefmt Snakefile rules

lint: setup-dev  ## what the code must look like
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

test: setup-dev  ## all tests that need no GPU, no root and, after the set-up, no network
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests

schema: setup-dev  ## write rules/config.schema.yaml anew from the settings classes
	$(BIN)/python -m trigpoint.config_schema rules/config.schema.yaml

bench: setup-dev  ## measure against peers, write bench/results/*.json
	for script in bench/match_store.py bench/disk_extraction.py bench/posfeat_extraction.py bench/nearest_neighbor.py bench/strecha.py bench/merging.py bench/eth_lfb.py bench/sacre_coeur.py \
		bench/pump_matching.py bench/patch2pix_inference.py bench/backbones.py; do \
		$(BIN)/python $$script || exit 1; done

bench-demo: setup-dev  ## the demo's bars over seeds 1 to 3 of render-scene (about an hour)
	$(BIN)/python bench/demo_seeds.py

clean:  ## remove what the workflow wrote; data/ stays
	rm -rf work results logs benchmarks .snakemake
