package apigen

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOwnModels generates the packages of the models that are kept here; all that it takes is in the repository.
func TestOwnModels(t *testing.T) {
	folders, err := Folders("models")
	if err != nil || len(folders) == 0 {
		t.Fatalf("Folders(models) = %v, %v", folders, err)
	}
	var m Manifest
	for _, folder := range folders {
		m = append(m, ManifestLine{Folder: folder, Operations: []string{"*"}})
	}
	files, err := Generate(Source{Own: "models"}, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join("../../api", f.Path))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(b), string(f.Data)); diff != "" {
			t.Errorf("api/%s differs (-there +generated):\n%s", f.Path, diff)
		}
	}
}
