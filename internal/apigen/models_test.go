package apigen

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/internal/race"
)

// source is where the models lie beside the repository; HOLDFAST_MODELS and HOLDFAST_IAM_DATA name other places.
func source(t *testing.T) Source {
	in := Source{Models: "../../../shared/models", IAM: "../../../shared/iam-data", Own: "models"}
	if v := os.Getenv("HOLDFAST_MODELS"); v != "" {
		in.Models = v
	}
	if v := os.Getenv("HOLDFAST_IAM_DATA"); v != "" {
		in.IAM = v
	}
	for _, dir := range []string{in.Models, in.IAM} {
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("needs the service models and the IAM data, which are not in the repository: %v", err)
		}
	}
	return in
}

// typeChecked are the services whose code TestAllModels formats and type-checks, at least one a protocol;
// the code of the others it parses. HOLDFAST_LONG=1 checks all, which takes the better part of a minute.
var typeChecked = []string{"cloudwatch", "kms", "lambda", "route53", "scheduler", "sns", "sqs", "sts"}

// TestAllModels generates all operations of every service there is a model of.
func TestAllModels(t *testing.T) {
	in := source(t)
	folders, err := Folders(in.Models)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) == 0 {
		t.Fatalf("Folders(%q) is empty", in.Models)
	}
	lib, err := open(in)
	if err != nil {
		t.Fatal(err)
	}
	if race.Enabled { // which makes reading twenty megabytes of models ten times slower
		folders = []string{"kms", "sqs", "sts"}
	}
	check := newTypeChecker(t)
	var unknown []string
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			g, err := newService(lib, folder, []string{"*"})
			if err != nil {
				t.Fatal(err)
			}
			files := g.files()
			if os.Getenv("HOLDFAST_LONG") != "" || slices.Contains(typeChecked, folder) {
				if files, err = formatted(files); err != nil {
					t.Fatal(err)
				}
				check(t, files)
			}
			for _, f := range files {
				if _, err := parser.ParseFile(token.NewFileSet(), f.Path, f.Data, parser.SkipObjectResolution); err != nil {
					t.Error(err)
				}
			}
			for _, op := range g.operations {
				name, known := g.action(op)
				if known == nil {
					unknown = append(unknown, fmt.Sprintf("%s %s %s\n", folder, op, name))
				} else if accessNames[known.level()] == "" {
					t.Errorf("%s:%s has the access level %q", folder, op, known.AccessLevel)
				}
			}
			for _, id := range g.model.Metadata.Protocols {
				if protocolNames[id] == "" {
					t.Errorf("%s has the protocol %q", folder, id)
				}
			}
		})
	}
	if race.Enabled {
		return
	}
	// A new line here is either a gap of the reference, or an operation that needs a row in special.go.
	const path = "testdata/unknown-actions.txt"
	got := strings.Join(unknown, "")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("operations whose actions the IAM reference lacks (-%s +now):\n%s", path, diff)
	}
}

// newTypeChecker returns a function that checks the types of a generated package against the contract in
// wire and call, without what else stands there.
func newTypeChecker(t *testing.T) func(*testing.T, []File) {
	fset := token.NewFileSet()
	std := importer.Default()
	known := map[string]*types.Package{}
	config := types.Config{Importer: importerFunc(func(p string) (*types.Package, error) {
		if p := known[p]; p != nil {
			return p, nil
		}
		return std.Import(p)
	})}
	contract := config
	contract.IgnoreFuncBodies = true
	load := func(importPath string, sources map[string]any) {
		var files []*ast.File
		for _, name := range sortedKeys(sources) {
			f, err := parser.ParseFile(fset, name, sources[name], 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		pkg, err := contract.Check(importPath, fset, files, nil)
		if err != nil {
			t.Fatal(err)
		}
		known[importPath] = pkg
	}
	load(wirePath, map[string]any{
		"../../wire/error.go":     nil,
		"../../wire/generated.go": nil,
		"../../wire/operation.go": nil,
		"../../wire/rule.go":      nil,
		"../../wire/schema.go":    nil,
		"../../wire/shape.go":     nil,
	})
	load(callPath, map[string]any{
		"../../call/endpoint.go": nil,
		"../../call/typed.go":    nil,
		"call.go":                "package call\ntype Call struct{}",
	})
	return func(t *testing.T, files []File) {
		t.Helper()
		var parsed []*ast.File
		for _, f := range files {
			p, err := parser.ParseFile(fset, f.Path, f.Data, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if !ast.IsGenerated(p) {
				t.Errorf("%s does not say that it is generated", f.Path)
			}
			parsed = append(parsed, p)
		}
		if len(parsed) == 0 {
			t.Fatal("no files")
		}
		if _, err := config.Check(path.Dir(files[0].Path), fset, parsed, nil); err != nil {
			t.Error(err)
		}
	}
}

type importerFunc func(string) (*types.Package, error)

func (f importerFunc) Import(p string) (*types.Package, error) { return f(p) }

// TestCommittedOutput makes sure that api/ is what its manifest and the models yield.
func TestCommittedOutput(t *testing.T) {
	if race.Enabled {
		t.Skip("is checked without the race detector")
	}
	in := source(t)
	files, err := Generate(in, readManifest(t, "../../api/manifest.txt"))
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := Catalog(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check("../../api", append(files, catalog...)); err != nil {
		t.Errorf("api/ has to be generated anew:\n%v", err)
	}
	text := string(catalog[0].Data)
	for _, want := range []string{"\nListBuckets GET /\n", "\nGetSecretValue\n", "\nPutFunctionConcurrency PUT /"} {
		if !strings.Contains(text, want) {
			t.Errorf("the catalog lacks %q", want)
		}
	}
	for _, f := range files {
		if strings.Contains(string(f.Data), "<p>") {
			t.Errorf("%s holds documentation", f.Path)
		}
	}
}
