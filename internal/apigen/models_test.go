package apigen

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// source is where the models lie beside the repository; HOLDFAST_MODELS and HOLDFAST_IAM_DATA name other places.
func source(t *testing.T) Source {
	in := Source{Models: "../../../shared/models", IAM: "../../../shared/iam-data"}
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

// TestAllModels generates all operations of every service there is a model of, and checks the types.
func TestAllModels(t *testing.T) {
	in := source(t)
	folders, err := Folders(in.Models)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) == 0 {
		t.Fatalf("Folders(%q) is empty", in.Models)
	}
	check := newTypeChecker(t)
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			g, err := newService(in, folder, []string{"*"})
			if err != nil {
				t.Fatal(err)
			}
			files, err := g.files()
			if err != nil {
				t.Fatal(err)
			}
			check(t, files)
			for _, op := range g.operations {
				if name, known := g.action(op); known == nil && !unknownToIAM[folder+":"+op] {
					t.Errorf("the IAM reference has no %s for %s:%s", name, folder, op)
				}
			}
		})
	}
}

// unknownToIAM are operations whose actions the reference lacks.
var unknownToIAM = map[string]bool{}

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
	load := func(importPath string, sources map[string]any) {
		var files []*ast.File
		for _, name := range sortedKeys(sources) {
			f, err := parser.ParseFile(fset, name, sources[name], 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		pkg, err := config.Check(importPath, fset, files, nil)
		if err != nil {
			t.Fatal(err)
		}
		known[importPath] = pkg
	}
	contract := map[string]any{}
	for _, name := range []string{"error.go", "generated.go", "operation.go", "schema.go", "shape.go"} {
		contract[filepath.Join("../../wire", name)] = nil
	}
	load(wirePath, contract)
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

// TestNoDocumentation looks for text of the models in what is generated from them.
func TestNoDocumentation(t *testing.T) {
	in := source(t)
	files, err := Generate(in, Manifest{{Folder: "kms", Operations: []string{"*"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(string(f.Data), "<p>") {
			t.Errorf("%s holds documentation", f.Path)
		}
	}
}

// TestCatalog checks that every operation of every model is in the catalog, by its name.
func TestCatalog(t *testing.T) {
	in := source(t)
	files, err := Catalog(in)
	if err != nil {
		t.Fatal(err)
	}
	newTypeChecker(t)(t, files)
	text := string(files[0].Data)
	for _, want := range []string{"\nListBuckets GET /\n", "\nGetSecretValue\n", "\nPutFunctionConcurrency PUT /"} {
		if !strings.Contains(text, want) {
			t.Errorf("the catalog lacks %q", want)
		}
	}
	again, err := Catalog(in)
	if err != nil {
		t.Fatal(err)
	}
	if string(again[0].Data) != text {
		t.Error("the catalog came out different the second time")
	}
}

func TestCommittedOutput(t *testing.T) {
	in := source(t)
	f, err := os.Open("../../api/manifest.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := ReadManifest(f)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Generate(in, m)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := Catalog(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check("../../api", append(files, catalog...)); err != nil {
		t.Errorf("api/ is not what its manifest and the models yield; run make generate:\n%v", err)
	}
}
