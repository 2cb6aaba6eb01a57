# Every command a person needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-dev shell run demo up down test test-slow test-browser screenshots test-unit test-contract dst dst-ablations chaos chaos-quick fuzz fuzz-code fuzz-quick turns client-ts clients-test schemathesis check format measure docs recording kafka-lock mutants bench bench-quick bench-against capacity bench-replay bench-seals bench-processing clean bench-gateway bench-turn bench-streams bench-memory image image-test audit-locks licences drill security-test bench-console upgrade-test history

# The folder of the environment, and the Python it is made with (3.11 or newer; by default one that is found).
VENV ?= .venv
PYTHON ?=
REF ?=
BASE ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
PYTEST_ARGS ?=
BENCH_ARGS ?=
AUDIT_ARGS ?=
CHAOS_ARGS ?=
FUZZ_ARGS ?=
MUTANTS_ARGS ?=
MINUTES ?= 10
SECONDS ?= 60
SAMPLE ?= 0
SEED ?= 1
ONLY ?=
TURNS_ARGS ?=
UPGRADE_ARGS ?=
FROM ?=
VERSION ?=
N ?=
REF ?=

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## create the environment: what running needs, by locked hashes
	@echo "$(VENV) is ready. \`endocrine\` is on the path after  make shell  or  export PATH=\"$(abspath $(BIN)):\$$PATH\""

install-dev: $(VENV)/.dev ## the same, and what tests and checks need
	@echo "$(VENV) is ready for tests and checks"

# The person's own shell: make's variable of that name is another one, which recipes do not see.
shell: $(VENV)/.runtime ## a shell in which `endocrine` is on the path; `exit` leaves it
	@echo "$$($(BIN)/endocrine --version): \`endocrine --help\` lists the commands, \`exit\` leaves this shell"
	@PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV="$(abspath $(VENV))" exec "$${SHELL:-/bin/sh}"

run: $(VENV)/.runtime ## Kafka, Valkey, topics, worker, bundled scenario and live view, in one; Ctrl-C ends it
	@exec $(BIN)/endocrine run

demo: $(VENV)/.runtime ## the same on a finite scenario, with a summary at the end
	@exec $(BIN)/endocrine demo

up: $(VENV)/.runtime ## Kafka and Valkey alone, on this folder; they stay until `make down`
	@$(BIN)/endocrine up

down: $(VENV)/.runtime ## end them; their data stays
	@$(BIN)/endocrine down

test: $(VENV)/.dev ## the whole test suite, nothing else needed; one Kafka is started for it
	@$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-slow: $(VENV)/.dev ## what takes long: kills, floods, demos (CI runs it, too)
	@$(BIN)/pytest -m slow -n 2 --dist loadfile $(PYTEST_ARGS)

test-browser: $(VENV)/.dev ## the console in Debian's Chromium (part of test-slow)
	@$(BIN)/pytest tests/browser -m slow $(PYTEST_ARGS)

screenshots: $(VENV)/.dev ## pictures of the console's pages on the demo's scenario, in docs/pictures
	@mkdir -p docs/pictures
	@ENDOCRINE_TEST_PICTURES=$(CURDIR)/docs/pictures $(BIN)/pytest tests/browser/test_pictures.py -m slow $(PYTEST_ARGS)

security-test: $(VENV)/.dev ## a Kafka with TLS, SASL and an authorizer: roles with exactly their ACLs, each missing one named, then the contract suite (a quarter of an hour)
	@$(BIN)/pytest tests/security -m slow $(PYTEST_ARGS)
	@$(BIN)/pytest -p secured_suite tests/contract -m "not slow and not node" -n 2 --dist loadfile $(PYTEST_ARGS)

test-unit: $(VENV)/.dev ## the tests without I/O
	@$(BIN)/pytest tests/unit $(PYTEST_ARGS)

test-contract: $(VENV)/.dev ## the contract suite on a Kafka of its own
	@$(BIN)/pytest tests/contract -n 3 --dist loadfile $(PYTEST_ARGS)

.PHONY: properties
properties: $(VENV)/.dev ## the property tests with all their examples; `make test` tries a quarter of them (a minute; CI runs it)
	@$(BIN)/pytest tests/unit -m hypothesis --hypothesis-profile thorough -n 2 --dist loadfile $(PYTEST_ARGS)

client-ts: ## build and test the TypeScript client (Node 20 or newer)
	@cd clients/typescript && npm ci --silent --no-audit --no-fund && npm test

dst: $(VENV)/.runtime ## deterministic simulation of the runtime: N schedules (default 10000) on all cores
	@PYTHONPATH=tests/support $(BIN)/python -m simbroker $(N)

dst-ablations: $(VENV)/.runtime ## the same with each part of the protocol taken away in turn (N schedules each): all must fail
	@PYTHONPATH=tests/support $(BIN)/python -m simbroker --ablations $(N)

chaos: $(VENV)/.runtime ## 100 faults on 3 workers, a tool connector and Kafka while 100,000 inputs come in, then every record proved (15 min)
	@exec $(BIN)/python tests/chaos/main.py $(CHAOS_ARGS)

chaos-quick: $(VENV)/.runtime ## the same with 15 faults and 8,000 inputs, under two minutes
	@exec $(BIN)/python tests/chaos/main.py --quick $(CHAOS_ARGS)

fuzz: $(VENV)/.runtime ## hostile records against a worker on Kafka for MINUTES (default 10), an ordinary turn after each hundred
	@exec $(BIN)/python tests/fuzz/main.py --minutes $(MINUTES) $(FUZZ_ARGS)

fuzz-quick: $(VENV)/.runtime ## the same for ten seconds
	@exec $(BIN)/python tests/fuzz/main.py --quick $(FUZZ_ARGS)

fuzz-code: $(VENV)/.fuzz ## coverage-guided fuzzing of what reads strangers' bytes, SECONDS (default 60) for each reader
	@exec $(BIN)/python tests/fuzz/targets.py --seconds $(SECONDS) $(FUZZ_ARGS)

mutants: $(VENV)/.mutants ## mutation score of agents/ and pipeline/core: SAMPLE=400 MINUTES=40 SEED=1 ONLY=agents/gating; without SAMPLE all, in hours
	@exec nice $(BIN)/python tests/mutants/main.py --sample $(SAMPLE) --seed $(SEED) --only "$(ONLY)" \
		$(if $(filter command line,$(origin MINUTES)),--minutes $(MINUTES)) $(MUTANTS_ARGS)

schemathesis: $(VENV)/.schemathesis ## the gateway's own OpenAPI document against it for MINUTES (default 10), by schemathesis
	@PYTHONPATH=tests/support $(BIN)/python tests/schemathesis/main.py $(VENV)/schemathesis/bin/schemathesis --seconds $$((60 * $(MINUTES))) $(FUZZ_ARGS)

turns: $(VENV)/.runtime ## 200 turns at once with a slow model: none lost, and what other decisions wait (under a minute)
	@exec $(BIN)/python tests/load/turns.py $(TURNS_ARGS)

clients-test: $(VENV)/.clients tests/clients/node/node_modules/.package-lock.json ## official clients and frameworks (Node 20 too) on the OpenAI-compatible endpoint
	@PYTHONPATH=tests/support $(BIN)/python tests/clients/try_all.py $(VENV)/clients/bin/python

drill: $(VENV)/.dev ## everything lost (the whole data folder), restored from a backup, gone on from there, proved (a minute)
	@exec $(BIN)/python tests/drill/main.py

upgrade-test: $(VENV)/.dev ## three workers of FROM (default HEAD~1) restarted one by one as this checkout's under load, then all proved (three minutes)
	@PYTHONPATH=.:tests/support:tests/chaos:tests/upgrade $(BIN)/python tests/upgrade/main.py --from "$(or $(FROM),HEAD~1)" $(UPGRADE_ARGS)

history: $(VENV)/.dev ## at a release: VERSION=0.2.0 records a small history of it into tests/data/histories (FROM: of another commit)
	@test -n "$(VERSION)" || { echo "error: of which release? make history VERSION=0.2.0" >&2; exit 2; }
	@PYTHONPATH=.:tests/support:tests/chaos:tests/upgrade $(BIN)/python tests/upgrade/record.py "$(VERSION)" --from "$(FROM)" $(UPGRADE_ARGS)

.PHONY: redteam
redteam: $(VENV)/.dev ## attacks of config/redteam.yaml on the product, with a model that obeys the attacker: no promise may break (three minutes)
	@exec $(BIN)/python tests/redteam/main.py

.PHONY: alerts-test
alerts-test: $(VENV)/.dev ## the alerting example: from a worker through Prometheus and Alertmanager to a webhook (Debian's packages of both; ten minutes)
	@exec $(BIN)/python tests/alerts/main.py

check: $(VENV)/.dev ## lint, format, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p endocrine -p simbroker -p reference -p bench
	$(BIN)/mypy --python-version 3.10 clients/python/src
	$(BIN)/pytest tests/unit/layout

format: $(VENV)/.dev ## write the code as the formatter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

measure: $(VENV)/.dev ## precision and recall of moderation and redaction over the corpora, into docs/
	@PYTHONPATH=. $(BIN)/python tests/support/measure.py

kafka-lock: $(VENV)/.runtime ## write the lock file of Kafka's jars from pipeline/local/pom.xml (Maven)
	@$(BIN)/python -m endocrine.pipeline.local.lock_jars

image: ## build the container image and its bill of materials (buildah, as root; BASE=IMAGE names another base; two minutes)
	@BASE="$(BASE)" docker/build.sh

image-test: $(VENV)/.dev image ## the same, then run it: read-only, not root, its worker deciding a turn on a real Kafka
	@ENDOCRINE_IMAGE=localhost/endocrine:latest $(BIN)/pytest tests/image $(PYTEST_ARGS)

audit-locks: $(VENV)/.runtime ## what the package index says of every locked release: yanked, gone, other hashes, known vulnerabilities (AUDIT_ARGS=--without-advisories where it serves none)
	@PYTHONPATH=tests/support $(BIN)/python -m lock_audit $(AUDIT_ARGS)

licences: $(VENV)/.dev ## write docs/licences.md from what is installed and locked
	@PYTHONPATH=tests/support $(BIN)/python -m licences

docs: $(VENV)/.runtime ## write the pages that are made from code: docs/reference, tables of docs/signals.md
	@PYTHONPATH=tests/support $(BIN)/python -m reference

.PHONY: book
book: $(VENV)/.book ## the docs as a book, in build/book: built strictly, every link and anchor checked (half a minute)
	@NO_MKDOCS_2_WARNING=1 $(VENV)/book/bin/mkdocs build --strict
	@echo "open build/book/index.html"

recording: $(VENV)/.runtime ## draw the live view of the bundled story into docs/recording.svg
	@PYTHONPATH=tests/support $(BIN)/python -m reference.recording

bench: $(VENV)/.bench ## measure beside an ideal writer, a bare loop, Quix Streams and Faust (70 minutes; BENCH_ARGS="--only hot,cold")
	@$(VENV)/bench/bin/python -m bench $(BENCH_ARGS)

bench-quick: $(VENV)/.bench ## the same for throughput alone, each once; fails on a tenfold loss only (two minutes)
	@$(VENV)/bench/bin/python -m bench --quick $(BENCH_ARGS)

bench-against: $(VENV)/.bench ## REF=<git ref>: old beside new, in turns, on one Kafka; fails where something is worse (ten minutes)
	@test -n "$(REF)" || { echo "error: which old one? make bench-against REF=main" >&2; exit 2; }
	@$(VENV)/bench/bin/python -m bench.against "$(REF)" $(BENCH_ARGS)

bench-seals: $(VENV)/.runtime ## what seals cost, as a ratio in one run, with no broker (a minute)
	@$(BIN)/python -m bench.seals $(BENCH_ARGS)

bench-processing: $(VENV)/.runtime ## what a record costs a processor, with no broker; BENCH_ARGS="--against CHECKOUT" beside another checkout (a minute)
	@$(BIN)/python -m bench.processing $(BENCH_ARGS)

bench-gateway: $(VENV)/.runtime $(VENV)/.litellm ## what the gateway costs, beside a bare Starlette app and a LiteLLM proxy, at 50, 200 and 300 requests a second (four minutes)
	@$(BIN)/python -m bench.gateway $(BENCH_ARGS)

bench-turn: $(VENV)/.runtime ## what a turn costs: processor time by process, requests, batches; BENCH_ARGS="--against CHECKOUT" beside another checkout (two minutes)
	@$(BIN)/python -m bench.turn_cost $(BENCH_ARGS)

bench-console: $(VENV)/.runtime ## pages of the console with 100,000 identities and a million records behind them, by the server's own time (four minutes)
	@$(BIN)/python -m bench.console $(BENCH_ARGS)

bench-streams: $(VENV)/.runtime ## 10,000 open streams on one gateway: memory of each, and that each gets an event (two minutes)
	@$(BIN)/python -m bench.streams $(BENCH_ARGS)

capacity: $(VENV)/.runtime ## docs/capacity.md: what so many events need, from the figures that `make bench` left in bench/capacity.json
	@$(BIN)/python -m bench.capacity

bench-replay: $(VENV)/.runtime ## how fast replay proves, on one core, with no broker (a minute)
	@$(BIN)/python -m bench.replay $(BENCH_ARGS)

bench-memory: $(VENV)/.runtime ## what 100,000 memories cost: turns, context packs, recovery, replay, with no broker (three minutes)
	@$(BIN)/python -m bench.memory $(BENCH_ARGS)

clean: ## remove what was generated: environment and caches (not the data in .endocrine, nor ~/.cache/endocrine)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: instant when nothing changed, again when a lock or the project's metadata did. Everything comes by hash, the build
# tool included, so the project itself is installed without build isolation (which would fetch one without a hash).
$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/.made
	@echo "installing into $(VENV) (about half a minute the first time) ..."
	@$(PIP) install --require-hashes -r requirements-build.lock
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock clients/python/pyproject.toml $(VENV)/.runtime
	@echo "installing the tools for tests and checks into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e clients/python
	@touch $@

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.runtime
	@echo "installing the fuzzer into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-fuzz.lock
	@touch $@

$(VENV)/.mutants: requirements-mutants.lock $(VENV)/.dev
	@echo "installing the mutation tool into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-mutants.lock
	@touch $@

# An environment of its own: it brings a Hypothesis of its own choice.
$(VENV)/.schemathesis: requirements-schemathesis.lock $(VENV)/.dev
	@echo "installing schemathesis into $(VENV)/schemathesis ..."
	@$(BIN)/python -m venv $(VENV)/schemathesis
	@$(VENV)/schemathesis/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $<
	@touch $@

# An environment of its own: LangChain asks for other versions than requirements-dev.lock has.
$(VENV)/.clients: tests/clients/python/requirements.lock $(VENV)/.dev
	@echo "installing the clients that are tried into $(VENV)/clients ..."
	@$(BIN)/python -m venv $(VENV)/clients
	@$(VENV)/clients/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $<
	@touch $@

tests/clients/node/node_modules/.package-lock.json: tests/clients/node/package-lock.json
	@cd tests/clients/node && npm ci --no-audit --no-fund --loglevel error
	@touch $@

# An environment of its own: nothing of ours needs it.
$(VENV)/.book: requirements-docs.lock | $(VENV)/.made
	@echo "installing what makes the book into $(VENV)/book ..."
	@$(BIN)/python -m venv $(VENV)/book
	@$(VENV)/book/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $<
	@touch $@

# An environment of its own: Quix Streams asks for an older pydantic than requirements.lock has.
$(VENV)/.bench: requirements-bench.lock requirements-build.lock pyproject.toml | $(VENV)/.made
	@echo "installing what the benchmark compares with into $(VENV)/bench ..."
	@$(BIN)/python -m venv $(VENV)/bench
	@for lock in requirements-build.lock requirements-bench.lock; do \
		$(VENV)/bench/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $$lock; \
	done
	@$(VENV)/bench/bin/python -m pip --disable-pip-version-check --no-input -q install --no-deps --no-build-isolation -e .
	@touch $@

# An environment of its own: the proxy that the gateway is compared with, and not the part of it that has another licence than MIT.
$(VENV)/.litellm: requirements-litellm.lock | $(VENV)/.made
	@echo "installing the LiteLLM proxy into $(VENV)/litellm ..."
	@$(BIN)/python -m venv $(VENV)/litellm
	@$(VENV)/litellm/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $<
	@touch $@

$(VENV)/.made:
	@usable() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
		if usable "$$python"; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo "error: Python 3.11 or newer is needed; $(if $(PYTHON),$(PYTHON) is not,none was found). Install one, or: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; \
	fi; \
	"$$found" -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "error: $$found cannot create an environment (Debian: apt-get install python3-venv)" >&2; exit 1; \
	}
	@touch $@
