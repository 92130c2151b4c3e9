# The front door. `make run` and `make test` set up what they need themselves.
.PHONY: run test check format dependencies lint-wasm dev bench soak fuzz setup site release

# By a name, because browsers use passkeys at no address without one.
run: setup site release
	./target/release/server serve --demo --console-url http://localhost:3000

# The site is built beside the tests: both compile for minutes with one processor, one crate waiting for another.
test:
	scripts/setup test
	cargo build --profile bench --bin xtask
	nice target/release/xtask site > target/site.log 2>&1 & site=$$!; \
	scripts/with-postgres cargo nextest run --workspace --exclude frontend --cargo-profile bench --profile ci; tests=$$?; \
	wait $$site; site=$$?; cat target/site.log; exit $$((tests | site))
	cd end2end && npx playwright test
	scripts/slowest-tests

check: format dependencies lint-wasm
	cargo clippy --workspace --exclude frontend --all-targets -- -D warnings

format:
	cargo fmt --check

dependencies:
	scripts/setup dependencies
	scripts/check-dependencies
	cargo deny --locked check licenses sources bans

lint-wasm:
	scripts/setup build
	cargo clippy --package frontend --package keygen --package keydoctor --target wasm32-unknown-unknown -- -D warnings

# Quicker builds, for work on the pages.
dev: setup
	cargo run --bin xtask -- site --dev
	cargo run --bin server -- serve --demo --console-url http://localhost:3000

# Figures for whoever compares; nothing here passes or fails.
bench: site
	scripts/setup bench
	node keygen/benches/browser.mjs
	cargo build --profile production --bin server --examples
	node server/benches/gateway/run.mjs
	cargo bench --profile production --package verifier

# What takes too long for every run: a million tokens sent twice at the same time, on one gateway.
soak:
	cargo test --release --package server --test gateway -- --ignored

# Random bytes for what reads what strangers send; needs a nightly compiler and cargo-fuzz. SECONDS is for each target.
fuzz:
	fuzz/run $(or $(SECONDS),300)

setup:
	scripts/setup build

# `--bin` and not `--package`: so cargo unifies features over the same crates as for the tests, and compiles none of them a
# second time.
site:
	cargo run --profile bench --bin xtask -- site

# The example brings in the tests' dependencies: cargo then unifies the same features as for the tests, and compiles our own
# crates only. They are never compiled by a wrapper such as .ci/run's.
release:
	env -u RUSTC_WORKSPACE_WRAPPER cargo build --release --bin server --example system_allocator
