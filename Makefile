# The front door of sluice. `make demo` and `make test` install what is
# missing, build and run; `make help` lists the rest. Each target is a few
# lines over CMake (CMakePresets.json) and the scripts in tools/.

PREFIX ?= /usr/local

# The specs that run under valgrind: the rooms that touch memory by hand.
CORE_SPECS = barrier call_later cancel condition deadline event future \
  gather group heap lifo_queue lock priority_queue queue queue_shutdown run \
  semaphore stream task thread timeout wait wait_for net http_rest http_form \
  http_client http_client_stream http_request tls_wire \
  jobs/put jobs/lease jobs/reserve jobs/worker
VALGRIND_SPECS ?= $(CORE_SPECS:%=spec/%_spec.lua)

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
.PHONY: help setup setup-test setup-dev demo build install test test-c test-lua \
  test-rock test-bare bench crash asan fuzz gcstress valgrind lint format-check docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | \
	  awk -F'|' '{ printf "%-21s %s\n", $$1, $$2 }'

setup: ## install what demo and build need
	@tools/setup.sh

setup-test: ## install what test needs, too
	@tools/setup.sh --test

setup-dev: ## install what lint, asan, valgrind and docs need, too
	@tools/setup.sh --dev

demo: setup build ## watch the order API serve power users first
	bin/sluice examples/demo.lua

build: ## compile the C modules into build/release
	@cmake --preset release --log-level=WARNING >/dev/null
	@cmake --build --preset release --parallel --target modules

install: build ## install under PREFIX (/usr/local); honours DESTDIR
	cmake --install build/release --prefix "$(PREFIX)"

test: setup-test test-c test-lua test-rock test-bare ## everything that must pass

test-c: build ## the C tests of the rooms that are pure C
	@cmake --build --preset release --parallel
	ctest --preset release

test-lua: build ## the specs; make test-lua SPECS=spec/queue_spec.lua
	tools/busted.sh $(SPECS)

test-rock: ## luarocks make into an empty tree, and require it there
	tools/test_rockspec.sh

test-bare: ## build without the optional libraries, and say what is missing
	tools/test_bare.sh

bench: ## measure against raw C, other libraries, servers, queues
	@tools/setup.sh --bench
	@$(MAKE) build
	bench/run.sh
	bench/http/run.sh
	bench/jobs/run.sh

asan: ## C tests and specs under address, leak and undefined sanitizers
	@cmake --preset asan --log-level=WARNING >/dev/null
	@cmake --build --preset asan --parallel
	ctest --preset asan
	tools/asan.sh tools/busted.sh $(SPECS)

CRASH ?= 40
CRASH_SPECS ?= $(wildcard spec/jobs/crash_*_spec.lua)

crash: build ## kills, power cuts, full disks: an hour; make crash CRASH=4
	SLUICE_CRASH=$(CRASH) tools/busted.sh $(CRASH_SPECS)

SECONDS ?= 60

fuzz: ## fuzz the path of HTTP input (clang); make fuzz SECONDS=600
	tests/fuzz/run.sh $(SECONDS)

gcstress: build ## the specs with a collector that runs all the time
	SLUICE_GC=aggressive tools/each_spec.sh $(SPECS)

valgrind: build ## the core specs under valgrind
	tools/valgrind.sh $(VALGRIND_SPECS)

lint: ## luacheck, layers of src/, sizes of files
	luacheck --quiet .
	tools/lua.sh tools/check_layers.lua
	tools/lua.sh tools/check_files.lua

format-check: ## tell what clang-format would change; never fails
	-clang-format --dry-run src/*.c src/*.h

docs: build ## check that the manual and the exports agree
	tools/lua.sh tools/check_docs.lua

clean: ## remove what was built
	rm -rf build build.luarocks
