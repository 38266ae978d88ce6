# Everything goes through a virtual environment of its own; the first target that needs it makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# lxml and xmlsec must share one libxml2, which only their wheels do.
WHEELS := --require-hashes --only-binary lxml,xmlsec
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed
# Engines that stand in front of a platform and that the distribution has not, in an environment of their own.
ENGINES := tests/real/servers/engines/.venv

.PHONY: demo test long fuzz lint format reference bench engines lock clean

demo: $(INSTALLED)
	$(BIN)/kombo-bridge demo

test: $(DEVELOPED)
	$(BIN)/python -m pytest -n auto --dist loadfile

long: $(DEVELOPED)
	$(BIN)/python -m pytest -m long

# Broken messages in numbers; `make fuzz EXAMPLES=1000000` for a night of it.
EXAMPLES ?= 20000
fuzz: $(DEVELOPED)
	BRIDGE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n auto tests/fuzz

lint: $(DEVELOPED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEVELOPED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# docs/settings.md and config/schema, from the types of the settings.
reference: $(INSTALLED)
	$(BIN)/python -m bridge.settings.reference

# Without Envoy its line stays empty.
bench: $(DEVELOPED)
	-$(MAKE) --silent engines
	$(BIN)/python -m bench.forwarding
	$(BIN)/python -m bench.saml
	$(BIN)/python -m bench.tenants
	$(BIN)/python -m bench.directory

engines: $(ENGINES)/.installed

# Locked for every platform and Python that the project supports; hashes only, so any index may serve the files.
lock: $(DEVELOPED)
	$(COMPILE) --extra postgresql pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --group build -o requirements/build.txt
	$(COMPILE) --extra postgresql --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --group pysaml2 -o requirements/pysaml2.txt
	$(COMPILE) --group kombo-sdk -o requirements/kombo-sdk.txt
	$(COMPILE) --group engines -o requirements/engines.txt

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install $(WHEELS) -r requirements/runtime.txt -r requirements/build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(ENGINES)/.installed: requirements/engines.txt
	test -x $(ENGINES)/bin/python || $(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

$(DEVELOPED): requirements/dev.txt $(INSTALLED)
	$(PIP) install $(WHEELS) -r requirements/dev.txt
	touch $@
