# Freshet. `make` lists the targets. DATASET=dir and FRESHET_HOME=dir reach every one that uses data.

UV ?= $(or $(shell command -v uv 2>/dev/null),.cache/uv/bin/uv)
BIN := .venv/bin
STAMP := .venv/.installed
NPM = PATH="$(abspath $(BIN)):$$PATH" npm --prefix frontend --silent
MODULES := frontend/node_modules/.package-lock.json
PAGE := frontend/dist/index.html

# uv has its own names for what pip is told by the environment
comma := ,
space := $(subst ,, )
UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
export UV_FIND_LINKS
ifdef PIP_INDEX_URL
UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
export UV_DEFAULT_INDEX
endif
ifdef DATASET
export DATASET
endif
ifdef FRESHET_HOME
export FRESHET_HOME
endif

.PHONY: help setup frontend tools demo demo-remote demo-lifecycle up down status trace load train rollback bench bench-quality bench-serving bench-serving-faults bench-faults bench-growth test test-page audit lint lint-code lint-page docs lock clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## install everything into .venv, when something has changed

frontend: $(PAGE) ## build the page; Node comes with `make setup`

TOOLS = chromium nginx prometheus promtool java

# tools whose package has another name
PACKAGES = s/promtool/prometheus/; s/nginx/nginx-light/; s/java/openjdk-17-jre-headless/

tools: ## what tests take from the machine: Chromium, nginx, Prometheus, Java; installed by apt-get where they are missing
	@missing=; for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	test -z "$$missing" || { \
		if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			$$(echo "$$missing" | sed '$(PACKAGES)') >/dev/null; \
	} || { echo "the tests need:$$missing; install them and try again" >&2; exit 1; }

demo: setup ## the whole loop on MovieLens-100K in a throw-away folder, told as tables
	@$(BIN)/python -m infra.demo

demo-remote: setup ## its visitors against the system that runs: here, or where FRESHET_INGEST_URL and FRESHET_RECOMMENDER_URL say
	@$(IN_STACK) $(BIN)/python -m infra.demo --against-running

demo-lifecycle: setup ## a model ages under load and is replaced, bad ones are stopped; a picture in .local/plots (12 minutes)
	@$(BIN)/python -m benchmarks.lifecycle.story --plots $(or $(FRESHET_HOME),.local)/plots

up: setup ## the same system and its page, kept in FRESHET_HOME (.local), until Ctrl-C
	@$(MAKE) --no-print-directory frontend || echo "the page could not be built; everything else starts without it" >&2
	@$(BIN)/python -m infra.local up

down: setup ## stop it from another shell
	@$(BIN)/python -m infra.local down

status: setup ## what runs, as a table
	@$(BIN)/python -m infra.local status

# The running stack's URLs, where there is one.
STACK = $(if $(FRESHET_HOME),$(FRESHET_HOME),.local)/env
IN_STACK = if [ -f $(STACK) ]; then . $(abspath $(STACK)); fi;

trace: setup ## one click through the running stack: what each part did of it, and when
	@$(IN_STACK) $(BIN)/python -m infra.follow $(USER_ID)

load: setup ## load DATASET (default: MovieLens-100K) into the running stack
	@$(IN_STACK) $(BIN)/python -m flows.load

train: setup ## train on the events of the running stack, and promote a better model
	@$(IN_STACK) $(BIN)/python -m flows.train

rollback: setup ## serve the model before again, at once; REASON=... stands on the version that is left
	@$(IN_STACK) $(BIN)/python -m bento.recommender.rollback "$(REASON)" || \
		{ [ $$? -eq 2 ] && $(BIN)/python -m flows.rollback --reason "$(or $(REASON),rolled back by hand)"; }

bench: setup ## measure everything but the peers' quality and bench-faults: docs/benchmarks.md (an hour and a half)
	@$(BIN)/python -m benchmarks.freshness
	@$(BIN)/python -m benchmarks.throughput
	@$(BIN)/python -m benchmarks.rebuild
	@$(BIN)/python -m benchmarks.quality
	@$(BIN)/python -m benchmarks.served_quality
	@$(BIN)/python -m benchmarks.serving.candidates
	@$(BIN)/python -m benchmarks.serving.index_recall
	@$(BIN)/python -m benchmarks.serving.item_matrix
	@$(MAKE) --no-print-directory bench-serving bench-serving-faults

bench-quality: setup ## quality of the product and of tuned peers on DATASET: tables; plots and JSON into FRESHET_HOME
	@$(BIN)/python -m benchmarks.quality --json $(or $(FRESHET_HOME),.local)/quality.json --plots $(or $(FRESHET_HOME),.local)/plots

SERVING = --homes $(or $(FRESHET_HOME),.local)/serving

bench-serving: setup ## the request path, HTTP beside the textbook's way, what BentoML costs (half an hour; first 45 minutes)
	@$(BIN)/python -m benchmarks.serving.request_path $(SERVING)
	@$(BIN)/python -m benchmarks.serving.http_load $(SERVING)
	@$(BIN)/python -m benchmarks.serving.bento_cost $(SERVING)

bench-serving-faults: setup ## Redis, broker, registry and feed fail under load, 20 s each: what users notice (six minutes)
	@$(BIN)/python -m benchmarks.serving.faults $(SERVING)

bench-faults: setup ## 100 SIGKILLs under load; every event accounted for (some ten minutes)
	@$(BIN)/python -m benchmarks.faults

bench-growth: setup ## cost, memory and latency against 10^3..10^6 users and 10^3..10^5 items, with bounds (40 minutes; goes on where it was stopped)
	@$(BIN)/python -m benchmarks.growth --json $(or $(FRESHET_HOME),.local)/growth.json --plot $(or $(FRESHET_HOME),.local)/plots/growth.png; \
		code=$$?; $(BIN)/python -m benchmarks.capacity --figures $(or $(FRESHET_HOME),.local)/growth.json && exit $$code

# Tests at a time, each with servers of its own; 0: one after the other. Two cores are too few for two: what has to be
# answered in time is not.
WORKERS ?= 0

test: tools $(PAGE) ## everything: lint, types, floors, then all tests, the page's too; WORKERS=4: four at a time
	@$(MAKE) --no-print-directory --output-sync --jobs=2 lint-code test-page
	@$(BIN)/python -m pytest -n $(WORKERS)

test-page: lint-page ## the page's own tests
	@$(NPM) test

audit: setup ## known holes in what the locks pin; says so where the feeds do not answer
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m infra.audit

lint: lint-code lint-page ## style, types, and the four floors

lint-code: setup ## style and types of Python, and its four floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint-page: $(MODULES) ## style and types of the page
	@$(NPM) run check

docs: setup ## write what code says of itself: .env.example, docs/openapi, docs/reference
	@$(BIN)/python -m infra.settings > .env.example.new && mv .env.example.new .env.example
	@$(BIN)/python -m bento.openapi
	@$(BIN)/python -m docs.reference

# Pins stay as they are unless pyproject.toml asks otherwise; `make lock UPGRADE=--upgrade` moves them.
# Torch is pinned without a build, and its CUDA libraries are left out: a CPU wheel satisfies the pin
# where one is found, else the index's build, which then brings its own libraries.
LEAN_TORCH = 's/^(torch==[0-9.]+)\+.*/\1/; /^(cuda-|nvidia-[cn]|triton==)/d'

lock: $(UV) ## write requirements.txt again from pyproject.toml
	@sed -i.old '/^torch==/d' requirements.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile pyproject.toml --extra dev --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-annotate --quiet $(UPGRADE) --output-file requirements.txt
	@sed -E -i.old $(LEAN_TORCH) requirements.txt && rm requirements.txt.old
	@for part in bento/ingest/requirements bento/recommender/requirements bento/console/requirements \
			infra/docker/requirements/stream infra/docker/requirements/flows; do \
		extra=$${part%/requirements}; \
		UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile pyproject.toml --extra $${extra##*/} --constraint requirements.txt \
			--python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
			--output-file $$part.txt || exit 1; \
		sed -E -i.old $(LEAN_TORCH) $$part.txt && rm $$part.txt.old; \
	done

clean: ## remove what was built and the state in .local, but not .venv (nor another FRESHET_HOME)
	@if [ -x $(BIN)/python ]; then env -u FRESHET_HOME $(BIN)/python -m infra.local down; fi
	rm -rf .local dist frontend/dist frontend/src/api/schema .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.cache/uv/bin/uv:
	@python3 -m pip install --quiet --root-user-action=ignore --target .cache/uv uv || \
		{ rm -rf .cache/uv; echo "make setup needs uv, and pip could not install it: install uv yourself and try again" >&2; exit 1; }

# `install`, not `sync`: what a developer has added stays
$(STAMP): requirements.txt requirements-data.txt pyproject.toml | $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --no-python-downloads --python 3.11 .venv 2>/dev/null || \
		$(UV) venv --quiet --python '>=3.11,<3.13' .venv
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -r requirements-data.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(MODULES): frontend/package.json frontend/package-lock.json | $(STAMP)
	$(NPM) ci
	@touch $@

$(PAGE): $(MODULES) frontend/index.html frontend/vite.config.ts $(wildcard docs/openapi/*.json) \
		$(shell find frontend/src frontend/public -type f ! -name '*.test.ts*' ! -path '*/schema/*')
	$(NPM) run build
	@touch $@
