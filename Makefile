# Sluice. `make help` lists what there is.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0-dev)
LAB     ?= .sluice-lab

# Static binaries: with cgo the linker would keep every symbol, because
# kustomize imports the standard "plugin" package (+40 MB).
BUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

.DEFAULT_GOAL := help
.PHONY: help build up down demo test lint fuzz generate presubmit clean bin/sluice bin/sluice-lab

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: bin/sluice bin/sluice-lab ## Build bin/sluice and bin/sluice-lab (the first build compiles Kubernetes)

bin/sluice:
	$(BUILD) -o $@ ./cmd/sluice

bin/sluice-lab:
	cd lab && $(BUILD) -o ../$@ ./cmd/sluice-lab

up: build ## Start the lab and deliver the example of examples/infra to its two clusters; leave it running
	bin/sluice up --dir $(LAB) --detach --example examples/infra

down: ## Stop the lab
	bin/sluice down --dir $(LAB)

demo: build ## Play deliveries that work, break and heal on a lab of their own, and check each of them
	bin/sluice demo

test: build ## Run all tests, with the race detector, against a lab of their own
	test/run

lint: ## Check format, vet and staticcheck
	test/lint

fuzz: ## Fuzz the parsers of tars, manifests, tags and hooks for a while (FUZZTIME=30s each)
	test/fuzz

generate: ## Make the generated files anew: CRDs, docs/cli
	go generate ./...
	go test ./internal/cli -run TestDocs -update

presubmit: lint test ## What to run before a commit is offered
	@test -z "$$(git status --porcelain)" || { git status --short; echo "presubmit: green, but the tree is not clean"; exit 1; }

clean: ## Remove what was built
	rm -rf bin
