# Two commands, each alone: `make demo` ends in a verdict, `make test` runs every test. Both need Python 3.11+ and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OUT ?= demo
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes that the tests start would compile our modules again

.PHONY: demo test docs torture mutations lint clean

demo: $(STAMP)
	$(BIN)/edgewright run lenet5 --data digits --quick --out $(OUT)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 10 $(ARGS)

# The site of docs/, in build/docs; needs no network once it is installed. Warnings are errors.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/docs/index.html, or with search: $(BIN)/python -m http.server --directory build/docs"

# Faults in full, and all cases of which `make test` takes some; an hour or two on two cores. `make torture ARGS="--mutants
# 200"` for less.
torture: $(STAMP)
	$(BIN)/python benchmarks/torture.py $(ARGS)
	$(BIN)/python benchmarks/referees.py
	EDGEWRIGHT_SHAPES=all EDGEWRIGHT_JAX_CASES=all EDGEWRIGHT_GRAPHS=500 $(BIN)/python -m pytest -q \
		tests/prune/test_structured.py tests/prune/test_structured_groups.py tests/export/test_operators_jax.py \
		tests/export/test_random_graphs.py

# Does the suite notice? 47 faults, each put into a copy of the tree. `make mutations ARGS="--only softmax"` for some.
mutations: $(STAMP)
	$(BIN)/python benchmarks/mutations.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,jax]"
	touch $@

clean:
	rm -rf build dist *.egg-info
