# make demo and make test set themselves up on a fresh Debian-like machine with Python >= 3.10.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
.PHONY: demo test lint type bench clean
.DEFAULT_GOAL := demo

# The exact version lets pip take a CPU build of it where one is at hand (see CONTRIBUTING.md).
$(VENV)/installed: pyproject.toml scripts/install
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH="$(TORCH)" scripts/install
	touch $@

demo: $(VENV)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -q

lint: $(VENV)/installed
	$(BIN)/ruff check .

type: $(VENV)/installed
	$(BIN)/mypy -p edge_iqa

bench: $(VENV)/installed
	$(BIN)/edge-iqa bench --device cpu --mode normal --json bench.json --html bench.html

clean:
	rm -rf $(VENV) build *.egg-info demo-out
