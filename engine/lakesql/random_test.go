package lakesql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/lakesql"
	"github.com/holdfast-cloud/holdfast/internal/race"
)

// event is a record of the oracle: its fields in the plain, nil for NULL.
type event map[string]*string

// columns of the oracle, as SQL names them.
var oracleColumns = []string{"eventName", "errorCode", "awsRegion", "userIdentity.userName", "element_at(requestParameters, 'key')"}

func randomEvent(r *rand.Rand, n int) (event, string) {
	pick := func(values ...string) *string {
		v := values[r.IntN(len(values))]
		if v == "" {
			return nil
		}
		return &v
	}
	e := event{
		"eventName": pick("Get", "Put", "List", "get", "Ünder", "a\"b", "x%y"), "errorCode": pick("", "", "Denied", "Throttled"),
		"awsRegion": pick("eu-west-1", "us-east-1", "us-east-2"), "userIdentity.userName": pick("", "ann", "bob", "carol"),
		"element_at(requestParameters, 'key')": pick("", "1", "2", "10", "a b\\c"),
	}
	id := fmt.Sprintf("E%05d", n)
	e["eventID"] = &id
	record := map[string]any{"eventID": id, "eventName": e["eventName"], "awsRegion": e["awsRegion"], "userIdentity": map[string]any{"userName": e["userIdentity.userName"]},
		"requestParameters": map[string]any{"other": []int{1, 2}, "key": e["element_at(requestParameters, 'key')"]}}
	if e["errorCode"] != nil {
		record["errorCode"] = e["errorCode"]
	}
	text, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return e, string(text)
}

// truth: 1 true, 0 NULL, -1 false.
type condition struct {
	sql   string
	truth func(event) int
}

func not(c condition) condition {
	return condition{"NOT (" + c.sql + ")", func(e event) int { return -c.truth(e) }}
}

func randomCondition(r *rand.Rand, depth int) condition {
	if depth > 0 && r.IntN(2) == 0 {
		a, b := randomCondition(r, depth-1), randomCondition(r, depth-1)
		switch r.IntN(3) {
		case 0:
			return condition{"(" + a.sql + " AND " + b.sql + ")", func(e event) int { return min(a.truth(e), b.truth(e)) }}
		case 1:
			return condition{"(" + a.sql + " OR " + b.sql + ")", func(e event) int { return max(a.truth(e), b.truth(e)) }}
		}
		return not(a)
	}
	column := oracleColumns[r.IntN(len(oracleColumns))]
	values := []string{"Get", "get", "Put", "Denied", "us-east-1", "ann", "carol", "1", "10", "a b\\c", "x%y", "Ünder", "m"}
	value := values[r.IntN(len(values))]
	wrapped := column // half of the conditions are such as the scan cannot test itself
	if r.IntN(2) == 0 {
		wrapped = "coalesce(" + column + ", NULL)"
	}
	compare := func(sql string, holds func(v string) bool) condition {
		return condition{sql, func(e event) int {
			v := e[column]
			switch {
			case v == nil:
				return 0
			case holds(*v):
				return 1
			}
			return -1
		}}
	}
	switch r.IntN(8) {
	case 0:
		return compare(wrapped+" = '"+value+"'", func(v string) bool { return v == value })
	case 1:
		return compare(wrapped+" <> '"+value+"'", func(v string) bool { return v != value })
	case 2:
		return compare("'"+value+"' <= "+wrapped, func(v string) bool { return value <= v })
	case 3:
		return compare(wrapped+" < '"+value+"'", func(v string) bool { return v < value })
	case 4:
		other := values[r.IntN(len(values))]
		return compare(wrapped+" IN ('"+value+"', '"+other+"')", func(v string) bool { return v == value || v == other })
	case 5:
		return compare(wrapped+" LIKE '%"+value[:1]+"%'", func(v string) bool { return value[0] < 0x80 && strings.Contains(v, value[:1]) })
	case 6:
		other := values[r.IntN(len(values))]
		return compare(wrapped+" BETWEEN '"+value+"' AND '"+other+"'", func(v string) bool { return v >= value && v <= other })
	}
	isNull := condition{wrapped + " IS NULL", func(e event) int {
		if e[column] == nil {
			return 1
		}
		return -1
	}}
	if r.IntN(2) == 0 {
		return isNull
	}
	return condition{wrapped + " IS NOT NULL", func(e event) int { return -isNull.truth(e) }}
}

func shown(v *string) string {
	if v == nil {
		return "NULL"
	}
	return *v
}

// compareNullable orders as ORDER BY does: NULL last.
func compareNullable(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return strings.Compare(*a, *b)
}

// TestOracle compares random filters, groups and orders with an evaluator that does nothing clever.
func TestOracle(t *testing.T) {
	queries := 1500
	if race.Enabled { // under which the engine, which is translated C, takes twenty times as long
		queries = 150
	}
	r := rand.New(rand.NewPCG(5, 8))
	var all []event
	source := stores{events: nil}
	for n := range 120 {
		e, record := randomEvent(r, n)
		all = append(all, e)
		source[events] = append(source[events], record)
	}
	for range queries {
		c := randomCondition(r, 3)
		if strings.Contains(c.sql, "%\xc3") {
			continue // half a letter
		}
		var matching []event
		for _, e := range all {
			if c.truth(e) == 1 {
				matching = append(matching, e)
			}
		}
		column := oracleColumns[r.IntN(len(oracleColumns))]
		var statement string
		var want []string
		if r.IntN(2) == 0 {
			descending := r.IntN(2) == 0
			statement = "SELECT eventID, " + column + " AS c FROM " + events + " WHERE " + c.sql + " ORDER BY c"
			if descending {
				statement += " DESC"
			}
			statement += ", eventID"
			slices.SortStableFunc(matching, func(a, b event) int {
				order := compareNullable(a[column], b[column])
				if descending && a[column] != nil && b[column] != nil {
					return -order
				}
				return order
			})
			for _, e := range matching {
				want = append(want, *e["eventID"]+"|"+shown(e[column]))
			}
		} else {
			statement = "SELECT " + column + ", count(*), count(errorCode), min(eventName), max(eventID) FROM " + events + " WHERE " + c.sql + " GROUP BY " + column + " ORDER BY 1"
			groups := make(map[string][]event)
			var keys []*string
			for _, e := range matching {
				key := shown(e[column])
				if groups[key] == nil {
					keys = append(keys, e[column])
				}
				groups[key] = append(groups[key], e)
			}
			slices.SortFunc(keys, compareNullable)
			for _, key := range keys {
				group := groups[shown(key)]
				codes, least, last := 0, *group[0]["eventName"], ""
				for _, e := range group {
					if e["errorCode"] != nil {
						codes++
					}
					least, last = min(least, *e["eventName"]), max(last, *e["eventID"])
				}
				want = append(want, fmt.Sprintf("%s|%d|%d|%s|%s", shown(key), len(group), codes, least, last))
			}
		}
		q, err := lakesql.Parse(statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		result, err := q.Run(context.Background(), source, lakesql.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		var got []string
		for _, row := range result.Rows {
			cells := make([]string, len(row))
			for i, v := range row {
				if cells[i] = v.String; v.Null {
					cells[i] = "NULL"
				}
			}
			got = append(got, strings.Join(cells, "|"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n(-want +got)\n%s", statement, diff)
		}
		if result.Stats.Scanned != int64(len(all)) || result.Stats.Matched != int64(len(matching)) {
			t.Fatalf("%s: stats %+v, want %d matched", statement, result.Stats, len(matching))
		}
	}
}
