package organization_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/organization"
)

// testdata/effective.txt has cases: a name after "#", the type, a "level" line before each level's documents, one a line, and what comes out after "=".
func TestEffective(t *testing.T) {
	f, err := os.Open("testdata/effective.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var name, kind string
	var levels [][]string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			name, kind, levels = line[2:], "", nil
		case kind == "":
			kind = line
		case line == "level":
			levels = append(levels, nil)
		case strings.HasPrefix(line, "= "):
			t.Run(name, func(t *testing.T) {
				for _, docs := range levels {
					for _, doc := range docs {
						if err := organization.CheckInherited(kind, doc); err != nil {
							t.Fatalf("CheckInherited(%s) = %v", doc, err)
						}
					}
				}
				got, err := organization.Effective(kind, levels)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(value(t, line[2:]), value(t, got)); d != "" {
					t.Errorf("Effective (-want +got):\n%s", d)
				}
			})
		default:
			levels[len(levels)-1] = append(levels[len(levels)-1], line)
		}
	}
}

func value(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestCheckInherited(t *testing.T) {
	for doc, kind := range map[string]string{
		`{}`:                                "BACKUP_POLICY",
		``:                                  "BACKUP_POLICY",
		`[]`:                                "BACKUP_POLICY",
		`{"a":{"@@assign":1}} x`:            "BACKUP_POLICY",
		`{"a":{"@@assign":1}}}`:             "BACKUP_POLICY",
		`{"a":1}`:                           "BACKUP_POLICY",
		`{"a":{"@@assign":{"b":1}}}`:        "BACKUP_POLICY",
		`{"a":{"@@assign":null}}`:           "BACKUP_POLICY",
		`{"a":{"@@assign":[[1]]}}`:          "BACKUP_POLICY",
		`{"a":{"@@assign":1,"@@append":2}}`: "BACKUP_POLICY",
		`{"a":{"@@assign":1,"b":{}}}`:       "BACKUP_POLICY",
		`{"a":{"@@become":1}}`:              "BACKUP_POLICY",
		`{"@@operators_allowed_for_child_policies":"@@none"}`:     "BACKUP_POLICY",
		`{"@@operators_allowed_for_child_policies":["@@become"]}`: "BACKUP_POLICY",
		`{"a":{"b":{"@@assign":1}}}`:                              organization.TagPolicy,
		`{"tags":{"@@assign":1}}`:                                 "", // no tag policy, and no error
		`{"tags":{"a":{"tag_kay":{}}}}`:                           organization.TagPolicy,
		`{"tags":{"a":{},"A":{}}}`:                                organization.TagPolicy,
	} {
		if err := organization.CheckInherited(kind, doc); (err == nil) != (kind == "") {
			t.Errorf("CheckInherited(%s, %s) = %v", kind, doc, err)
		}
	}
}

// Whatever passes the check can be put together with anything else that does.
func FuzzEffective(f *testing.F) {
	f.Add(`{"tags":{"A":{"tag_key":{"@@assign":"A","@@operators_allowed_for_child_policies":["@@none"]}}}}`, `{"tags":{"a":{"tag_value":{"@@append":["x"]}}}}`)
	f.Add(`{"a":{"@@assign":[1]}}`, `{"a":{"b":{"@@assign":2}}}`)
	f.Add(`{"tags":{"@@assign":1}}`, `{"tags":{"@@remove":[1,true,"x"]}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, kind := range []string{organization.TagPolicy, "BACKUP_POLICY"} {
			if organization.CheckInherited(kind, a) != nil || organization.CheckInherited(kind, b) != nil {
				continue
			}
			out, err := organization.Effective(kind, [][]string{{a}, {b}, {a, b}})
			if err != nil || !json.Valid([]byte(out)) {
				t.Errorf("Effective(%s, %q, %q) = %q, %v", kind, a, b, out, err)
			}
		}
	})
}
