# The targets that people and CI call. `make` lists them.

BINARY   := bin/keystone-gateway
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT   ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.buildVersion=$(VERSION) -X main.buildCommit=$(COMMIT)
IMAGE    ?= keystone-gateway:$(VERSION)
FUZZTIME ?= 30s
SOAK     ?= 20

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help build run test test-all soak lint fmt vuln fuzz bench cover docker check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/keystone-gateway, static
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/keystone-gateway

run: build ## Build and run the demo: a repository, two servers, a gateway
	./$(BINARY) demo

test: ## Run the tests under the race detector; needs Go, git and a C compiler
	go test -race ./...

test-all: ## Run all tests afresh, those that need installed servers too, and the scenarios twice over
	go test -race -count=1 -tags integration $$(go list ./... | grep -v /testenv)
	go test -race -count=2 -tags integration -timeout 20m ./testenv/...

soak: ## Run the long form of what must leave nothing behind, then every scenario SOAK times over
	go test -race -tags soak -timeout 0 -run LeaveNothingBehind ./testenv
	go test -race -count=$(SOAK) -timeout 0 ./testenv/...

lint: ## Check format, style and layering
	go mod tidy -diff
	go run $(GOLANGCI_LINT) run

fmt: ## Format the code
	go run $(GOLANGCI_LINT) fmt

vuln: ## Look for known vulnerabilities; needs vuln.go.dev
	go run $(GOVULNCHECK) ./...

fuzz: ## Run each fuzz target for FUZZTIME (default 30s)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "== $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

cover: ## Show how much of the code the tests run
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out | tail -1

docker: ## Build the container image
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .

check: lint test ## Lint and test: what a change has to pass

clean: ## Remove what was built
	rm -rf bin cover.out
