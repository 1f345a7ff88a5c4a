# SPDX-License-Identifier: GPL-2.0
# The project's commands. Each is a script; this file only names them.

.PHONY: all demo test bench profile lint format fuzz campaign setup clean help
.DEFAULT_GOAL := all

all: ## build build/side.ko
	@scripts/build

demo: ## boot the packaged kernel and carry traffic through the driver in ring 3
	@scripts/demo

test: ## host tests, then the selftests in the emulated machine
	@scripts/test $(TESTS)

bench: ## measure native against base and optimised (QUICK=1, BENCH="icount rr", FRESH=1)
	@QUICK="$(QUICK)" FRESH="$(FRESH)" RATE="$(RATE)" scripts/bench $(BENCH)

profile: ## instructions a packet by function (LOADS="'pktgen-tx 60' 'udp-rr 60'", PACKETS=200)
	@PACKETS="$(PACKETS)" MODES="$(MODES)" ROWS="$(ROWS)" scripts/profile $(LOADS)

lint: ## formatting, clippy, objtool, and the project's own rules
	@scripts/lint

format: ## format all Rust files as `make lint` wants them
	@scripts/lint --format

fuzz: ## fuzz the pure layers (SECONDS_EACH=60)
	@scripts/fuzz

campaign: ## inject faults into the packaged driver (TRIALS=60 SEED=1, or TRIAL=17 alone)
	@scripts/campaign

setup: ## make or repair the build root (the other commands do it when needed)
	@scripts/setup

clean: ## remove what was built; the build root stays
	@rm -rf build target

help: ## this list
	@sed -n 's/^\([a-z]*\): ## /  make \1\t/p' Makefile
