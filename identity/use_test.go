package identity_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

func TestUsed(t *testing.T) {
	s := memstore.New()
	d := identity.New(s, seal.Ephemeral(), "aws")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if err := d.PutUser(t.Context(), identity.User{Account: "111122223333", Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	id, _, err := d.CreateKey(t.Context(), "111122223333", "ann", now)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := d.Lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	uses := func(subject string) (found []identity.Use) {
		t.Helper()
		err := s.View(t.Context(), func(r store.Reader) (err error) {
			found, err = d.LastUses(r, "111122223333", subject)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	write := func() {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		stop()
		d.RunUses(ctx, func(err error) { t.Error(err) }) // what is left is written when it ends
	}
	if found := uses(id); len(found) != 0 {
		t.Errorf("an unused key was used: %+v", found)
	}
	d.Used(cred, "kms", "us-east-1", now)
	d.Used(cred, "kms", "us-east-1", now.Add(time.Millisecond)) // the same second
	d.Used(cred, "iam", "eu-west-1", now.Add(time.Second))
	for _, subject := range []string{id, cred.Principal.ID} {
		want := []identity.Use{
			{Subject: subject, Service: "iam", Region: "eu-west-1", Time: now.Add(time.Second)},
			{Subject: subject, Service: "kms", Region: "us-east-1", Time: now},
		}
		if diff := cmp.Diff(want, uses(subject)); diff != "" {
			t.Errorf("last uses before they are written (-want +got):\n%s", diff)
		}
		write()
		if diff := cmp.Diff(want, uses(subject)); diff != "" {
			t.Errorf("last uses (-want +got):\n%s", diff)
		}
	}
	before := d.CacheStats()
	d.Used(cred, "kms", "us-east-1", now.Add(time.Hour))
	write()
	if found := uses(id); found[0].Service != "kms" || !found[0].Time.Equal(now.Add(time.Hour)) {
		t.Errorf("last uses: %+v", found)
	}
	if after := d.CacheStats(); after != before {
		t.Errorf("writing uses emptied the caches: %+v, then %+v", before, after)
	}
	// What is gone leaves nothing, also where a use is noted after it.
	err = s.Update(t.Context(), func(tx store.Tx) error {
		if err := identity.ForgetUses(tx, "111122223333", id); err != nil {
			return err
		}
		return identity.AccessKeys.In("", "").Delete(tx, id)
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Used(cred, "kms", "us-east-1", now.Add(2*time.Hour))
	write()
	if found := uses(id); len(found) != 0 {
		t.Errorf("a deleted key has uses: %+v", found)
	}
}

func TestUsedByTheRootUser(t *testing.T) {
	s := memstore.New()
	d := identity.New(s, seal.Ephemeral(), "aws")
	for _, kind := range []identity.SessionKind{identity.UserSession, identity.RootSession} {
		session := &identity.Session{Kind: kind, Account: account, Issued: now, Expires: now.Add(time.Hour)}
		token, err := d.Issue(session)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := d.Session(t.Context(), session.AccessKeyID, token)
		if err != nil {
			t.Fatal(err)
		}
		d.Used(cred, "kms", "us-east-1", now)
	}
	err := s.View(t.Context(), func(r store.Reader) error {
		found, err := d.AccountUses(r, account)
		if len(found) > 0 {
			t.Errorf("uses of nobody: %+v", found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUsedConcurrently(t *testing.T) {
	d := identity.New(memstore.New(), seal.Ephemeral(), "aws")
	cred := &identity.Credential{Principal: identity.Root("aws", "111122223333", "AKIAIOSFODNN7EXAMPLE")}
	var w sync.WaitGroup
	for i := range 4 {
		w.Go(func() {
			for j := range 1000 {
				d.Used(cred, "kms", "us-east-1", time.Unix(int64(i*j%7), 0))
			}
		})
	}
	w.Wait()
}

func BenchmarkUsed(b *testing.B) {
	d := identity.New(memstore.New(), seal.Ephemeral(), "aws")
	cred := &identity.Credential{Principal: identity.Root("aws", "111122223333", "AKIAIOSFODNN7EXAMPLE")}
	now := time.Now()
	for name, services := range map[string][2]string{"OneService": {"kms", "kms"}, "TwoServices": {"kms", "iam"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					d.Used(cred, services[i&1], "us-east-1", now)
				}
			})
		})
	}
}
