package eventpattern

import "testing"

func TestSmoke(t *testing.T) {
	for _, c := range []struct {
		p, e string
		want bool
	}{
		{`{"source":["a"],"detail":{"n":[{"numeric":[">",1,"<=",5]}]}}`, `{"source":"a","detail":{"n":5.0}}`, true},
		{`{"source":["a"],"detail":{"n":[300]}}`, `{"source":"a","detail":{"n":3.0e2}}`, true},
		{`{"x":{"a":[1],"b":[4]}}`, `{"x":[{"a":1,"b":2},{"a":3,"b":4}]}`, false},
		{`{"x":{"a":[1],"b":[2]}}`, `{"x":[{"a":1,"b":2},{"a":3,"b":4}]}`, true},
		{`{"x":[{"exists":false}]}`, `{"y":[]}`, true},
		{`{"x":[{"anything-but":["a"]}]}`, `{"x":"a"}`, false},
		{`{"x":[{"anything-but":["a"]}]}`, `{"x":["a","b"]}`, true},
		{`{"x":[{"wildcard":"a*c\\*"}]}`, `{"x":"abbc*"}`, true},
	} {
		p, err := Compile(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Match([]byte(c.e)) != c.want {
			t.Errorf("%s %s", c.p, c.e)
		}
	}
	for _, c := range [][2]string{
		{"{'bad': 'quotation'}", "Event pattern is not valid. Reason: Unexpected character (''' (code 39)): was expecting double-quote to start field name\n at [Source: (String)\"{'bad': 'quotation'}\"; line: 1, column: 2]"},
		{`{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}`, "Event pattern is not valid. Reason: prefix/suffix match pattern must be a string\n at [Source: (String)\"{\"detail\": {\"state\": [{\"anything-but\": {\"prefix\": [123, \"test\"]}}]}}\"; line: 1, column: 55]\n at [Source: (String)\"{\"detail\": {\"state\": [{\"anything-but\": {\"prefix\": [123, \"test\"]}}]}}\"; line: 1, column: 55]"},
		{`{"not": closed mark"`, "Event pattern is not valid. Reason: Unrecognized token 'closed': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (String)\"{\"not\": closed mark\"\"; line: 1, column: 15]"},
	} {
		_, err := Compile(c[0])
		if err == nil || err.Error() != c[1] {
			t.Errorf("%s:\n%v\n%s", c[0], err, c[1])
		}
	}
}
