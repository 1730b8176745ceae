# Everything that is done to this project is a target here; `make help` lists them.
# Needed: Go, and Python 3 with pip (it brings Envoy). Everything is written below build/ and dist/.

SHARED ?= ../shared
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Without grpcnotrace the linker keeps two fifths of dead code.
TAGS := -tags grpcnotrace
TOOL := go tool -modfile=tools/go.mod
# What the race detector looks at; RACE_PKGS=./internal/store narrows it.
RACE_PKGS ?= ./...

.PHONY: help build demo test race lint fuzz bench conformance update generate docs docs-check release-snapshot clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build build/kumactl: one static, stripped binary
	CGO_ENABLED=0 go build -trimpath $(TAGS) -ldflags '-s -w -X main.version=$(VERSION)' -o build/kumactl ./cmd/kumactl

demo: build ## the main job: a control plane, three services and their Envoys, traffic, the tables (Ctrl-C ends it)
	ENVOY_PATH="$$(scripts/envoy.sh)" build/kumactl demo $(ARGS)

test: ## run all tests; brings a real Envoy once
	ENVOY_PATH="$$(scripts/envoy.sh)" go test $(TAGS) -p 2 -timeout 10m ./...

race: ## run the tests under the race detector (needs a C compiler)
	@if ! command -v "$$(go env CC)" >/dev/null; then \
		echo "race: NOT RUN: Go's race detector needs a C compiler, and $$(go env CC) is not here (install gcc or clang)"; \
	else set -x; \
		ENVOY_PATH="$$(scripts/envoy.sh)" CGO_ENABLED=1 go test $(TAGS) -race -p 2 -timeout 15m $(RACE_PKGS); \
	fi

lint: ## go vet, gofumpt, staticcheck, a tidy go.mod (the house rules run with the tests)
	go vet $(TAGS) ./...
	@wrong=$$($(TOOL) gofumpt -l cmd internal) && if [ -n "$$wrong" ]; then \
		echo "not formatted; run: $(TOOL) gofumpt -w $$wrong"; exit 1; fi
	$(TOOL) staticcheck $(TAGS) ./...
	go mod tidy -diff

fuzz: ## run every fuzz target for a short while (FUZZTIME=10s each)
	scripts/fuzz.sh

bench: build ## Go's benchmarks, then figures with the load generator of SHARED/bench (FULL=1: 5,000 proxies too)
	go test $(TAGS) -run '^$$' -bench . -benchmem -p 1 ./...
	python3 scripts/bench.py --generator $(SHARED)/bench $(if $(FULL),--full) $(ARGS)

conformance: build ## replay the recorded suites of SHARED/conformance; expected differences are in conformance/known.txt
	python3 scripts/conformance.py --suites $(SHARED)/conformance $(ARGS)

update: ## rewrite the golden files of all tests; read the difference before you commit it
	scripts/update.sh

generate: ## generate Go from the protobuf files
	internal/kumapb/generate.sh

docs: build ## write docs/cli, one page a command, from the commands themselves
	rm -rf docs/cli && build/kumactl docs --markdown docs/cli

docs-check: build ## fail when docs/cli is not what the binary says
	@rm -rf build/docs && build/kumactl docs --markdown build/docs
	@diff -r docs/cli build/docs || { echo "docs/cli is not current; run: make docs"; exit 1; }
	@echo "docs/cli is current"

release-snapshot: ## build archives, deb and rpm for every system into dist/, unpublished
	go tool -modfile=tools/release.mod goreleaser release --snapshot --clean

clean: ## remove what was built, and the Envoy that was brought
	rm -rf build dist
