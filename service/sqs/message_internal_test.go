package sqs

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzMessage holds what is written and read here against encoding/json.
func FuzzMessage(f *testing.F) {
	f.Add("9f0c", "AIDA:me", "g", "d", "arn:aws:sqs:us-east-1:111111111111:q", int64(1), int64(-2), 3, []byte(`{"ID":"a","Sent":1,"Visible":2,"Bytes":3,"Pieces":1}`))
	f.Add("", "", "", "", "", int64(0), int64(0), 0, []byte(`{"ID":"\u0061","Sender":"<é>","Sent":-1,"Later":{}}`))
	f.Add(`"\`, "\xff", "a b", "\x00", "é<&>", int64(1<<62), int64(-1<<62), 1<<30, []byte(`{}`))
	f.Fuzz(func(t *testing.T, id, sender, group, dedup, source string, at, taken int64, n int, text []byte) {
		unexported := cmp.AllowUnexported(message{})
		m := &message{ID: id, Sender: sender, Sent: at, Visible: taken, Received: n, First: at, Taken: taken, Group: group, Dedup: dedup, Source: source, Bytes: n, Pieces: n}
		var want message
		standard, err := json.Marshal(m)
		if err != nil || json.Unmarshal(standard, &want) != nil {
			t.Skip() // nothing that encoding/json does not write is held against it
		}
		for _, b := range [][]byte{standard, m.encode()} {
			got, err := decodeMessage(b)
			if err != nil {
				t.Fatalf("decodeMessage(%s) = %v", b, err)
			}
			if diff := cmp.Diff(&want, got, unexported); diff != "" {
				t.Errorf("decodeMessage(%s): %s", b, diff)
			}
		}
		var other message
		failed := json.Unmarshal(text, &other)
		if got, err := decodeMessage(text); failed == nil {
			if diff := cmp.Diff(&other, got, unexported); diff != "" || err != nil {
				t.Errorf("decodeMessage(%q) = %v: %s", text, err, diff)
			}
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	m := &message{
		ID: "0b52dd5a-3f1c-4f5f-9df4-3e3a1b0e5a11", Sender: "000000000000", Sent: 1_800_000_000_000, Visible: 1_800_000_000_000_000_000, Received: 1, First: 1_800_000_000_000,
		Taken: 1_800_000_000_000_000_000, Bytes: 500, Pieces: 1,
	}
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.encode()
		}
	})
	encoded := m.encode()
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeMessage(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
