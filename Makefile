# SPDX-License-Identifier: Apache-2.0
.PHONY: help demo test test-vm test-all lint bench clean
.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
export PYTHON
ENVIRONMENT := .venv/bin
COMPILERS := musl-gcc gcc aarch64-linux-gnu-gcc

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 10

demo: ## set everything up and run a first container
	@tools/setup.sh demo
	@examples/demo

test: ## set everything up and run the tests on this host
	@tools/setup.sh test
	@$(ENVIRONMENT)/python -m pytest --numprocesses auto --dist loadfile
	@echo "make test-vm adds what a host may lack: each controller of cgroup v2, systemd, AppArmor, SELinux."

# A machine reads the modules that the collection of the tests here has compiled.
test-vm: export PYTHONDONTWRITEBYTECODE =
test-vm: ## run the tests that need a virtual machine, and a few of each other kind, in it
	@tools/setup.sh test-vm
	@$(ENVIRONMENT)/python -m pytest --numprocesses auto tests/rig
	@$(ENVIRONMENT)/python -m pytest --in-machine tests/vm @tests/vm/smoke.txt

test-all: export PYTHONDONTWRITEBYTECODE =
test-all: test test-vm ## run all tests, and those of containers once more in the virtual machine (hours)
	@$(ENVIRONMENT)/python -m pytest --in-machine tests/integration tests/security tests/faults

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
