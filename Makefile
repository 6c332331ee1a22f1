# `make demo` shows what the template makes; `make test` proves it.
PYTHON ?= python3
TYPE ?= text-classification
BIN := build/venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PYTEST = $(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
# A stranger's folder may have any name: neither make nor the shell expands what is in it.
unexport PROJECT
review migrate: export FOLDER := $(value PROJECT)
.PHONY: help demo test test-fast test-nightly lint docs locks review migrate figures clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

build/venv/%.installed: %.txt
	@$(PYTHON) -m venv build/venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(PYTHON) -c "open('$@', 'w')"

build/venv/requirements-test.installed: requirements.txt requirements-docs.txt requirements-tools.txt pyproject.toml
build/venv/requirements-docs.installed: requirements.txt
build/venv/requirements-tools.installed: pyproject.toml

demo: build/venv/requirements.installed  ## from the prompts to a served answer: make demo TYPE=...
	@$(BIN)/python scripts/demo.py $(TYPE)

# What `make demo` needs is there before tests run it, twice at a time.
test: build/venv/requirements.installed build/venv/requirements-test.installed  ## every test but the nightly ones
	@$(PYTEST) -m "not nightly" $(ARGS)

test-fast: build/venv/requirements-test.installed  ## the tests that neither train nor install
	@$(PYTEST) -m "not slow and not nightly" $(ARGS)

test-nightly: build/venv/requirements.installed build/venv/requirements-test.installed  ## the nightly tests, and all examples of answers
	@$(PYTEST) -m nightly $(ARGS)
	@HYPOTHESIS_PROFILE=nightly $(PYTEST) tests/test_any_answers.py

lint: build/venv/requirements-test.installed  ## style and prose, of the template and of generated projects
	@$(BIN)/ruff check --config pyproject.toml .
	@$(BIN)/ruff format --config pyproject.toml --check .
	@$(BIN)/python scripts/prose.py

docs: build/venv/requirements-docs.installed  ## the site, into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

locks: build/venv/requirements.installed  ## locks what each type's projects install; ARGS=--upgrade takes newer versions
	@$(BIN)/python scripts/locks.py $(ARGS)

review: build/venv/requirements-tools.installed  ## what a reviewer looks for in a project: make review PROJECT=...
	@$(BIN)/portfolio-review "$$FOLDER"

migrate: build/venv/requirements-tools.installed  ## brings a project of version 0.1 to today's shape: make migrate PROJECT=...
	@$(BIN)/portfolio-migrate "$$FOLDER"

figures: build/venv/requirements.installed  ## measures projects; with TYPE=... a demo's promises; RUN=1 times the tests
	@$(BIN)/python scripts/figures.py $(if $(filter file,$(origin TYPE)),,$(TYPE))

clean:  ## remove build/
	@$(PYTHON) -c "import shutil; shutil.rmtree('build', True)"
