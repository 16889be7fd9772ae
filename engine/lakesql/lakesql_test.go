package lakesql_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/lakesql"
)

// stores is a Source in memory. It gives all records, whatever the range.
type stores map[string][]string

func (s stores) Records(_ context.Context, store string, _, _ time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		records, ok := s[store]
		if !ok {
			yield(nil, fmt.Errorf("no store %s", store))
			return
		}
		for _, r := range records {
			if !yield([]byte(r), nil) {
				return
			}
		}
	}
}

var now = time.Date(2023, 1, 25, 12, 0, 0, 0, time.UTC)

// answer runs a statement, and writes its result as a table.
func answer(source lakesql.Source, statement string) string {
	q, err := lakesql.Parse(statement)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	result, err := q.Run(context.Background(), source, lakesql.Limits{Now: now, Time: 20 * time.Second})
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var out strings.Builder
	out.WriteString(strings.Join(result.Columns, " | ") + "\n")
	for _, row := range result.Rows {
		for i, v := range row {
			if i > 0 {
				out.WriteString(" | ")
			}
			if v.Null {
				v.String = "NULL"
			}
			out.WriteString(v.String)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestTables runs the statements of testdata/*.txt: a statement, a line of ----, the result, an empty line. -update rewrites the results.
func TestTables(t *testing.T) {
	source := fixture(t)
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
				statement, want, _ := strings.Cut(block, "\n----\n")
				if statement = strings.TrimSuffix(statement, "\n----"); strings.HasPrefix(statement, "#") && !strings.Contains(statement, "\n") {
					out.WriteString(statement + "\n\n")
					continue
				}
				got := strings.TrimSuffix(answer(source, statement), "\n")
				fmt.Fprintf(&out, "%s\n----\n%s\n\n", statement, got)
				if diff := cmp.Diff(want, got); diff != "" && !*update {
					t.Errorf("%s\n(-want +got)\n%s", statement, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(strings.TrimSuffix(out.String(), "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestStrangeRecords answers from records that are broken, or hold what texts seldom do.
func TestStrangeRecords(t *testing.T) {
	source := stores{events: {
		"", "null", "[]", "{", `{"eventID"`, `{"eventID":`, `{"eventID":"a`, `{"eventID":"a"`, `{"eventID":{"x":[}`, "\xff\xfe", `{"eventID":"a\u0000b","eventName":"\ud83d\ude00\ud800"}`,
		`{ "eventID" : 5 , "eventName" : true , "eventTime" : "yesterday" , "readOnly" : "maybe" , "resources" : {} , "requestParameters" : [1] , "userIdentity" : "x" }`,
		`{"event\u0049D":"escaped","requestParameters":{"a\"b":"q","":"empty"}}`, "{\"eventID\":\"\xff\"}",
	}}
	for statement, want := range map[string]string{
		"SELECT count(*) FROM " + events: "_col0\n14\n",
		"SELECT eventID, length(eventID), eventName FROM " + events + " WHERE eventID LIKE 'a_b'":                                                                    "eventID | _col1 | eventName\na\x00b | 3 | 😀\ufffd\n",
		"SELECT eventTime, readOnly, resources, requestParameters, userIdentity.arn, userIdentity, eventName FROM " + events + " WHERE eventID = '5'":                "eventTime | readOnly | resources | requestParameters | arn | userIdentity | eventName\nNULL | NULL | NULL | NULL | NULL | NULL | true\n",
		"SELECT element_at(requestParameters, 'a\"b'), element_at(requestParameters, ''), map_keys(requestParameters) FROM " + events + " WHERE eventID = 'escaped'": "_col0 | _col1 | _col2\nq | empty | [a\"b, ]\n",
	} {
		if diff := cmp.Diff(want, answer(source, statement)); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", statement, diff)
		}
	}
}
