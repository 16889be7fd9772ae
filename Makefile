# holdfast: make help tells the targets.

SHELL := bash
export CGO_ENABLED = 0

# Where make run keeps everything.
DATA ?= holdfast-data

help: ## tell the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/holdfast
	go build -trimpath -o bin/holdfast ./cmd/holdfast

hsm: ## build it with PKCS#11, for hardware security modules; needs gcc
	CGO_ENABLED=1 go build -trimpath -tags pkcs11 -o bin/holdfast ./cmd/holdfast

fips: ## build bin/holdfast with the validated FIPS 140-3 module of Go: docs/fips.md
	GOFIPS140=certified go build -trimpath -o bin/holdfast ./cmd/holdfast

run: build ## build it, and serve in ./holdfast-data; DATA=DIR for another directory, HOLDFAST_... as always
	@mkdir -p -m 700 "$(DATA)"
	@echo $$$$ > "$(DATA)/pid"; exec bin/holdfast serve --data "$(DATA)"

test: ## everything that CI checks; tells what it skipped
	@.ci/check

lint: ## format, vet, staticcheck, known vulnerabilities, go.mod
	@.ci/check format vet staticcheck vulnerabilities modules

fresh: ## are the generated files what the generators write?
	@.ci/check generated

checkfips: ## the tests of FIPS mode, with the validated module in the binaries
	@.ci/check fips

cross: ## does it compile for macOS, Windows and Linux on ARM?
	@.ci/check cross

unit: ## the Go tests alone, with the race detector
	@.ci/check tests

tour: ## the README's tour, with the AWS CLI
	go test -count=1 -v -run TestTour ./internal/tour

bench: build ## the tables of docs/performance.md
	go run ./bench

# The models are not in the repository: see CONTRIBUTING.md.
MODELS ?= ../shared/models
IAM_DATA ?= ../shared/iam-data

generate: ## write api/, the managed policies and the generated parts of docs/ anew
	go run ./internal/apigen/cmd/apigen -models "$(MODELS)" -iam "$(IAM_DATA)"
	go run ./internal/apigen/cmd/apigen -models "$(MODELS)" -iam "$(IAM_DATA)" -manifest wire/wiretest/manifest.txt -out wire/wiretest -catalog=false
	go run ./internal/managedgen -iam "$(IAM_DATA)"
	go run ./internal/reference

deps: ## install what the tests need, or tell what to install
	@.ci/deps

rename: ## give the module another path: make rename MODULE=example.org/you/holdfast
	@.ci/rename "$(MODULE)"

clean: ## remove what was built; the data stays
	rm -rf bin

.PHONY: help build hsm fips run test lint fresh checkfips cross unit tour bench generate deps rename clean
