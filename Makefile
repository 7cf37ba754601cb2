# Tools, each at one version: what passes today passes tomorrow.
GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0
GOVULNCHECK_VERSION   := v1.9.0
ACTIONLINT_VERSION    := v1.7.12

GO       ?= go
# The same for everything that is compiled here, so that the 400 packages behind
# key references are compiled once and not for each target anew.
export CGO_ENABLED ?= 0
export GOFLAGS     ?= -trimpath
BIN      := $(CURDIR)/bin
TOOLS    := $(BIN)/tools
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X github.com/modseal/modseal/cmd/modseal/cli.version=$(VERSION)
FUZZTIME ?= 10s

# The tests of transfers wait more than they compute: more packages at once than
# there are processors.
WAITING := -p 4
SCRIPTS := 6
SOAK     ?= 200

GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOFUMPT       := $(TOOLS)/gofumpt-$(GOFUMPT_VERSION)
GOVULNCHECK   := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)
ACTIONLINT    := $(TOOLS)/actionlint-$(ACTIONLINT_VERSION)

# The modules of this repository; e2e, hack/sigstore and hack/ci are their own, so that
# the registries, the Sigstore and the CI systems that modseal is tested against are no
# dependency of modseal.
MODULES := . e2e hack/sigstore hack/ci

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build ./bin/modseal
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN)/modseal ./cmd/modseal

.PHONY: build-pkcs11
build-pkcs11: ## Build ./bin/modseal-pkcs11, with keys on PKCS #11 tokens; needs a C compiler
	CGO_ENABLED=1 $(GO) build -tags pkcs11key -ldflags '$(LDFLAGS)' -o $(BIN)/modseal-pkcs11 ./cmd/modseal

.PHONY: install
install: ## Install modseal into GOBIN
	$(GO) install -ldflags '$(LDFLAGS)' ./cmd/modseal

.PHONY: demo
demo: build ## Push, verify and pull a signed model on the embedded registry, then tamper with it
	MODSEAL=$(BIN)/modseal hack/demo.sh

.PHONY: test
test: test-packages ## Run the tests; scripts that need an absent tool or registry are skipped by name
	cd e2e && $(GO) test -timeout 60m -parallel $(SCRIPTS) ./...

.PHONY: test-packages
test-packages: ## Run the tests of the packages alone
	$(GO) test $(WAITING) ./...

.PHONY: test-pkcs11
test-pkcs11: ## Run the tests of PKCS #11 tokens with SoftHSM (Debian: softhsm2, opensc); needs a C compiler
	CGO_ENABLED=1 $(GO) test -count=1 -tags pkcs11key ./pkg/sign/pkcs11

# Without packages that link what is behind key references, and without those that
# start no goroutine, of which the target makes sure.
LINKING    := cmd/modseal|cmd/modseal/cli|hack/gendocs|pkg/sign/keyref|pkg/sign/oidc
SEQUENTIAL := artifacttypes|cmd/modseal/cli/(option|report)|hack/(demomodel|samplemodel)|pkg/(bom|diff|fileid|ingest|inventory|lineage|modelfile.*|policy|profile|promotion|provenance|statement)|pkg/internal/(clone|filerow|holes|integrity|redact|slsa|yamlshape)|pkg/remote/certsd

.PHONY: race
race: ## Run the tests with the race detector
	@sequential=$$($(GO) list ./... | grep -E '/($(SEQUENTIAL))$$'); \
	if grep -nE '^[[:space:]]+go [[:alpha:]]|errgroup|WaitGroup' $$($(GO) list -f '{{$$d := .Dir}}{{range .GoFiles}}{{$$d}}/{{.}} {{end}}' $$sequential); then \
		echo "that starts goroutines: its package is none of SEQUENTIAL (Makefile)"; exit 1; \
	fi
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(WAITING) $$($(GO) list ./... | grep -vE '/($(LINKING)|$(SEQUENTIAL))$$')

.PHONY: e2e
e2e: ## Run the scripts of e2e/testdata (MODSEAL_E2E_REQUIRE_ALL=1: none may be skipped)
	cd e2e && $(GO) test -count=1 -timeout 60m -parallel $(SCRIPTS) ./...

.PHONY: soak
soak: ## Push and pull SOAK (200) models through registries that misbehave, killing each process at random
	cd e2e && MODSEAL_E2E_SOAK=$(SOAK) $(GO) test -count=1 -timeout 120m -run '^TestSoak$$' -v .

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) hack/fuzz.sh

.PHONY: bench
bench: build ## Measure modseal against its peers on PATH and in ./bin/peers; writes docs/bench.* (BENCHFLAGS=-quick)
	$(GO) run ./hack/bench -modseal $(BIN)/modseal -readme README.md $(BENCHFLAGS)

.PHONY: microbench
microbench: ## Run the Go benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: fmt
fmt: $(GOFUMPT) ## Format the code
	@$(GOFUMPT) -w $(shell git ls-files -co --exclude-standard '*.go')

.PHONY: lint
lint: lint-format lint-code ## Check format and code

.PHONY: lint-format
lint-format: $(GOFUMPT)
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs $(GOFUMPT) -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

.PHONY: lint-code
lint-code: $(GOLANGCI_LINT)
	@for m in $(MODULES); do \
		echo "golangci-lint in $$m"; \
		(cd $$m && $(GOLANGCI_LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; \
	done

.PHONY: lint-ci
lint-ci: $(ACTIONLINT) ## Check what hack/ci has for CI systems and Kubernetes (npm and node; Debian: shellcheck)
	hack/ci/tools.sh
	ACTIONLINT=$(ACTIONLINT) hack/ci/lint.sh
	cd hack/ci && $(GO) test ./...

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities (needs the Go vulnerability database)
	$(GOVULNCHECK) ./...

.PHONY: generate
generate: ## Write generated files anew
	$(GO) generate ./...

.PHONY: check-generated
check-generated: ## Fail when generated files or go.mod are stale
	hack/check-generated.sh

.PHONY: peers
peers: ## Install the tools that modseal is tested against into ./bin/peers
	hack/peers.sh

.PHONY: test-sigstore
test-sigstore: ## Run the tests of the private Sigstore; what it is made of takes minutes to compile
	cd hack/sigstore && $(GO) test ./...

.PHONY: sigstore
sigstore: ## Build ./bin/sigstore, a private Sigstore on loopback (hack/sigstore)
	cd hack/sigstore && $(GO) build -ldflags '-s -w' -o $(BIN)/sigstore . && $(GO) build -ldflags '-s -w' -o $(BIN)/sigstore-rekor-v1 ./rekorv1

.PHONY: models
models: ## Fetch the real models that the tests use into ./bin/models
	hack/models.sh

.PHONY: clean
clean: ## Remove what was built and fetched
	rm -rf $(BIN)

# install-tool installs package $(1) at version $(2) as file $@.
define install-tool
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/.install GOFLAGS=-mod=mod $(GO) install -trimpath -ldflags '-s -w' $(1)@$(2)
	mv $(TOOLS)/.install/$(notdir $(1)) $@
endef

$(GOLANGCI_LINT):
	$(call install-tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(GOLANGCI_LINT_VERSION))

$(GOFUMPT):
	$(call install-tool,mvdan.cc/gofumpt,$(GOFUMPT_VERSION))

$(GOVULNCHECK):
	$(call install-tool,golang.org/x/vuln/cmd/govulncheck,$(GOVULNCHECK_VERSION))

$(ACTIONLINT):
	$(call install-tool,github.com/rhysd/actionlint/cmd/actionlint,$(ACTIONLINT_VERSION))
