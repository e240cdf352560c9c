# `make` alone lists what there is. Everything is made in ignored folders of this one.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

node := node_modules/.bin/node
node_test := $(node) --test --test-timeout=300000
wasm := cargo run --quiet --locked --manifest-path tools/wasm/Cargo.toml --
target := $(or $(CARGO_TARGET_DIR),target)
crash := cargo run --quiet --locked --manifest-path tests/crash/Cargo.toml --target-dir $(target)/crash --
# The code that decides.
decisive := src/**
export CLAVIGER_BIN ?= $(abspath $(target)/debug/claviger)

# A line that tells the steps apart in a long log.
heading = @printf '\n== %s\n' '$(1)'

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-13s %s\n' "$$name" "$$text"; done

.PHONY: dev
dev: announce tools node_modules/.package-lock.json cli ## everything on this machine, for trying it out
	@$(wasm) --quick --out build-dev
	@exec $(node) tools/dev/dev.mjs

.PHONY: run
run: ## serve on the bare runtime: PORT, STATE and the variables of docs/variables.md
	@$(MAKE) build >&2
	@exec tools/run

.PHONY: build
build: tools node_modules/.package-lock.json ## compile to build/
	@$(wasm) --out build

.PHONY: test
test: format lint unit live sdk crash crash-controls browser examples deploy-check ## everything that the continuous integration checks

.PHONY: deploy-check
deploy-check: build ## what a deployment would upload, and whether it is small enough
	$(call heading,deploy-check: a dry run and the sizes)
	@tools/deploy-check

.PHONY: bench
bench: build cli bench/node_modules/.package-lock.json ## measure against hand-written workers: ROUNDS, SECONDS, CASES, MERGE, QUICK
	@$(node) bench/run.mjs

.PHONY: bench-before
bench-before: build cli bench/node_modules/.package-lock.json ## this build against the one before it, on the paths of every call: ROUNDS, SECONDS, CASES, QUICK
	@$(node) bench/before.mjs

.PHONY: fuzz
fuzz: tools ## any bytes into every parser: FUZZ_SECONDS for each of TARGETS; KEEP=1 adds to the corpus
	@tools/need cargo-fuzz c++
	@tools/fuzz

.PHONY: mutants
mutants: tools ## a mistake in every line that decides, to see which no test notices: FILES, TESTS, or all for hours
	@tools/need cargo-mutants
	@cargo mutants $(patsubst %,--file='%',$(or $(FILES),$(decisive))) $(addprefix --cargo-arg=--test=,$(TESTS))

.PHONY: deny
deny: tools ## licences, duplicates and sources of every package, by cargo-deny; CHECKS=advisories, which fetches their list
	@tools/need cargo-deny
	@for manifest in {.,fuzz,tests/crash,tools/wasm}/Cargo.toml; do echo "$$manifest:"; cargo deny --manifest-path $$manifest --config deny.toml --locked \
	  check --allow unmatched-skip --allow license-not-encountered --allow license-exception-not-encountered $(or $(CHECKS),licenses bans sources); done

.PHONY: clean
clean: ## remove what was made; state and secrets stay
	rm -rf target build build-dev build-faults dist node_modules bench/node_modules tests/sdk/node_modules examples/{express/node_modules,fastapi/.venv} .wrangler fuzz/{target,artifacts,found} mutants.out*

# The steps of `test`. Each also runs alone.

.PHONY: format
format: tools
	$(call heading,format: cargo fmt)
	@cargo fmt --check --all
	@cargo fmt --check --manifest-path tools/wasm/Cargo.toml
	@cargo fmt --check --manifest-path fuzz/Cargo.toml
	@cargo fmt --check --manifest-path tests/crash/Cargo.toml

.PHONY: lint
lint: tools node_modules/.package-lock.json $(target)/shellcheck/installed
	$(call heading,lint: clippy for this machine)
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	$(call heading,lint: clippy for the edge)
	@cargo clippy --quiet --package claviger --lib --locked --target wasm32-unknown-unknown -- -D warnings
	$(call heading,lint: clippy for the crash campaign)
	@cargo clippy --quiet --all-targets --locked --manifest-path tests/crash/Cargo.toml --target-dir $(target)/crash -- -D warnings
	$(call heading,lint: rustdoc for both)
	@RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --document-private-items --workspace --lib --locked
	@RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --document-private-items --package claviger --lib --locked --target wasm32-unknown-unknown
	$(call heading,lint: shellcheck)
	@git grep --untracked -lzE '^#!.*[/ ](ba)?sh$$' | xargs -0 $(target)/shellcheck/bin/shellcheck
	$(call heading,lint: types and rules of the JavaScript)
	@for world in edge widget; do $(node) node_modules/typescript/bin/tsc --project tools/types/$$world.json; done
	@$(node) node_modules/oxlint/bin/oxlint --type-aware --format=unix edge/js www

.PHONY: unit
unit: tools www/public-suffixes.txt
	$(call heading,unit: cargo test)
	@cargo test --quiet --locked --workspace --no-fail-fast
	@cargo test --quiet --locked --manifest-path tests/crash/Cargo.toml --target-dir $(target)/crash

.PHONY: live
live: build build-faults cli
	$(call heading,live: against the running worker)
	@$(node_test) 'tests/live/**/*.test.mjs'

.PHONY: sdk
sdk: build cli tests/sdk/node_modules/.package-lock.json
	$(call heading,sdk: the official clients against the running worker)
	@$(node_test) 'tests/sdk/*.test.mjs'

.PHONY: crash
crash: build cli ## kill the runtime under load: KILLS, SEED, CLIENTS; REVOCATIONS instead of kills
	$(call heading,crash: kills under load)
	@$(crash) $(if $(REVOCATIONS),pairs,kills)

.PHONY: crash-controls
crash-controls: build cli
	$(call heading,crash-controls: workers with a fault that must be found)
	@$(crash) controls

.PHONY: browser
browser: build cli
	$(call heading,browser: in Chromium)
	@CHROMIUM=$$(tools/chromium) && export CHROMIUM && $(node_test) --test-concurrency=3 'tests/browser/**/*.test.mjs'

.PHONY: examples
examples: build cli examples/express/node_modules/.package-lock.json examples/fastapi/.venv/installed
	$(call heading,examples: services behind the running worker)
	@$(node_test) 'tests/examples/*.test.mjs'

# What the steps stand on.

.PHONY: announce
announce:
	@echo 'make dev: compiling; some minutes the first time'

.PHONY: build-faults
build-faults: build
	@$(wasm) --features faults --out build-faults

.PHONY: cli
cli: tools
	@cargo build --quiet --locked --package claviger-cli --bin claviger

.PHONY: tools
tools:
	@tools/need cargo cc npm rustfmt clippy wasm32

www/public-suffixes.txt: Cargo.lock tools/wasm/src/main.rs
	@$(wasm) --suffixes
	@touch $@

node_modules/.package-lock.json: package-lock.json
	@npm ci --loglevel=error --no-progress >/dev/null
	@tools/need node
	@touch $@

bench/node_modules/.package-lock.json: bench/package-lock.json
	@npm ci --prefix bench --loglevel=error --no-progress >/dev/null
	@touch $@

tests/sdk/node_modules/.package-lock.json: tests/sdk/package-lock.json
	@npm ci --prefix tests/sdk --loglevel=error --no-progress >/dev/null
	@touch $@

examples/express/node_modules/.package-lock.json: examples/express/package-lock.json
	@npm ci --prefix examples/express --loglevel=error --no-progress >/dev/null
	@touch $@

$(target)/shellcheck/installed: tools/shellcheck.txt
	@tools/need python
	@python3 -m venv $(target)/shellcheck
	@$(target)/shellcheck/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

examples/fastapi/.venv/installed: examples/fastapi/requirements.txt
	@tools/need python
	@python3 -m venv examples/fastapi/.venv
	@examples/fastapi/.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
