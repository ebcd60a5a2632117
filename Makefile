# Two commands matter: `make book` and `make test`. Both make the environment first; a second call finds it ready.
SHELL  := /bin/bash
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
FRESH  := _build/.fresh
BUILT  := _build/.built
CODE   := $(shell find helpers -type f -not -path '*/__pycache__/*')
JOBS   ?= logical
VIEWS  := $(shell find helpers book/_static -name '*.js' -o -name '*.css')
PAGES  := _config.yml _toc.yml README.md CHANGELOG.md CITATION.cff $(shell find book labs -type f -not -name '*.ipynb')

# One thread a process: the models are small, and the tests compare bit for bit. Labs run one after the other, on up to 4.
export OMP_NUM_THREADS ?= 1
$(BUILT): export OMP_NUM_THREADS := $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); echo $$((n < 4 ? n : 4)))
# Threads that wait sleep; threads that spin take the cores from each other wherever the machine has other work.
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHONHASHSEED ?= 0
export HF_HUB_OFFLINE ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1
export WANDB_MODE := disabled
export MPLBACKEND := agg

.PHONY: help setup book test quick lint format notebooks lock serve clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

setup: $(STAMP)  ## make the environment in .venv (or $VENV) from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "expected Python 3.11 or newer; got $$($(PYTHON) --version)"; echo "  try: make setup PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "expected 'python3 -m venv' to work"; echo "  try: install your system's python3-venv package"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(BUILT)  ## execute every lab and build the book into _build/html
	@echo "open _build/html/index.html, or run: make serve"

# The results of a lab depend on the helpers as well as on its own cells, which is all that the execution cache knows of.
$(FRESH): $(CODE) requirements.lock
	rm -rf _build/.jupyter_cache _build/.doctrees _build/html
	@mkdir -p $(@D) && touch $@

$(BUILT): $(STAMP) $(FRESH) $(PAGES)
	$(BIN)/jupyter-book build --warningiserror --nitpick --keep-going .
	@touch $@

test: setup  ## run the test suite, on all cores (PYTEST="tests/zoo -x" runs a part, JOBS=2 on two)
	$(BIN)/python -m pytest --numprocesses $(JOBS) $(PYTEST)

quick: setup  ## the tests that matter while writing: under two minutes on two cores
	$(BIN)/python -m pytest --numprocesses $(JOBS) -m "not slow and not long and not browser and not book" $(PYTEST)

# The linters of the views' scripts have no wheel for every machine; continuous integration has them.
lint: setup  ## style, format and types, without changing a file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	@if test -x $(BIN)/oxlint; then $(BIN)/oxlint helpers && $(BIN)/oxfmt --check $(VIEWS); fi

format: setup  ## mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if test -x $(BIN)/oxfmt; then $(BIN)/oxfmt $(VIEWS); fi

notebooks: setup  ## student notebooks and tables anew, from the lab sources
	$(BIN)/python -m helpers notebooks
	$(BIN)/python -m helpers pages

lock:  ## resolve requirements.lock anew: newest versions that fit, with torch and transformer-lens held
	rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	printf 'transformer-lens<4\ntorch==2.13.0\nsoupsieve==2.7\n' > _build/lock/held.txt
	_build/lock/bin/python -m pip install --quiet --constraint _build/lock/held.txt '.[book,sae,scale,dev]'
	@sed -n '/^#/p' requirements.lock > _build/lock/new
	@_build/lock/bin/python -m pip freeze --all | sed -E '/^(pip|trustworthy-circuits)[ =]/d; s/[+]cpu$$//; /^(nvidia|cuda|triton)/d' \
	  | sort -f >> _build/lock/new && mv _build/lock/new requirements.lock

serve: setup  ## show the built book at a local address
	$(BIN)/python -m helpers serve

clean:  ## remove what was built, the results of the labs included
	rm -rf _build
