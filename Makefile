# Type make to see what can be made.

PREFIX  = /usr/local
DESTDIR =
# The last tag leaves a library for Markdown out, which costs each process time before main.
TAGS    = seccomp,netgo,osusergo,urfave_cli_no_docs
GO      = $(shell PATH="$$PATH:/usr/local/go/bin" command -v go || echo go)
VERSION = $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X croft/cli.Version=$(VERSION)

# Only what needs root is run as root.
SUDO    = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

HOLDER  = runtime/holder/embedded/holder
BUSYBOX = template/busybox/program/busybox

# The race detector exists for some machines only.
RACE    = $(shell case $$($(GO) env GOARCH) in (amd64|arm64) echo -race;; esac)

help: ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## What users want

build: needs-build ## build ./croft, a static program
	@$(MAKE) --no-print-directory croft

demo: needs-demo build ## install what is missing, build, and show croft at work (KEEP=1 keeps the VPSs)
	$(SUDO) env KEEP="$(KEEP)" scripts/demo ./croft

install: croft ## install croft, its service, completions and manual under $(DESTDIR)$(PREFIX)
	packaging/install ./croft "$(DESTDIR)" "$(PREFIX)"

sbom: croft ## write croft.spdx.json: what ./croft consists of, with versions, licenses and checksums (SPDX 2.3)
	SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" $(GO) run ./packaging/sbom \
		-version '$(VERSION)' -busybox $(BUSYBOX) -holder $(HOLDER) ./croft croft.spdx.json

## What developers want

test: needs-build needs-test needs-vm lint test-unit reproducible test-integration test-vm ## install what is missing, build, and run all tests, on this host and in a virtual machine

test-unit: $(HOLDER) $(BUSYBOX) ## run the tests that need no root
	$(GO) test $(RACE) -tags $(TAGS) -timeout 20m ./...

reproducible: ## build croft in two directories and compare the bytes; FULL=1 uses empty caches
	FULL="$(FULL)" scripts/reproducible

test-integration: croft ## drive ./croft as root; FULL=1 tests more releases of Debian, T=REGEXP picks tests
	$(GO) test -c -tags $(TAGS),integration -o integration/integration.test ./integration
	cd integration && $(SUDO) env CROFT_BIN="$(CURDIR)/croft" CROFT_TEST_CACHE="$(CROFT_TEST_CACHE)" CROFT_GUESTS="$(CROFT_GUESTS)" FULL="$(FULL)" \
		./integration.test -test.timeout $(if $(CROFT_GUESTS),150m,40m) $(if $(T),-test.v -test.run '$(value T)')

test-vm: needs-build needs-test needs-vm croft ## test in a virtual machine with systemd and cgroup v2; FULL=1 tests all, T=REGEXP picks tests, M=REGEXP machines
	rm -rf integration/vm/installed
	@$(MAKE) --no-print-directory install DESTDIR="$(CURDIR)/integration/vm/installed" PREFIX=/usr
	CGO_ENABLED=0 $(GO) test -c -tags integration -o integration/integration.test ./integration
	CGO_ENABLED=0 $(GO) test -c -tags vm -o integration/vm/vm.test ./integration/vm
	cd integration/vm && $(SUDO) env CROFT_BIN="$(CURDIR)/croft" CROFT_TEST_CACHE="$(CROFT_TEST_CACHE)" \
		CROFT_VM_CACHE="$(CROFT_VM_CACHE)" CROFT_VM_RUN='$(value T)' CROFT_GUESTS="$(CROFT_GUESTS)" \
		./vm.test -test.v $(if $(M),-test.run '$(value M)') -test.timeout $(if $(FULL),240m,75m -test.short)

conformance: needs-build needs-conformance croft ## compare croft with the newest runc as an OCI runtime, by runc's, the OCI's and engines' tests; T=REGEXP picks tests, RUNTIME=croft|runc one of both, FRESH=1 measures runc anew
	$(GO) build -o integration/conformance/conformance ./integration/conformance
	$(SUDO) integration/conformance/conformance -croft ./croft -busybox $(BUSYBOX) -go $(GO) \
		$(if $(CROFT_CONFORMANCE_CACHE),-cache '$(CROFT_CONFORMANCE_CACHE)') $(if $(FRESH),-fresh) \
		$(if $(RUNTIME),-only $(RUNTIME)) $(if $(T),-run '$(value T)')

bench: needs-build needs-bench croft ## measure croft against runc, crun, Podman, LXC, systemd-nspawn, containerd and the host; T=REGEXP picks rows, N=ROUNDS, VPSS=NUMBER of the rows about many, JSON=FILE also writes all samples there
	CGO_ENABLED=0 $(GO) build -o integration/bench/bench ./integration/bench
	$(SUDO) integration/bench/bench -croft ./croft -go $(GO) $(if $(CROFT_BENCH_CACHE),-cache '$(CROFT_BENCH_CACHE)') \
		$(if $(N),-rounds $(N)) $(if $(VPSS),-vpss $(VPSS)) $(if $(JSON),-json '$(JSON)') $(if $(T),-rows '$(value T)')

guests: needs-build needs-test $(if $(VM),needs-vm) ## install and use real software in VPSs, and write the table of docs/guests.md; T=REGEXP picks programs (debian-13: the sandbox), VM=1 uses a virtual machine
	$(GO) run ./integration/guests/page docs/guests.md $(MAKE) --no-print-directory $(if $(VM),test-vm M='^TestSystemd$$',test-integration) \
		CROFT_GUESTS=1 T='^(TestGuests|TestSandboxing)$$$(if $(T),/$(value T))'

fuzz: $(HOLDER) $(BUSYBOX) ## give foreign bytes to all parsers, each for FUZZTIME (1m); T=REGEXP picks targets (PACKAGE.NAME)
	GO="$(GO)" TAGS="$(TAGS)" FUZZTIME="$(FUZZTIME)" scripts/fuzz $(if $(T),'$(value T)')

soak: fuzz ## run the tests that take hours: all fuzz targets

golden: $(HOLDER) $(BUSYBOX) ## write the expected outputs of tests anew, from what the code does now
	$(GO) test -tags $(TAGS) $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update

lint: $(HOLDER) $(BUSYBOX) ## gofmt, go vet, staticcheck, the licenses of modules, and their known vulnerabilities if the database is reachable
	@files=$$(git ls-files '*.go' | xargs $$(dirname $(GO))/gofmt -l); \
		[ -z "$$files" ] || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(GO) vet -tags $(TAGS),integration ./integration
	$(GO) vet -tags vm ./integration/vm
	$(GO) tool staticcheck -tags $(TAGS),integration,vm ./...
	$(GO) test -count=1 ./packaging/licenses
	@GO="$(GO)" TAGS="$(TAGS)" scripts/vulncheck --if-reachable

vulncheck: $(HOLDER) $(BUSYBOX) ## look for known vulnerabilities in the code that croft calls; GOVULNDB=URL picks the database
	@GO="$(GO)" TAGS="$(TAGS)" scripts/vulncheck

clean: ## remove what was built
	rm -rf croft croft.spdx.json $(HOLDER) $(BUSYBOX) integration/integration.test integration/vm/vm.test integration/vm/installed integration/conformance/conformance integration/bench/bench

## How

# go knows better than make what a program depends on.
croft: $(HOLDER) $(BUSYBOX) FORCE
	CGO_ENABLED=1 $(GO) build -trimpath -tags '$(TAGS)' \
		-ldflags '$(LDFLAGS) -linkmode external -extldflags -static' -o $@ .
	@if ldd $@ >/dev/null 2>&1; then echo "$@ is not static:"; ldd $@; rm -f $@; exit 1; fi

# It has no C in it, no symbols and no commit: it is embedded and runs once for each VPS.
$(HOLDER): FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o $@ ./runtime/holder/program

$(BUSYBOX): scripts/static-busybox
	@mkdir -p $(@D)
	busybox=$$(scripts/static-busybox --build) && install -m 0755 "$$busybox" $@

needs-build needs-demo needs-test needs-vm needs-conformance needs-bench:
	@scripts/install-needs $(@:needs-%=%)

.PHONY: help build demo install sbom test test-unit reproducible test-integration test-vm conformance bench guests fuzz soak golden lint vulncheck clean needs-build needs-demo needs-test needs-vm needs-conformance needs-bench FORCE
