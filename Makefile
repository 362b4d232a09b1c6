# Every target sets up what it needs: a virtual environment with pinned packages, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
EXTRAS := cpu,tensorrt-rtx,methods,dev
TABLES := paths published optimize budgets engines cpp dgate idp

.DEFAULT_GOAL := test
.PHONY: demo test bench engines browser cpp-tools cpp-packages lint types clean

demo: $(READY)
	$(BIN)/dyncompile demo

test: $(READY)
	$(BIN)/python -m pytest

bench: $(READY)
	for table in $(TABLES); do $(MAKE) bench-$$table || exit; done
	$(BIN)/python -m benchmarks.tables

bench-%: $(READY)
	$(BIN)/python -m benchmarks.$* --json benchmarks/results/$*.json

# Every network of the tables, and every marker for every chip, as a plan; no GPU is needed.
engines: bench-engines

# What the test of the report looks at it with, where it may be installed.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| command -v google-chrome-stable || command -v chrome \
	|| { test "$$(id -u)" = 0 && command -v apt-get && apt-get update --quiet \
	  && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends chromium; } \
	|| { echo 'There is no browser: install Chromium or Chrome, and try again.' >&2; exit 1; }

# What the C++ library is compiled and fuzzed with in tests, where it may be installed.
cpp-tools:
	@command -v g++ && echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' \
	  | clang++ -x c++ - -fsanitize=fuzzer,address,undefined -o /dev/null \
	|| { test "$$(id -u)" = 0 && command -v apt-get && apt-get update --quiet \
	  && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
	    clang g++ libclang-rt-dev; } \
	|| { echo 'There is no g++, or no clang++ with libFuzzer: install g++, clang and libclang-rt-dev, and try again.' >&2; exit 1; }

# Where the headers and libraries are that the C++ library is built with in tests; fetched once.
cpp-packages: $(READY)
	@$(BIN)/python -m tools.cpp_packages

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	find cpp -name '*.[ch]pp' -not -path '*/build/*' -exec $(BIN)/clang-format --dry-run --Werror {} +

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf .venv build out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# setuptools comes first and pinned, so that the build takes the environment as it is.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dyncompile needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --constraint constraints.txt --no-build-isolation --editable '.[$(EXTRAS)]'
	@touch $@
