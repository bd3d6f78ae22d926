# crossrx: `make demo` shows it, `make test` checks it; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# MPI=no builds for one process, without MPI. HDF5=bundled builds HDF5 into the program, for machines without it.
MPI ?= yes
HDF5 ?= system
# The test-mpich goal: MPICH's compiler and launcher, and the tests that it runs, all of which speak MPI.
export MPICH_MPICC ?= mpicc.mpich
export MPICH_MPIRUN ?= mpiexec.mpich
MPICH_TESTS ?= ranks:: failing:: interrupted:: bench:: bundle:: memory:: logs:: scaling:: whenever_a_rank hours_that every_file_has
RANKS ?= 2
PREFIX ?= /usr/local
# Kills of `make proof`.
KILLS ?= 100
# By the shell, as make itself cuts a path at its spaces.
TARGET := $(shell realpath -m -- "$(or $(CARGO_TARGET_DIR),target)")
CROSSRX := $(TARGET)/release/crossrx
DEMO := $(TARGET)/demo
HDF5_FEATURE := $(if $(filter bundled,$(HDF5)),--features static-hdf5)
FEATURES := $(if $(filter no,$(MPI)),--no-default-features) $(HDF5_FEATURE)
LAUNCH := $(if $(filter no,$(MPI)),,scripts/mpirun.sh -n $(RANKS))

# Cargo's own settings (build.target-dir, CARGO_BUILD_TARGET_DIR) would put the program elsewhere.
export CARGO_TARGET_DIR := $(TARGET)
export MPI HDF5
export PATH := $(PATH):$(TARGET)/tools/bin
ifeq ($(HDF5),bundled)
# Where a CMake is put that is new enough, if it had to be; an HDF5_DIR would be linked instead.
export PATH := $(TARGET)/cmake/path:$(PATH)
unexport HDF5_DIR
endif

# A build that is thrown away has no use for incremental state, which costs time and disk.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

# Else `make demo` would remove /demo.
$(if $(TARGET),,$(error no path of CARGO_TARGET_DIR: realpath is missing, or there is a quote, a $$ or a backquote in it))

.NOTPARALLEL:
.PHONY: help deps test-deps build bundle demo test test-mpich test-slurm test-hdf5 proof lint deny doc kernels-table bench install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Settings: MPI=no (no MPI, one process)  HDF5=bundled (no HDF5 needed)  RANKS=$(RANKS) (of the demo)  PREFIX=$(PREFIX)  TEST_MINUTES=45"

deps: ## Install what a build needs (as root with apt), or say how to
	@scripts/deps.sh build

test-deps:
	@scripts/deps.sh test

build: deps ## Build target/release/crossrx
	cargo build --release --locked $(FEATURES)

bundle: build ## Pack the program with its libraries and mpirun, for machines without MPI and HDF5
	@scripts/deps.sh bundle
	scripts/bundle.sh "$(CROSSRX)" "$(TARGET)/bundle"

demo: $(if $(PROGRAM),,build) ## Make a synthetic corpus, run the transfer study on it, print matrix and report
	rm -rf "$(DEMO)"
	mkdir -p "$(DEMO)"
	"$(or $(PROGRAM),$(CROSSRX))" synth --preset demo --seed 1 --out "$(DEMO)/demo.h5"
	$(LAUNCH) "$(or $(PROGRAM),$(CROSSRX))" transfer configs/demo.toml --set store.path="$(DEMO)/demo.h5" --out "$(DEMO)/run"

test: test-deps lint deny doc ## Check everything: format, clippy, licences, docs, all tests
	cargo test --locked --no-default-features $(HDF5_FEATURE) --test study layout::
	scripts/cargo-test.sh $(FEATURES)

test-slurm: deps ## Job scripts on a real Slurm, three virtual nodes on this machine (as root)
ifeq ($(MPI),no)
	@echo "skipped: tests under Slurm, for this build has no MPI"
else
	@if [ "$$(id -u)" = 0 ] && scripts/deps.sh slurm; then \
	    TEST_MINUTES=20 scripts/cargo-test.sh $(FEATURES) --test slurm -- --ignored --nocapture --test-threads=1; \
	elif [ "$$(id -u)" = 0 ] && [ -n "$${CI:-}" ] && command -v apt-get >/dev/null; then \
	    exit 1; \
	else \
	    echo "skipped: tests under Slurm, which need root, Slurm and MUNGE"; \
	fi
endif

proof: test-deps ## The slow tests: a hundred kills at random moments, every byte of a store flipped
	CROSSRX_KILLS=$(KILLS) cargo test --locked $(FEATURES) --test study killed_at_random_moments -- --nocapture
	cargo test --locked $(FEATURES) --test store every_byte -- --ignored

test-mpich: ## The tests that speak MPI, built against MPICH and started by its mpiexec
	@scripts/deps.sh mpich
	MPICC="$(MPICH_MPICC)" CROSSRX_MPIRUN="$(MPICH_MPIRUN)" CARGO_TARGET_DIR="$(TARGET)/mpich" \
		scripts/cargo-test.sh $(HDF5_FEATURE) --test study -- $(MPICH_TESTS)

test-hdf5: ## Stores and importers on the HDF5 that HDF5=bundled builds, and stores of each version read by the other
	@HDF5=system scripts/deps.sh build
	@HDF5=bundled scripts/deps.sh test
	scripts/hdf5-versions.sh

lint: deps ## Format check, and clippy with and without MPI
	cargo fmt --check
	cargo clippy --locked --all-targets $(FEATURES) -- -D warnings
	cargo clippy --locked --all-targets --no-default-features $(HDF5_FEATURE) -- -D warnings

deny: test-deps ## Check licences and sources of all dependencies
	cargo deny --locked check licenses bans sources

doc: deps ## Build the API documentation, with broken links as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps $(FEATURES)

kernels-table: test-deps ## Write kernels/resources.tsv anew: registers of every kernel on every architecture
	CROSSRX_WRITE_KERNELS_TABLE=1 cargo test --locked $(FEATURES) --lib kernels_compile

bench: build ## Speed beside the PyTorch peers, where PEER_PYTHON has PyTorch (on an idle machine)
	python3 benches/compare.py "$(CROSSRX)"

install: $(if $(PROGRAM),,build) ## Install program, manual pages, completions, module file and examples under PREFIX
	DESTDIR="$(DESTDIR)" scripts/install.sh "$(or $(PROGRAM),$(CROSSRX))" "$(PREFIX)"

uninstall: ## Remove what install has put under PREFIX
	DESTDIR="$(DESTDIR)" scripts/install.sh --remove "$(PREFIX)"

clean: ## Remove target/
	cargo clean
