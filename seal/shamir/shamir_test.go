package shamir

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/seal"
)

func mustDeal(t testing.TB, threshold, n int) ([]string, *Seal) {
	t.Helper()
	texts, err := Deal(threshold, n)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Assemble(texts)
	if err != nil {
		t.Fatal(err)
	}
	return texts, s
}

// sealed returns a keyring's storage, sealed by 3 of 5 shares, and something wrapped.
func sealed(t *testing.T) (texts []string, storage *seal.Memory, wrapped []byte) {
	texts, s := mustDeal(t, 3, 5)
	storage = new(seal.Memory)
	k, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	if wrapped, err = k.Wrap(seal.At("test"), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	return texts, storage, wrapped
}

// await returns a seal that awaits the shares of what is stored.
func await(t *testing.T, storage seal.Storage) *Seal {
	t.Helper()
	s := New()
	if _, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: storage}); !errors.Is(err, seal.ErrUnavailable) {
		t.Fatalf("Open: %v, want %v", err, seal.ErrUnavailable)
	}
	return s
}

func TestUnseal(t *testing.T) {
	texts, storage, wrapped := sealed(t)
	for _, order := range [][]int{{0, 1, 2}, {4, 2, 0}, {3, 4, 1}} {
		s := await(t, storage)
		for i, which := range order {
			st, err := s.Give(texts[which], s.Status().Attempt)
			if err != nil || st.Done != (i == 2) || !st.Done && st.Given != i+1 || st.Needed != 3 || st.Shares != 5 {
				t.Fatalf("share %d: %+v, %v", which, st, err)
			}
		}
		k, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: storage})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Unwrap(seal.At("test"), wrapped); string(got) != "secret" || err != nil {
			t.Errorf("Unwrap = %q, %v", got, err)
		}
		// The same shares open what was wrapped since.
		if _, err := k.Rotate(t.Context()); err != nil {
			t.Errorf("Rotate: %v", err)
		}
		if _, err := s.Give(texts[0], ""); !errors.Is(err, ErrNotAwaited) {
			t.Errorf("a share more: %v", err)
		}
	}
}

func TestGive(t *testing.T) {
	texts, storage, _ := sealed(t)
	foreign, _ := mustDeal(t, 3, 5)
	altered, err := parse(texts[1])
	if err != nil {
		t.Fatal(err)
	}
	alter := func(change func(*share)) string {
		s := *altered
		change(&s)
		return s.text()
	}
	s := await(t, storage)
	if st, err := s.Give(texts[0], ""); st.Given != 1 || err != nil {
		t.Fatalf("the first share: %+v, %v", st, err)
	}
	for name, c := range map[string]struct {
		text, attempt string
		want          error
	}{
		"Twice":             {texts[0], "", ErrGiven},
		"TwiceWritten":      {strings.ToUpper(strings.ReplaceAll(texts[0], "-", " ")) + "\r\n", "", ErrGiven},
		"OtherServer":       {foreign[1], "", ErrForeign},
		"AlteredValue":      {alter(func(s *share) { s.y[3] ^= 1 }), "", ErrAltered},
		"AlteredNumber":     {alter(func(s *share) { s.x = 3 }), "", ErrAltered},
		"NumberOutOfRange":  {alter(func(s *share) { s.x = 6 }), "", ErrAltered},
		"AlteredThreshold":  {alter(func(s *share) { s.threshold = 2 }), "", ErrAltered},
		"AlteredSet":        {alter(func(s *share) { s.set[0] ^= 1 }), "", ErrForeign},
		"ValueOfOtherShare": {alter(func(s *share) { s.x = 1 }), "", ErrAltered},
		"Cut":               {texts[1][:len(texts[1])-1], "", ErrMistyped},
		"Longer":            {texts[1] + "a", "", ErrMistyped},
		"OneLetterWrong":    {mistype(texts[1]), "", ErrMistyped},
		"Empty":             {"", "", ErrMistyped},
		"Nonsense":          {"correct horse", "", ErrMistyped},
		"OtherAttempt":      {texts[1], "ABC", ErrAttempt},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := s.Give(c.text, c.attempt)
			if !errors.Is(err, c.want) || st.Given != 1 || st.Done {
				t.Errorf("Give: %+v, %v, want %v", st, err, c.want)
			}
			if err != nil && len(c.text) > 20 && strings.Contains(err.Error(), c.text[12:20]) {
				t.Errorf("the error quotes the share: %v", err)
			}
		})
	}
	t.Run("Reset", func(t *testing.T) {
		before := s.Status().Attempt
		if st := s.Reset(); st.Given != 0 || st.Attempt == before {
			t.Errorf("Reset: %+v", st)
		}
		if _, err := s.Give(texts[1], before); !errors.Is(err, ErrAttempt) {
			t.Errorf("a share for the attempt before: %v", err)
		}
		for i, text := range texts[1:4] {
			if _, err := s.Give(text, ""); err != nil {
				t.Errorf("share %d after the reset: %v", i, err)
			}
		}
		if !s.Status().Done {
			t.Error("three shares do not open it after a reset")
		}
	})
	t.Run("NotAskedYet", func(t *testing.T) {
		if _, err := New().Give(texts[0], ""); !errors.Is(err, ErrNotAwaited) {
			t.Errorf("Give: %v", err)
		}
	})
}

// mistype exchanges one letter in the middle.
func mistype(text string) string {
	b := []byte(text)
	i := len(b) / 2
	if b[i] == '-' {
		i++
	}
	b[i] = "ab"[map[bool]int{true: 1}[b[i] == 'a']]
	return string(b)
}

func TestAnotherSet(t *testing.T) {
	texts, storage, _ := sealed(t)
	_, other := mustDeal(t, 2, 2)
	if _, err := seal.Open(t.Context(), seal.Config{Provider: other, Storage: storage}); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("Open by other shares: %v", err)
	}
	// Sealed anew while shares come in: those given are of no use.
	s := await(t, storage)
	if _, err := s.Give(texts[0], ""); err != nil {
		t.Fatal(err)
	}
	_, again, _ := sealed(t)
	if _, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: again}); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
	if st := s.Status(); st.Given != 0 {
		t.Errorf("%+v", st)
	}
}

func TestFound(t *testing.T) {
	var storage seal.Memory
	var handed []string
	refuse := errors.New("the printer is on fire")
	found := func(threshold, n int, to func(int, []string) error) *Seal {
		s, err := Found(threshold, n)
		if err != nil {
			t.Fatal(err)
		}
		s.HandOut(to)
		return s
	}
	s := found(2, 3, func(int, []string) error { return refuse })
	if _, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: &storage}); !errors.Is(err, refuse) {
		t.Fatalf("Open without handing out shares: %v", err)
	}
	if _, err := storage.Load(t.Context()); !errors.Is(err, seal.ErrEmpty) {
		t.Error("something was sealed by shares that nobody has")
	}
	s = found(2, 3, func(_ int, shares []string) error {
		handed = shares
		return nil
	})
	if _, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: &storage}); err != nil || len(handed) != 3 {
		t.Fatalf("Open: %v; %d shares", err, len(handed))
	}
	// Later starts await the shares that there are, whatever the configuration says.
	s = found(3, 9, func(int, []string) error { t.Error("shares were made anew"); return nil })
	if _, err := seal.Open(t.Context(), seal.Config{Provider: s, Storage: &storage}); !errors.Is(err, seal.ErrUnavailable) || s.Status().Needed != 2 {
		t.Errorf("Open: %v, %+v", err, s.Status())
	}
	if _, err := seal.Open(t.Context(), seal.Config{Provider: New(), Storage: new(seal.Memory)}); err == nil || errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("a first start without numbers: %v", err)
	}
	if _, err := seal.Open(t.Context(), seal.Config{Provider: found(2, 3, nil), Storage: new(seal.Memory)}); err == nil {
		t.Error("a first start with nobody to hand shares out")
	}
}

func TestBadNumbers(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {1, 1}, {1, 3}, {3, 2}, {2, 256}, {256, 256}, {-1, 3}} {
		if _, err := Deal(c[0], c[1]); err == nil {
			t.Errorf("Deal(%d, %d) made shares", c[0], c[1])
		}
		if _, err := Found(c[0], c[1]); err == nil {
			t.Errorf("Found(%d, %d) took it", c[0], c[1])
		}
	}
}

func TestAssemble(t *testing.T) {
	texts, _ := mustDeal(t, 3, 5)
	other, _ := mustDeal(t, 3, 5)
	one, _ := parse(texts[4])
	one.y[0] ^= 1
	for name, bad := range map[string][]string{
		"None": nil, "Few": texts[:2], "Mixed": {texts[0], other[1], texts[2]}, "Order": {texts[1], texts[0], texts[2]}, "Twice": {texts[0], texts[0], texts[1]},
		"Altered": append(slices.Clone(texts[:4]), one.text()), "Mistyped": {mistype(texts[0]), texts[1], texts[2]},
	} {
		if _, err := Assemble(bad); err == nil {
			t.Errorf("%s: Assemble took it", name)
		}
	}
}

// TestText pins how a share is written: people have it on paper.
func TestText(t *testing.T) {
	s := share{set: [setSize]byte{1, 2, 3, 4, 5, 6, 7, 8}, threshold: 3, x: 5}
	for i := range s.y {
		s.y[i] = byte(i)
	}
	got := s.text()
	raw, _ := parse(got)
	if raw == nil || *raw != s {
		t.Errorf("parse(%q) = %+v", got, raw)
	}
	const want = "hfs1-aeaqea-yeauda-ocadau-aacaqd-aqcqmb-yibefa-wdanby-hraeis-cmkbkf-qxdamr-ugy4du-pb72n3-ybba"
	if got != want {
		t.Errorf("text is %q, want %q", got, want)
	}
}

func TestTampered(t *testing.T) {
	_, s := mustDeal(t, 2, 3)
	w, err := s.Wrap(t.Context(), []byte("keyring"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range w {
		bad := bytes.Clone(w)
		bad[i] ^= 1
		if got, err := s.Unwrap(t.Context(), bad); err == nil {
			t.Errorf("byte %d changed: Unwrap = %q", i, got)
		}
		if got, err := s.Unwrap(t.Context(), w[:i]); err == nil {
			t.Errorf("cut to %d: Unwrap = %q", i, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	texts, err := Deal(2, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(texts[0])
	f.Add("hfs1-")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		clean := func(s string) string {
			return strings.ToLower(strings.NewReplacer("-", "", " ", "", "\n", "", "\r", "", "\t", "").Replace(s))
		}
		if clean(s.text()) != clean(text) {
			t.Errorf("parse(%q) is written %q", text, s.text())
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	texts, err := Deal(2, 2)
	if err != nil {
		f.Fatal(err)
	}
	s, err := Assemble(texts)
	if err != nil {
		f.Fatal(err)
	}
	w, _ := s.Wrap(context.Background(), []byte("keyring"))
	f.Add(w)
	f.Add(w[:20])
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		if got, err := s.Unwrap(context.Background(), wrapped); err == nil && string(got) != "keyring" {
			t.Errorf("Unwrap = %q", got)
		}
		if _, err := New().Unwrap(context.Background(), wrapped); err == nil {
			t.Error("nobody gave a share, and it opened")
		}
	})
}
