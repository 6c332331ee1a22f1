# `make demo` shows what the template makes; `make test` proves it.
PYTHON ?= python3
TYPE ?= text-classification
BIN := build/venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint docs review figures clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

build/venv/%.installed: %.txt
	@$(PYTHON) -m venv build/venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@$(PYTHON) -c "open('$@', 'w')"

build/venv/requirements-test.installed: requirements.txt requirements-docs.txt requirements-review.txt
build/venv/requirements-docs.installed build/venv/requirements-review.installed: requirements.txt

demo: build/venv/requirements.installed  ## from the prompts to a served answer: make demo TYPE=...
	@$(BIN)/python scripts/demo.py $(TYPE)

# What `make demo` needs is there before tests run it, twice at a time.
test: build/venv/requirements.installed build/venv/requirements-test.installed  ## every test, the generated projects' own among them
	@$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder $(ARGS)

test-fast: build/venv/requirements-test.installed  ## the tests that neither train nor install
	@$(BIN)/python -m pytest -m "not slow" $(ARGS)

lint: build/venv/requirements-test.installed  ## style of the template and of the code in it
	@$(BIN)/ruff check --config pyproject.toml .
	@$(BIN)/ruff format --config pyproject.toml --check .

docs: build/venv/requirements-docs.installed  ## the site, into build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

review: build/venv/requirements-review.installed  ## what a reviewer looks for in a project: make review PROJECT=...
	@$(BIN)/python scripts/review.py "$(PROJECT)"

figures: build/venv/requirements.installed  ## what was promised, measured (after make demo)
	@$(BIN)/python scripts/figures.py $(TYPE)

clean:  ## remove build/
	@$(PYTHON) -c "import shutil; shutil.rmtree('build', True)"
