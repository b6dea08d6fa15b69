# `make help` lists what this can do. Nothing is needed but Python 3.13 and make: uv, which
# installs the rest into this folder, is fetched into .uv/ when it is not on PATH.

UV_VERSION := 0.13.8
UV := $(or $(shell command -v uv),.uv/bin/uv)

PYTHON := .venv/bin/python
CODE := hooks local_extensions.py scripts tests
PROJECT := {{cookiecutter.project_slug}}

# What bakes are tested with: shared by all of them, installed once.
BAKES_PYTHON := .cache/venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help install install-bakes test test-docker demo bake lint format lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: install install-bakes  ## Run the template's tests; PYTEST_ARGS="-k hooks" runs some
	$(PYTHON) -m pytest --numprocesses=2 --dist=worksteal $(PYTEST_ARGS)

test-docker: install  ## Run a bake in containers, break and replace them; needs Docker
	$(PYTHON) -m pytest -m docker --capture=no --verbose tests/test_docker.py $(PYTEST_ARGS)

demo: install  ## Bake, install, start, import a report and stop; REPORT=path imports yours
	$(PYTHON) scripts/demo.py $(if $(REPORT),--report "$(REPORT)")

bake: install  ## Bake into var/bake/; OPTIONS="include_samples=no" chooses
	rm -rf var/bake
	$(PYTHON) -m cookiecutter --no-input --output-dir var/bake . $(OPTIONS)

lint: install  ## Check the template's own code: black, isort, mypy
	$(PYTHON) -m black --check --quiet $(CODE)
	$(PYTHON) -m isort --check $(CODE)
	$(PYTHON) -m mypy $(CODE)

format: install  ## Format the template's own code
	$(PYTHON) -m isort $(CODE)
	$(PYTHON) -m black --quiet $(CODE)

lock: install  ## Pin all dependencies anew; UPGRADE=1 takes the newest ones allowed
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.13 --group dev --output-file requirements.txt \
		$(if $(UPGRADE),--upgrade)
	$(PYTHON) scripts/lock.py $(if $(UPGRADE),--upgrade)

clean:  ## Remove everything that was installed or written here
	rm -rf .venv .uv .cache .mypy_cache .pytest_cache var

install: | $(UV)
	@$(UV) venv --quiet --allow-existing .venv
	@$(UV) pip sync --quiet --require-hashes --python $(PYTHON) requirements.txt

install-bakes: | $(UV)
	@$(UV) venv --quiet --allow-existing .cache/venv
	@$(UV) pip sync --quiet --require-hashes --python $(BAKES_PYTHON) \
		"$(PROJECT)/options/include_samples=yes/requirements-dev.txt"

.uv/bin/uv:
	python3.13 -m venv .uv
	.uv/bin/pip install --quiet uv==$(UV_VERSION)
