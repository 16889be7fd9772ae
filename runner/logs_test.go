package runner

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLogs(t *testing.T) {
	var got []string
	l := newLogs("stream", func() time.Time { return time.Unix(0, 0) }, func(lines []LogLine) {
		for _, line := range lines {
			got = append(got, line.RequestID+"|"+line.Text)
		}
	})
	write := func(s string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.writeLocked([]byte(s))
	}
	expect := func(want ...string) {
		t.Helper()
		l.deliver()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %.300q, want %.300q", got, want)
		}
		got = nil
	}
	write("at the start\nhalf")
	l.begin("1")
	write("a li")
	write("ne\r\n\nand \xff\n")
	l.platform("REPORT %d", 1)
	write("no end")
	if tail := string(l.end()); tail != "a line\n\nand \uFFFD\nREPORT 1\nno end\n" {
		t.Errorf("the tail is %q", tail)
	}
	write("after\n")
	expect("|at the start", "|half", "1|a line", "1|", "1|and \uFFFD", "1|REPORT 1", "1|no end", "|after")

	l.begin("2")
	write(strings.Repeat("x", maxLine+10) + "\n")
	expect("2|"+strings.Repeat("x", maxLine), "2|xxxxxxxxxx")
	for range maxLog / 1000 {
		write(strings.Repeat("y", 999) + "\n")
	}
	write("dropped\n")
	l.platform("REPORT 2")
	l.deliver()
	sum := 0
	for _, g := range got {
		sum += len(g)
	}
	if last := got[len(got)-1]; last != "2|REPORT 2" || !strings.Contains(got[len(got)-2], "bytes of log were dropped: one invocation may write 4194304") || sum > maxLog+100*len(got) {
		t.Errorf("the log ends with %q", got[max(0, len(got)-3):])
	}
	if tail := l.end(); len(tail) != maxTail || !strings.HasSuffix(string(tail), "REPORT 2\n") {
		t.Errorf("the tail has %d bytes", len(tail))
	}
	got = nil
	l.begin("3")
	write("again\n")
	expect("3|again")
}

func FuzzLogs(f *testing.F) {
	f.Add("a\nb", 1)
	f.Fuzz(func(t *testing.T, s string, at int) {
		var got strings.Builder
		l := newLogs("", time.Now, func(lines []LogLine) {
			for _, line := range lines {
				fmt.Fprintln(&got, line.Text)
			}
		})
		if at < 0 || at > len(s) {
			at = 0
		}
		l.writeLocked([]byte(s[:at]))
		l.writeLocked([]byte(s[at:]))
		l.end()
		l.deliver()
		want := strings.ToValidUTF8(s, "\uFFFD")
		if strings.ContainsAny(s, "\r") || strings.ToValidUTF8(s, "") != s || s == "" {
			return
		}
		if !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if got.String() != want {
			t.Errorf("got %q, want %q", got.String(), want)
		}
	})
}
