# Every target does its own set-up, so that `make run` and `make test` work on
# a machine with nothing but Rust and Python. `make` alone lists the targets.

# Options for every cargo command, such as LOCKED=--locked.
LOCKED ?=
# Arguments of `make run`, such as ARGS="hyperparameters.epochs=2".
ARGS ?=
# Kills of `make soak`.
ROUNDS ?= 100
# Trials of the study in `make soak`.
TRIALS ?= 200
CONFIG ?= configs/digits.yaml
# Where `make images` takes torch from, if not from PyPI.
export TORCH_INDEX ?=

CRATES := $(patsubst %/Cargo.toml,%,$(wildcard examples/*/Cargo.toml))

.PHONY: help setup frameworks build run test test-frameworks test-gpu lint soak bench docs install images rehearse clean lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv (torch, mlflow) and .libtorch; over in a moment when done before
	@scripts/setup

frameworks: setup ## Make .venv-frameworks beside it: TensorFlow, Keras, Lightning, transformers
	@scripts/frameworks

build: ## Build target/release/explr
	cargo build $(LOCKED) --release -p explr

run: setup build ## Train the example: explr run configs/digits.yaml
	target/release/explr run $(CONFIG) $(ARGS)

test: setup frameworks ## Run every test: protocol, studies, explr, SDK, examples, Python package
	cargo test $(LOCKED) -p explr-protocol
	cargo test $(LOCKED) -p explr-study
	cargo test $(LOCKED) --no-fail-fast -p explr
	cargo test $(LOCKED) -p explr-sdk --all-features
	@set -e; for crate in $(CRATES); do \
		echo "cargo test --manifest-path $$crate/Cargo.toml"; \
		LD_LIBRARY_PATH="$(CURDIR)/.libtorch/lib:$$LD_LIBRARY_PATH" \
			cargo test $(LOCKED) --manifest-path $$crate/Cargo.toml; \
	done
	scripts/test_python
	cargo test $(LOCKED) -p explr --test python_examples tensorflow -- --ignored

test-frameworks: setup frameworks ## Run the tests of Keras, Lightning and transformers, and all examples in Python
	cd python && ../.venv-frameworks/bin/python -m unittest discover --start-directory tests/frameworks --top-level-directory .
	cargo test $(LOCKED) -p explr --test python_examples -- --include-ignored

test-gpu: setup ## Run the tests that need a GPU, and keep what they print in docs/reports
	@scripts/test_gpu

lint: setup ## Check format, clippy, docs, dependencies, shell scripts
	@LOCKED="$(LOCKED)" scripts/lint

soak: setup ## Kill worker, explr and MLflow at random, in runs and in a study, and compare
	ROUNDS=$(ROUNDS) cargo test $(LOCKED) -p explr --release --test soak -- --nocapture
	TRIALS=$(TRIALS) cargo test $(LOCKED) -p explr --release --test soak_study -- --nocapture

bench: setup build ## Measure start-up beside `import torch`, and what a metric costs
	cargo bench $(LOCKED) -p explr --bench startup
	cargo bench $(LOCKED) -p explr --bench log_metric
	cargo bench $(LOCKED) -p explr --bench shipper

docs: ## Build the book into target/book (needs mdbook)
	@command -v mdbook >/dev/null || { echo "docs: needs mdbook; install it with: cargo install --locked mdbook" >&2; exit 1; }
	mdbook build docs

install: ## Install the explr command with cargo
	cargo install --locked --path .

images: ## Build the container images: MLflow, dev, runtime (needs Docker)
	docker compose --profile gpu build
	docker build --build-arg TORCH_INDEX -t explr:runtime .

rehearse: ## Build and run the images without Docker, in podman from a plain Debian (needs root)
	@scripts/container_rehearsal

lock: ## Renew requirements.lock and its siblings (needs uv)
	@scripts/lock

clean: ## Remove what was built and set up
	cargo clean
	rm -rf .venv .venv-frameworks .libtorch .tools
