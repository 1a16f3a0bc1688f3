# SPDX-License-Identifier: Apache-2.0
#
# A thin front for the CMake presets: what a newcomer types. `make help` lists it.
#
#   PRESET=release|debug|asan|tsan    which build `build` and `test` use
#   ARGS='-log-level debug'           flags for the gateway of `run`
#   FUZZ_SECONDS=60                   for each target of `fuzz`
#   SEEDS=500                         of `sim`

PRESET ?= release
FUZZ_SECONDS ?= 60
SEEDS ?= 500
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build
.PHONY: build run test bench fuzz sim soak sdk tidy clean help deps

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

deps:
	@packaging/install-deps

build/$(PRESET)/build.ninja: CMakePresets.json | deps
	@cmake --preset $(PRESET) >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }

# build/ exists before its log does.
$(shell mkdir -p build)

build: deps build/$(PRESET)/build.ninja ## install what is missing and build; build/ringgate
	@cmake --build --preset $(PRESET)

run: build ## start it on :8080, with a local mock provider when no provider key is set
	@tools/run $(ARGS)

test: build ## unit tests, fuzz corpora, end-to-end tests
	@tools/test $(PRESET)

fuzz: deps ## every fuzz target, FUZZ_SECONDS each
	@$(MAKE) build PRESET=fuzz
	@tools/fuzz $(FUZZ_SECONDS)

sim: deps ## SEEDS seeds of the simulator, under ASan (docs/simulator.md)
	@$(MAKE) build/asan/build.ninja PRESET=asan
	@cmake --build --preset asan --target sim_sim
	@tools/sim $(SEEDS)

soak: ## the long runs: attacks, all tests under TSan, 100,000 seeds, ten minutes a fuzz target
	@packaging/install-deps soak
	@$(MAKE) build PRESET=release
	@PYTEST_ARGS='-m soak -vv -s -k attacks' CTEST_ARGS='-R ^none$$' tools/test release
	@$(MAKE) build PRESET=asan
	@RINGGATE_GOLDEN_CUTS=10000 RINGGATE_CRASH_ROUNDS=200 PYTEST_ARGS='-m soak -vv --durations=0' \
		tools/test asan
	@RINGGATE_LABEL=6.1 CTEST_ARGS='-R ^unit/net/' \
		RINGGATE_FLAGS=--ring-features=6.1 RINGGATE_RING_FEATURES=6.1 tools/test asan
	@$(MAKE) build PRESET=tsan
	@RINGGATE_DEADLINE_S=60 tools/test tsan
	@RINGGATE_DEADLINE_S=60 CTEST_ARGS='-R ^unit/net/' RINGGATE_LABEL=6.1 \
		RINGGATE_FLAGS=--ring-features=6.1 RINGGATE_RING_FEATURES=6.1 tools/test tsan
	@RINGGATE_DEADLINE_S=60 RINGGATE_LABEL=soak CTEST_ARGS='-R ^none$$' \
		PYTEST_ARGS='-m soak -vv -k test_upgrade' tools/test tsan
	@tools/sim 100000 100
	@tools/sim-plants
	@$(MAKE) fuzz FUZZ_SECONDS=600

sdk: build ## conversations of the official SDK with the gateway; golden files by the SDKs' types
	@packaging/install-deps sdk
	@tools/sdk

bench: build ## measure, against nginx and HAProxy
	@packaging/install-deps bench
	@bench/run

tidy: ## the rules of the house
	@tools/tidy

clean: ## remove every build
	rm -rf build
