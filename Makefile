# `make demo` shows the main job on a real control plane; `make test` runs every test. Both install what is missing.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

CARGO ?= cargo
# Simulated cluster-hours of the randomised runs.
SIM_HOURS ?= 10000

.PHONY: help setup demo test check fmt lint purity deny unit hpa sim cluster e2e bench generate clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: Debian packages, cargo-deny; build the control plane (once, about 6 minutes)
	@tools/setup $(if $(filter demo,$(MAKECMDGOALS)),,test)
	@tools/build && $${CARGO_TARGET_DIR:-target}/debug/homeostat-cluster build

demo: setup ## Show the main job: a real cluster, real load, faults (KEEP=1 keeps it, CONTEXT=name uses yours)
	@tools/demo

test: setup check unit hpa sim cluster e2e ## Run every test

check: fmt lint purity deny ## Formatting, lints, purity of the core, dependencies

fmt:
	$(CARGO) fmt --all --check

lint:
	$(CARGO) clippy --quiet --workspace --all-targets -- --deny warnings

purity: # The core and the simulator build without kube and tokio, whatever the code says.
	@tools/purity

deny:
	@tools/deny

unit: # All that needs no cluster: core, API, Git, generated files, examples
	$(CARGO) test --workspace --lib --bins --test core --test git --test it

hpa: # compat: HPAv2 against the code of the real controller, on random questions
	$(CARGO) test --workspace --test hpa -- --nocapture

sim: # Randomised runs in virtual time; every invariant is checked after every step
	HOMEOSTAT_SIM_HOURS=$(SIM_HOURS) $(CARGO) test --no-default-features --profile sim --test sim -- --nocapture seeds
	$(CARGO) test --no-default-features --profile sim --test sim -- --skip seeds

cluster: # The harness itself
	$(CARGO) test --workspace --test cluster -- --test-threads=1

e2e: # The operator as a process on a real control plane
	$(CARGO) test --workspace --test e2e -- --test-threads=1

bench: ## Print speeds and sizes; target/bench/summary.json has them too (POLICIES=500 for a quick look at the whole operator)
	@$(CARGO) bench --quiet --no-default-features --bench speed
	@$(CARGO) bench --quiet --workspace --profile dev --bench operator

generate: ## Write crds/ and dashboards/ anew
	$(CARGO) run --quiet -- crds --dir crds
	$(CARGO) run --quiet -- dashboards --dir dashboards

clean: ## Remove what was built here
	$(CARGO) clean
