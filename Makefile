# What one does here, in one word each. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup fix test test-all docs site bench changelog

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:  ## make .venv with the tools, and the checks before each commit
	$(PYTHON) scripts/environment.py dev,docs,local
	$(BIN)/pre-commit install

fix:  ## mend what the linter can, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test:  ## lint, types and the fast tests
	$(PYTHON) scripts/test.py

test-all:  ## everything, with torch and a browser where there is one
	$(PYTHON) scripts/test.py --all

docs:  ## the documentation's site, into build/docs
	$(BIN)/python scripts/docs_pages.py --site

site:  ## the leaderboard, into site
	$(BIN)/sgpbench leaderboard build --results results --out site

bench:  ## the measurements that take minutes and need no download
	$(BIN)/python benchmarks/rendering.py
	$(BIN)/python benchmarks/fanout.py

changelog:  ## gather changelog.d into CHANGELOG.md
	$(BIN)/python scripts/changelog.py
