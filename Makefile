# SPDX-License-Identifier: Apache-2.0
.PHONY: help demo test lint bench clean
.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
export PYTHON
ENVIRONMENT := .venv/bin
COMPILERS := musl-gcc gcc aarch64-linux-gnu-gcc

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.* ## /\1\t/p' Makefile | expand -t 8

demo: ## set everything up and run a first container
	@tools/setup.sh demo
	@examples/demo

test: ## set everything up and run the tests
	@tools/setup.sh test
	@$(ENVIRONMENT)/python -m pytest --numprocesses auto --dist loadfile

lint: ## check the style and types of Python, and the warnings of C for x86_64 and aarch64
	@tools/setup.sh lint
	$(ENVIRONMENT)/ruff check
	$(ENVIRONMENT)/ruff format --check
	$(ENVIRONMENT)/mypy
	shellcheck --severity=warning $$(grep -rlI --exclude-dir=.venv --exclude-dir=.git '^#!.*sh$$' .)
	@set -e; directory=$$(mktemp -d); trap 'rm -r $$directory' EXIT; \
	for compiler in $(COMPILERS); do for program in pyrun pyrun-init; do \
	    echo "$$compiler $$program"; \
	    CC=$$compiler $(ENVIRONMENT)/python tools/compile.py $$program $$directory/$$program -- -Werror; \
	done; done

bench: ## measure pyrun beside the runtimes that are installed
	@tools/setup.sh test
	@$(ENVIRONMENT)/python bench/run.py

clean: ## remove what the targets above made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis runtime/pyrun/bin build dist
	find . -name __pycache__ -type d -prune -exec rm -r {} +
