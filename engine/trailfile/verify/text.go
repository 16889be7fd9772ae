package verify

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteText writes a report for people. Its last line says whether the files are valid.
func (r *Report) WriteText(out io.Writer) error {
	w := &writer{out: out}
	for _, c := range r.Chains {
		w.printf("%s\n", c.name())
		if c.Organization != "" {
			w.printf("  organization %s\n", c.Organization)
		}
		if c.ValidDigests > 0 {
			w.printf("  proven from %s to %s\n", written(c.From), written(c.To))
		}
		w.printf("  %d of %d digests valid, %d of %d log files valid with %d records\n", c.ValidDigests, c.Digests, c.ValidLogs, c.Logs, c.Records)
	}
	if len(r.Findings) > 0 {
		w.printf("\n")
	}
	for _, f := range r.Findings {
		what := f.What
		if f.Record > 0 {
			what = fmt.Sprintf("%s %d", what, f.Record)
		}
		if f.EventID != "" {
			what += " (event " + f.EventID + ")"
		}
		w.printf("%-8s  %s  %s\n", strings.ToUpper(string(f.Kind)), what, f.Key)
		if f.Detail != "" {
			w.printf("          %s\n", f.Detail)
		}
	}
	if r.More > 0 {
		w.printf("and %d findings more\n", r.More)
	}
	if len(r.Notes) > 0 {
		w.printf("\n")
	}
	for _, n := range r.Notes {
		w.printf("Note: %s\n", n)
	}
	switch {
	case r.Valid():
		w.printf("\nVALID: every file is as it was delivered, and none was removed or added, in the time said above.\n")
	case len(r.Chains) == 0:
		w.printf("\nNOT VALID: there are no digests.\n")
	default:
		w.printf("\nNOT VALID: %d findings.\n", len(r.Findings)+r.More)
	}
	return w.err
}

// writer writes lines that are safe at a terminal, whatever names of files hold.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) printf(format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = strings.Map(visible, text)
		}
	}
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}

func visible(r rune) rune {
	if !unicode.IsPrint(r) {
		return '\uFFFD'
	}
	return r
}
