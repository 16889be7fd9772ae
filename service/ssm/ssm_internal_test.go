package ssm

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

func TestMessage(t *testing.T) {
	id, key, context := bytes.Repeat([]byte{1}, messageIDSize), bytes.Repeat([]byte{2}, 32), map[string]string{"PARAMETER_ARN": "arn:aws:ssm:us-east-1:111122223333:parameter/p"}
	b, err := writeMessage(id, key, []byte("encrypted"), "arn:aws:kms:us-east-1:111122223333:key/k", context, []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMessage(b)
	if err != nil || string(m.dataKey) != "encrypted" {
		t.Fatalf("readMessage = %q, %v", m.dataKey, err)
	}
	if got, err := m.open(key); err != nil || string(got) != "value" {
		t.Errorf("open = %q, %v", got, err)
	}
	if _, err := m.open(bytes.Repeat([]byte{3}, 32)); err == nil {
		t.Error("another key opens it")
	}
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 1
		if m, err := readMessage(bad); err == nil && string(m.dataKey) == "encrypted" {
			if _, err := m.open(key); err == nil {
				t.Errorf("byte %d is not authenticated", i)
			}
		}
		if _, err := readMessage(b[:i]); err == nil {
			t.Errorf("a message of %d bytes is whole", i)
		}
	}
}

func FuzzMessage(f *testing.F) {
	key := bytes.Repeat([]byte{2}, 32)
	b, err := writeMessage(make([]byte, messageIDSize), key, []byte("encrypted"), "arn", map[string]string{"a": "b"}, []byte("value"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := readMessage(b); err == nil {
			_, _ = m.open(key)
		}
	})
}

// FuzzReference reads names, and finds what it has read where a new parameter of the name would lie.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"a", "/a/b:3", "/a:label", "arn:aws:ssm:us-east-1:111122223333:parameter/a/b:1", "/aws/service/x", "/aws/reference/secretsmanager/a/b:AWSCURRENT", " /a ", "a/b", "/a//b",
		"arn:aws:ssm:us-east-1::parameter/aws/service/x", "arn:aws:ssm:us-east-1::parameter/a", ":", "/", "/:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := &call.Call{Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"}}
		r, err := parseReference(c, s)
		if err != nil {
			return
		}
		_ = r.version()
		if r.leaf == "" && r.service != publicSpace && r.service != secretsSpace || strings.Contains(r.leaf, "/") {
			t.Errorf("%q is %+v", s, r)
		}
		if r.service == "" {
			if n, _, err := newName(c, r.String()); err == nil && n != r.name {
				t.Errorf("%q is %+v, and %+v when it is put", s, r.name, n)
			}
		}
	})
}

func FuzzPolicies(f *testing.F) {
	f.Add(`[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-12-02T21:34:33.000Z"}},{"Type":"ExpirationNotification","Version":"1.0","Attributes":{"Before":15,"Unit":"Days"}}]`)
	f.Add(`[{}]`)
	f.Add(`[null,{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Hours"}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parsePolicies(text)
		if err != nil {
			return
		}
		for _, p := range list {
			again, err := parsePolicy([]byte(p.text))
			if err != nil || again == nil || again.Type != p.Type || again.span != p.span || !again.at.Equal(p.at) {
				t.Errorf("%s reads otherwise the second time: %+v, %v", p.text, again, err)
			}
		}
	})
}

// TestSpans holds spans against the names that lie in them.
func TestSpans(t *testing.T) {
	names := []string{"/a", "/a-", "/a.", "/aa", "/z", "/a/b", "/a/b-", "/a/b/c", "/a/b/c/d", "/a-/b", "/a./b", "/aa/b", "/a/0", "/a/b0", "/a/bz/x", "/A/b"}
	in := func(spans []span) (got []string) {
		for _, n := range names {
			key := tuple.Encode(splitName(n).dir, splitName(n).leaf)
			for _, s := range spans {
				if bytes.Compare(key, tuple.Encode(s.from...)) >= 0 && bytes.Compare(key, tuple.Encode(s.to...)) < 0 {
					got = append(got, n)
				}
			}
		}
		return got
	}
	where := func(keep func(string) bool) (want []string) {
		for _, n := range names {
			if keep(n) {
				want = append(want, n)
			}
		}
		return want
	}
	for what, c := range map[string]struct {
		spans []span
		keep  func(string) bool
	}{
		"only":       {[]span{only(splitName("/a/b"))}, func(n string) bool { return n == "/a/b" }},
		"level":      {[]span{level("/a")}, func(n string) bool { return splitName(n).dir == "/a" }},
		"below":      {[]span{level("/a"), below("/a")}, func(n string) bool { return strings.HasPrefix(n, "/a/") }},
		"root":       {[]span{level("")}, func(n string) bool { return strings.Count(n, "/") == 1 }},
		"everything": {everything(), func(string) bool { return true }},
		"beginning":  {disjoint(beginning("/a/b")), func(n string) bool { return strings.HasPrefix(n, "/a/b") }},
		"top":        {disjoint(beginning("/a")), func(n string) bool { return strings.HasPrefix(n, "/a") }},
		"overlap":    {disjoint(append(beginning("/a/b"), append(beginning("/a"), level("/a/b"))...)), func(n string) bool { return strings.HasPrefix(n, "/a") }},
		"two":        {disjoint([]span{only(splitName("/z")), only(splitName("/a")), only(splitName("/z"))}), func(n string) bool { return n == "/a" || n == "/z" }},
	} {
		if got, want := in(c.spans), where(c.keep); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}
