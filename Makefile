# `make demo` and `make test` need Python 3.10 or newer and a network; the rest is put into .venv,
# which is made again whenever pyproject.toml or constraints.txt have changed.

PYTHON ?= python3
WORKERS ?= 2

bin := .venv/bin
ready := .venv/.ready
# One thread a worker: two torch processes of two threads each would fight over two cores. Each gets a
# half of the suite in its order, so that what a file sets up is set up once, and then helps the other.
pytest := OMP_NUM_THREADS=1 $(bin)/pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test long check lint

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: $(ready) ## simulate, match, train and deblur without downloads; the picture lands in demo/
	$(bin)/bluref demo -o demo

test: $(ready) ## the whole test suite
	$(pytest)

long: $(ready) ## the same, and what takes minutes each (24 to 400 megapixels)
	BLUREF_LONG=1 $(pytest)

check: lint ## what to run before a commit: lint and the quick tests
	$(pytest) -m 'not slow'

lint: $(ready) ## style, types and the one way of imports
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo

$(ready): pyproject.toml constraints.txt
	test -x $(bin)/python || $(PYTHON) -m venv .venv
	$(bin)/python -m pip install --quiet -c constraints.txt -e '.[train,export,hub,dev]'
	touch $@
