# From a bare machine with Python 3.11, `make demo` and `make test` install what they need into .venv and run.

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: demo test lint slow clean

demo: .venv/.demo
	$(BIN)/fallline choose examples/data/california_housing.csv.gz --target median_house_value --metric mae

test: lint
	$(BIN)/pytest

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

slow: .venv/.dev
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests examples benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The two stamps are older than pyproject.toml or constraints.txt exactly when something must be installed again.
# Building in the same environment keeps the build tool pinned too. What `test` installs includes what `demo` needs.
.venv/.demo: extras :=
.venv/.dev: extras := [dev]
.venv/.demo .venv/.dev: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Fallline needs Python 3.11 or newer; none found. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into .venv; the first time takes a few minutes."
	@$(PYTHON) -m venv .venv
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable ".$(extras)"
	@touch .venv/.demo $@
