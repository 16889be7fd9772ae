// Command reference writes the parts of docs/ that the code knows better than a person: which operations answer, and the flags.
//
//	go run ./internal/reference          writes them
//	go run ./internal/reference -check   fails if anything would change
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/catalog"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/internal/walk"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	operationsFile    = "docs/operations.md"
	configurationFile = "docs/configuration.md"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if anything would change")
	flag.Parse()
	if err := run(context.Background(), *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, check bool) error {
	operations, err := operationsPage(ctx)
	if err != nil {
		return err
	}
	configuration, err := configurationPage()
	if err != nil {
		return err
	}
	return errors.Join(settle(operationsFile, operations, check), settle(configurationFile, configuration, check))
}

func settle(name string, want []byte, check bool) error {
	if !check {
		return os.WriteFile(name, want, 0o644)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is stale: make generate", name)
	}
	return nil
}

// operationsPage asks a cloud in memory.
func operationsPage(ctx context.Context) ([]byte, error) {
	c, err := cloud.Open(ctx, cloud.Config{})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	services := make(map[*wire.Service][]call.Endpoint)
	rooms := make(map[string]bool)
	for _, e := range c.Endpoints() {
		services[e.Op.Service] = append(services[e.Op.Service], e)
		rooms[e.Op.Service.Package] = true
	}
	sorted := make([]*wire.Service, 0, len(services))
	for s := range services {
		sorted = append(sorted, s)
	}
	slices.SortFunc(sorted, func(a, b *wire.Service) int { return strings.Compare(a.Package, b.Package) })

	var b bytes.Buffer
	b.WriteString("# Operations\n\nWritten by `make generate` from the services themselves. An operation that is not built answers `NotImplemented` with its name.\n" +
		"What differs inside of an operation that is built stands in the service's own document.\n\n")
	b.WriteString("| service | built | of |\n| --- | ---: | ---: |\n")
	for _, s := range sorted {
		built := 0
		for _, e := range services[s] {
			if walk.Built(e) {
				built++
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %d | %d |\n", s.FullName, s.Package, built, len(services[s])+len(s.Unbuilt))
	}
	for _, s := range sorted {
		fmt.Fprintf(&b, "\n## %s\n\n%s, API version %s.\n\n| operation | built | IAM action | access |\n| --- | --- | --- | --- |\n", s.Package, s.FullName, s.APIVersion)
		for _, e := range services[s] {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.Op.Name, yes(walk.Built(e)), e.Op.Action, e.Op.Access)
		}
		for _, u := range s.Unbuilt {
			fmt.Fprintf(&b, "| %s | no | | |\n", u.Name)
		}
	}
	var others []string
	for _, s := range catalog.Services() {
		if !rooms[s.Package] {
			others = append(others, s.Package)
		}
	}
	slices.Sort(others)
	fmt.Fprintf(&b, "\n## Known by name only\n\nEvery operation of these services answers `NotImplemented`: %s.\n", strings.Join(others, ", "))
	return b.Bytes(), nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// commands are those with flags.
var commands = [...]string{"serve", "events", "events tail", "why", "policy generate", "credentials", "seal status", "seal rewrap", "seal rotate", "unseal", "backup", "backup verify", "restore", "trail export", "trail keys", "trail verify", "exec", "agent", "kms-plugin"}

// configurationPage puts the flags between the marks that the page has for each command.
func configurationPage() ([]byte, error) {
	page, err := os.ReadFile(configurationFile)
	if err != nil {
		return nil, err
	}
	for _, name := range commands {
		table, err := flagTable(name)
		if err != nil {
			return nil, err
		}
		begin, end := []byte("<!-- flags of "+name+" -->\n"), []byte("<!-- end of flags -->\n")
		before, rest, found := bytes.Cut(page, begin)
		_, after, ended := bytes.Cut(rest, end)
		if !found || !ended {
			return nil, fmt.Errorf("%s has no marks for the flags of %s", configurationFile, name)
		}
		page = slices.Concat(before, begin, table, end, after)
	}
	return page, nil
}

// flagTable makes a table of the help of a command, whose lines come in pairs:
//
//	--name kind
//	      what it does (default value) [HOLDFAST_NAME]
func flagTable(name string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"run", "./cmd/holdfast"}, append(strings.Fields(name), "-h")...)...)
	// The page shows the defaults of a user who has set nothing.
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME=~/.local/share", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("asking holdfast %s for its flags: %w", name, err)
	}
	var b bytes.Buffer
	b.WriteString("| flag | variable | default | |\n| --- | --- | --- | --- |\n")
	lines := strings.Split(string(out), "\n")
	for i, line := range lines {
		head, ok := strings.CutPrefix(line, "  --")
		if !ok || i+1 == len(lines) {
			continue
		}
		help, env, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(lines[i+1]), "]"), " [")
		if !ok {
			return nil, fmt.Errorf("the help of --%s has another form than expected: %q", head, lines[i+1])
		}
		text, value, _ := strings.Cut(strings.TrimSuffix(help, ")"), " (default ")
		if value == "" {
			text = help
		} else {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", strings.TrimSpace(head), env, value, strings.ReplaceAll(text, "|", `\|`))
	}
	return b.Bytes(), nil
}
