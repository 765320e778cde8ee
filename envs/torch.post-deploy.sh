#!/usr/bin/env bash
# Snakemake runs this in the new environment: trigpoint from this checkout, its dependencies are there.
set -euo pipefail
python -m pip install --no-deps "$(git rev-parse --show-toplevel)"
