package kms_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	api "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// TestDocument holds docs/kms.md against the model, the key engine and the tests there are.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/kms.md")
	ok(t)(page, err)
	files, err := filepath.Glob("*_test.go")
	ok(t)(files, err)
	there := make(map[string]bool)
	for _, name := range files {
		text, err := os.ReadFile(name)
		ok(t)(text, err)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
	}
	for _, name := range regexp.MustCompile(`Test[A-Z]\w*`).FindAllString(string(page), -1) {
		if !there[name] {
			t.Errorf("there is no %s", name)
		}
	}
	rows := make(map[string][]string) // cells by the first one
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[cells[0]] = cells
	}
	for _, op := range api.Operations() {
		row := rows[op.Name]
		if len(row) != 3 || row[1] != "yes" || !strings.Contains(row[2], "Test") {
			t.Errorf("the row of %s is %q", op.Name, row)
		}
	}
	for _, spec := range keys.Specs() {
		row := rows[string(spec)]
		if len(row) != 4 || !strings.Contains(row[3], "Test") {
			t.Errorf("the row of %s is %q", spec, row)
			continue
		}
		var usages []string
		for _, u := range spec.Usages() {
			usages = append(usages, string(u))
		}
		told := strings.Split(row[1], ", ")
		slices.Sort(usages)
		slices.Sort(told)
		if !slices.Equal(usages, told) {
			t.Errorf("the usages of %s are %v, told are %v", spec, usages, told)
		}
	}
}
