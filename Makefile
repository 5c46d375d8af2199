# Needs make and Python ≥ 3.11 with its venv module; brings everything else itself.
#   make demo ARGS="photo.jpg"     make test ARGS="tests/unit -q"     make dev ARGS="--vendor manual"
UV_VERSION := 0.13.8
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
STAMP := .venv/.synced
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: soak bench bench-banks bench-moderation bench-fairness bench-imports help demo dev test chaos docs lint format bench-imaging bench-duplicates tools doctor clean sbom

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## Send sample files (or ARGS="FILE…") through the whole system
	@.venv/bin/mediagate demo $(ARGS)

dev: $(STAMP)  ## Run the whole local stack in the foreground
	@.venv/bin/mediagate dev $(ARGS)

test: lint tools  ## Lint, type check, import rules, all tests
	.venv/bin/python -m pytest -n auto --dist loadgroup $(ARGS)

chaos: tools  ## Only kills, cuts, full disks and the like; MEDIAGATE_CHAOS_SEED=… repeats a schedule, …_FILES=… sets the load
	.venv/bin/python -m pytest tests/chaos -rA --tb=native $(ARGS)

sbom: $(STAMP)  ## Write what a production install is made of to dist/mediagate.cdx.json (CycloneDX)
	@.venv/bin/python -m deploy.sbom $(ARGS)

soak: tools  ## Everything that can go wrong, again and again: half an hour for each of two storms, or SECONDS=…
	MEDIAGATE_CHAOS_SOAK=$(or $(SECONDS),1800) .venv/bin/python -m pytest tests/chaos/test_storm.py tests/chaos/test_care.py -rA --tb=native $(ARGS)

docs: $(STAMP)  ## Write the reference pages from the code
	.venv/bin/python -m docs.reference

lint: $(STAMP)  ## Style, types and import rules only
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: $(STAMP)  ## Bring the code into shape
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(STAMP)  ## The gate end to end: uploads per second, CPU by process, waits; against the same work without Temporal
	@$(UV) sync --locked --quiet --inexact --group bench
	.venv/bin/python -m bench.uploads $(ARGS)

bench-imaging: $(STAMP)  ## Pictures: this project against sharp, libvips and plain Pillow (sharp needs node and npm)
	@$(UV) sync --locked --quiet --inexact --group bench
	@if command -v npm >/dev/null 2>&1; then npm ci --silent --no-fund --no-audit --prefix bench/peers || \
		echo "npm ci failed: sharp is left out" >&2; fi
	.venv/bin/python -m bench.imaging $(ARGS)

bench-duplicates: $(STAMP)  ## Near duplicates among a million: times, recall and size of ways to find them
	.venv/bin/python -m bench.duplicates $(ARGS)

bench-moderation: $(STAMP)  ## A thousand uploads with a vendor that fails 30 % of its calls: decided by whom, how soon
	.venv/bin/python -m bench.moderation $(ARGS)

bench-fairness: $(STAMP)  ## What one library's import of 5,000 files costs another one's single upload
	.venv/bin/python -m bench.fairness $(ARGS)

bench-imports: $(STAMP)  ## An import of 5,000 objects, paused, resumed, its worker killed; single uploads beside it
	.venv/bin/python -m bench.imports $(ARGS)

bench-banks: $(STAMP)  ## Hash banks: times of a look-up, and of an import
	.venv/bin/python -m bench.banks $(ARGS)

tools: $(STAMP)  ## Build the Go programs of the stack now (about 4 minutes, once per version)
	@.venv/bin/python -m devstack.tools

doctor: $(STAMP)  ## Check this machine and the running stack
	@.venv/bin/mediagate doctor $(ARGS)

clean:  ## Stop the stack; remove its data, the environment and caches of this folder
	@if [ -x .venv/bin/mediagate ] && [ -d .mediagate ]; then .venv/bin/mediagate dev --stop && \
		.venv/bin/python -m devstack.discard .mediagate; fi
	rm -rf .venv .tools .mediagate .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A relative .tools/bin/uv is made here; a uv from PATH is an absolute path and already there.
.tools/bin/uv:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and was not found: install it, or make … PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): pyproject.toml uv.lock | $(UV)
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed and was not found: install it, or make … PYTHON=/path/to/python3" >&2; exit 1; }
	@$(UV) sync --locked --quiet --python $(PYTHON)
	@touch $@
