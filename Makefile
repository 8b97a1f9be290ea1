# Everything that is done to this tree. "make demo" shows x509ctl at work, and
# "make test" runs every test.

GO       ?= go
PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 1m

# Tools are pinned here and nowhere else.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Without cgo the program starts faster, needs no C compiler and no shared library.
export CGO_ENABLED := 0

.PHONY: build demo test lint check bench fuzz generate install clean

build:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/x509ctl ./cmd/x509ctl

demo: build
	sh testdata/demo.sh "$(CURDIR)/bin/x509ctl"

test:
	$(GO) test -timeout 20m ./...

lint:
	@unformatted=$$(gofmt -l cmd pkg) && test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) run $(GOLANGCI) run ./...

check: test lint

# The whole program against its rivals, measured side by side in the same run, with a
# table at the end; a rival that is not installed is skipped. Some packages have
# benchmarks of their own.
bench:
	$(GO) test -run '^$$' -bench . -timeout 30m ./cmd/x509ctl

# Each fuzz target for FUZZTIME: there is one for every decoder of what comes from
# outside. CI gives each ten seconds. Before 1.27 Go takes the end of that time for a
# failure now and then (golang/go#75804), so one that failed is run again: an input
# that was found is in testdata then, and fails at once.
fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			fuzz="$(GO) test -run ^$$ -fuzz ^$$target$$ -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package"; \
			$$fuzz || { echo "$$package $$target: once more"; $$fuzz; }; \
		done; \
	done

# Man pages, completions and the golden parts of the scripts, from the commands.
generate:
	$(GO) test ./pkg/cli -run 'TestMan|TestCompletions|TestScript' -update

install: build
	install -D -m 755 bin/x509ctl $(DESTDIR)$(PREFIX)/bin/x509ctl
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -D -m 644 completions/x509ctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/x509ctl
	install -D -m 644 completions/x509ctl.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_x509ctl
	install -D -m 644 completions/x509ctl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/x509ctl.fish

clean:
	rm -rf bin demo
