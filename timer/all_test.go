package timer_test

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/timer"
)

func TestAll(t *testing.T) {
	s := memstore.New()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for _, id := range []timer.ID{
			{Service: "kms", Account: "1", Region: "a", Kind: "expire", Subject: "x"}, {Service: "kms", Account: "2", Region: "b", Kind: "expire", Subject: "y"},
			{Service: "kms", Account: "2", Region: "b", Kind: "delete", Subject: "z"}, {Service: "sqs", Account: "2", Region: "b", Kind: "expire", Subject: "z"},
			{Service: "sqs", Account: "3", Region: "c", Kind: "expire", Subject: "z"}, {Service: "kms", Account: "4", Region: "a", Kind: "expire", Subject: "w"},
		} {
			if err := timer.Set(tx, id, epoch.Add(time.Hour), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = s.View(t.Context(), func(r store.Reader) error {
		for tm, err := range timer.All(r, "kms", "expire") {
			if err != nil {
				return err
			}
			got = append(got, tm.Account+tm.Region+tm.Subject)
		}
		return nil
	})
	if want := []string{"1ax", "2by", "4aw"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
