# make lab     the course in JupyterLab          (ARGS="--update --no-browser --port 8899")
# make quick   lint, and the tests that take no time
# make test    every test, the notebooks included
#
# `make lab` opens a copy of the lessons, which git ignores. To change one: make lab ARGS=notebooks
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help lab quick quick-tests test lint unit engines engine-of-today days browser notebooks-test \
	notebooks-here notebooks-rootless notebooks-emulated kernels notebooks lock clean

help:
	@echo "make lab        open the course in JupyterLab (ARGS=... goes to overlaylab course)"
	@echo "make quick      lint, and run the tests that take no time"
	@echo "make test       run every test, the notebooks included"
	@echo "make engine-of-today  unpack Docker 28.5 or newer for make test, in build (90 MB; Debian)"
	@echo "make kernels    run tests and lessons on Debian's kernels, emulated (KERNELS=\"6.1 6.12\")"
	@echo "make notebooks  run the notebooks, write their outputs back, and renew the map"
	@echo "make lock       renew the versions in both locks"
	@echo "make clean      remove the environment"

$(INSTALLED): pyproject.toml requirements.lock share/jupyter/kernels/overlaylab/kernel.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "overlaylab needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

lab: $(INSTALLED)
	$(BIN)/overlaylab course $(ARGS)

quick: $(INSTALLED)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint quick-tests

quick-tests: $(INSTALLED)
	$(BIN)/pytest -q -m "not slow" --ignore=tests/engines --ignore=tests/browser

# Two at a time: most of these tests wait for something else.
test: lint
	@echo "two parts of the tests side by side; what each says comes when it has ended"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target days unit engines browser \
		notebooks-test

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

unit: $(INSTALLED)
	$(BIN)/pytest --ignore=tests/engines --ignore=tests/browser

engines: $(INSTALLED)
	$(BIN)/pytest tests/engines

# Without it the tests that compare with such an engine are skipped.
engine-of-today: $(INSTALLED)
	$(BIN)/python -m tests.engines.today

browser: $(INSTALLED)
	$(BIN)/pytest tests/browser --ignore=tests/browser/test_days.py

# Every lesson on its first day and its second.
days: $(INSTALLED)
	$(BIN)/pytest tests/browser/test_days.py

# As whoever runs this, in a user namespace, and where nothing can be mounted.
notebooks-test: notebooks-here notebooks-rootless notebooks-emulated

notebooks-here: $(INSTALLED)
	$(BIN)/pytest --nbval notebooks

notebooks-rootless: $(INSTALLED)
	JUPYTER_PATH=tests/jupyter $(BIN)/pytest --nbval --nbval-kernel-name overlaylab-rootless notebooks

notebooks-emulated: $(INSTALLED)
	OVERLAYLAB_BACKEND=emulated $(BIN)/pytest --nbval notebooks

# As root, for debootstrap; with QEMU and busybox-static. It takes an hour or more.
kernels: $(INSTALLED)
	$(BIN)/python -m tests.guests $(KERNELS) $(ARGS)

notebooks: $(INSTALLED)
	$(BIN)/python -m tests.course.execute_notebooks
	$(BIN)/python -m tests.course.course_map

# The second is what a container's image gets: the same versions, without the tests' packages.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate
lock: $(INSTALLED)
	$(LOCK) --extra test --upgrade --output-file requirements.lock pyproject.toml
	$(LOCK) --extra course --constraint requirements.lock --output-file requirements-course.lock \
		pyproject.toml

clean:
	rm -rf $(VENV)
