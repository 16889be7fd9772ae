package apigen

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the expected output")

// TestGolden generates packages from invented models that use every trait there is in the real ones, and
// compares them with golden/, where they are packages that compile and that other tests use.
func TestGolden(t *testing.T) {
	files := generateInvented(t)
	if *update {
		if err := Write("golden", files); err != nil {
			t.Fatal(err)
		}
	}
	want, err := generated("golden")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, f := range files {
		got[f.Path] = f.Data
		if diff := cmp.Diff(string(want[f.Path]), string(f.Data)); diff != "" {
			t.Errorf("%s differs (-golden +generated):\n%s", f.Path, diff)
		}
		if strings.Contains(string(f.Data), "must not come out") {
			t.Errorf("%s holds documentation", f.Path)
		}
	}
	for _, path := range sortedKeys(want) {
		if got[path] == nil {
			t.Errorf("%s is not generated any longer", path)
		}
	}
}

var invented = Source{Models: "testdata/models", IAM: "testdata/iam"}

func generateInvented(t *testing.T) []File {
	t.Helper()
	m := readManifest(t, "testdata/manifest.txt")
	files, err := Generate(invented, m)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := Catalog(invented)
	if err != nil {
		t.Fatal(err)
	}
	return append(files, catalog...)
}

func readManifest(t *testing.T, path string) Manifest {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := ReadManifest(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGenerateIsRepeatable(t *testing.T) {
	first := generateInvented(t)
	for range 2 {
		for i, f := range generateInvented(t) {
			if f.Path != first[i].Path || !bytes.Equal(f.Data, first[i].Data) {
				t.Fatalf("%s comes out different the next time", f.Path)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	files := []File{{"a/a.go", []byte(marker + "x. DO NOT EDIT.\n\npackage a\n")}, {"b/b.go", []byte(marker + "y. DO NOT EDIT.\n\npackage b\n")}}
	dir := t.TempDir()
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	t.Run("OK", func(t *testing.T) {
		if err := Check(dir, files); err != nil {
			t.Errorf("Check after Write: %v", err)
		}
	})
	t.Run("Differs", func(t *testing.T) {
		changed := []File{files[0], {"b/b.go", []byte("other")}}
		if err := Check(dir, changed); err == nil || err.Error() != "b/b.go differs" {
			t.Errorf("Check of a changed file: %v", err)
		}
	})
	t.Run("Missing", func(t *testing.T) {
		more := append(files[:2:2], File{"c/c.go", nil})
		if err := Check(dir, more); err == nil || err.Error() != "c/c.go is missing" {
			t.Errorf("Check of a missing file: %v", err)
		}
	})
	t.Run("Stale", func(t *testing.T) {
		if err := Check(dir, files[:1]); err == nil || err.Error() != "b/b.go is no longer generated" {
			t.Errorf("Check of a stale file: %v", err)
		}
		if err := Write(dir, files[:1]); err != nil {
			t.Fatal(err)
		}
		if err := Check(dir, files[:1]); err != nil {
			t.Errorf("Check after Write without the stale file: %v", err)
		}
	})
}

func TestReadManifest(t *testing.T) {
	t.Run("OK", func(t *testing.T) {
		got, err := ReadManifest(strings.NewReader("# c\n\nb X\n a * # all\nb Y Z\n"))
		want := Manifest{{"a", []string{"*"}}, {"b", []string{"X", "Y", "Z"}}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ReadManifest: %v\n%s", err, diff)
		}
	})
	t.Run("NoOperations", func(t *testing.T) {
		if _, err := ReadManifest(strings.NewReader("a\n")); err == nil {
			t.Error("ReadManifest accepts a service without operations")
		}
	})
	t.Run("UnknownOperation", func(t *testing.T) {
		if _, err := Generate(invented, Manifest{{"orchard", []string{"BurnTree"}}}); err == nil {
			t.Error("Generate accepts an operation that the model has not")
		}
	})
	t.Run("UnknownService", func(t *testing.T) {
		if _, err := Generate(invented, Manifest{{"meadow", []string{"*"}}}); err == nil {
			t.Error("Generate accepts a service that has no model")
		}
	})
}

func TestNameClash(t *testing.T) {
	for _, test := range []struct{ outcome, shape, member string }{
		{"GeneratedName", "Client", "A"},
		{"OperationVariable", "OpPing", "A"},
		{"OtherShape", "_In", "A"},
		{"Field", "Out", "in"},
	} {
		t.Run(test.outcome, func(t *testing.T) {
			m := &Model{Folder: "clash", Operations: map[string]*Operation{"Ping": {Input: &Ref{Shape: "In"}, Output: &Ref{Shape: test.shape}}},
				Shapes: map[string]*Shape{
					"In":       {Type: "structure"},
					"S":        {Type: "string"},
					test.shape: {Type: "structure", Members: Members{{"In", Ref{Shape: "S"}}, {test.member, Ref{Shape: "S"}}}},
				}}
			if err := m.normalize(); err != nil {
				t.Fatal(err)
			}
			g := &service{model: m, operations: []string{"Ping"}}
			g.reach()
			if err := g.name(); err == nil {
				t.Error("name accepts it")
			}
		})
	}
}

func TestConstantName(t *testing.T) {
	for value, want := range map[string]string{
		"RSA_2048":                  "Rsa2048",
		"public-read":               "PublicRead",
		"GenerateDataKey":           "GenerateDataKey",
		"ECC_SECG_P256K1":           "EccSecgP256k1",
		"s3:ObjectCreated:*":        "S3ObjectCreated",
		"a1.medium":                 "A1Medium",
		"*":                         "Value3",
		"Kilobytes/Second":          "KilobytesSecond",
		"https only":                "HttpsOnly",
		"RSAES_PKCS1_V1_5":          "RsaesPkcs1V15",
		"application/json; v=\"1\"": "ApplicationJsonV1",
	} {
		if got := constantName(value, 2); got != want {
			t.Errorf("constantName(%q) = %q, want %q", value, got, want)
		}
	}
}
