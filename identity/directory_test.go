package identity_test

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

const account = "111122223333"

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) (*identity.Directory, store.Store) {
	t.Helper()
	s := memstore.New()
	t.Cleanup(func() { s.Close() })
	return identity.New(s, seal.Ephemeral(), "aws"), s
}

func createKey(t *testing.T, d *identity.Directory, user string) (id, secret string) {
	t.Helper()
	id, secret, err := d.CreateKey(t.Context(), account, user, now)
	if err != nil {
		t.Fatalf("CreateKey(%s): %v", user, err)
	}
	return id, secret
}

func TestRootKey(t *testing.T) {
	d, s := open(t)
	if has, err := d.HasRootKey(t.Context(), account); has || err != nil {
		t.Errorf("HasRootKey() = %v, %v", has, err)
	}
	id, secret := createKey(t, d, "")
	if has, err := d.HasRootKey(t.Context(), account); !has || err != nil {
		t.Errorf("HasRootKey() = %v, %v", has, err)
	}
	if has, _ := d.HasRootKey(t.Context(), "111122223334"); has {
		t.Error("another account has it, too")
	}
	cred, err := d.Lookup(t.Context(), id)
	if err != nil || cred.Secret != secret || len(secret) != 40 {
		t.Fatalf("Lookup() = %+v, %v, want secret %s", cred, err, secret)
	}
	p := cred.Principal
	if p.Kind != policy.Root || p.ARN != "arn:aws:iam::111122223333:root" || p.UserID() != account || p.AccessKeyID != id {
		t.Errorf("the principal is %+v", p)
	}
	// What lies in the store is wrapped.
	err = s.View(t.Context(), func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil || bytes.Contains(kv.Value, []byte(secret)) {
				t.Errorf("the store tells the secret: %s, %v", kv.Value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tools read the account out of an access key ID: forty bits behind the first of eighty.
func TestAccessKeyIDHoldsTheAccount(t *testing.T) {
	d, _ := open(t)
	for _, account := range []string{"000000000000", "000000000001", "111122223333", "999999999999"} {
		id, _, err := d.CreateKey(t.Context(), account, "", now)
		if err != nil {
			t.Fatal(err)
		}
		b, err := base32.StdEncoding.DecodeString(id[4:])
		if err != nil || len(id) != 20 || id[:4] != "AKIA" {
			t.Fatalf("access key ID %s: %v", id, err)
		}
		var n uint64
		for _, c := range b[:6] {
			n = n<<8 | uint64(c)
		}
		var want uint64
		for _, c := range account {
			want = want*10 + uint64(c-'0')
		}
		if got := n & 0x7fffffffff80 >> 7; got != want {
			t.Errorf("%s holds %d, want %s", id, got, account)
		}
	}
}

func TestCreateKeyRefuses(t *testing.T) {
	d, _ := open(t)
	for _, tt := range []struct {
		account, user string
		want          error
	}{
		{"12345678901", "", nil}, {"", "", nil}, {"+12345678901", "", nil}, {"abcdefghijkl", "", nil}, {account, "nobody", identity.ErrNoUser},
	} {
		_, _, err := d.CreateKey(t.Context(), tt.account, tt.user, now)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("CreateKey(%q, %q): %v", tt.account, tt.user, err)
		}
	}
}

func TestUser(t *testing.T) {
	d, _ := open(t)
	put := func(u identity.User) {
		t.Helper()
		if err := d.PutUser(t.Context(), u, now); err != nil {
			t.Fatalf("PutUser: %v", err)
		}
	}
	put(identity.User{Account: account, Name: "ann", Tags: map[string]string{"team": "a"}})
	id, _ := createKey(t, d, "ann")
	look := func() *identity.Principal {
		t.Helper()
		c, err := d.Lookup(t.Context(), id)
		if err != nil {
			t.Fatalf("Lookup: %v", err)
		}
		return c.Principal
	}
	first := look()
	if first.Kind != policy.User || first.ARN != "arn:aws:iam::111122223333:user/ann" || !strings.HasPrefix(first.ID, "AIDA") || len(first.ID) != 21 || first.Tags["team"] != "a" ||
		len(first.Identity) != 0 {
		t.Errorf("the principal is %+v", first)
	}
	var record map[string]any
	if err := json.Unmarshal(first.UserIdentity(), &record); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"type": "IAMUser", "principalId": first.ID, "arn": first.ARN, "accountId": account, "accessKeyId": id, "userName": "ann"}, record); d != "" {
		t.Errorf("userIdentity (-want +got):\n%s", d)
	}
	// A change counts from the next look on, and keeps the unique ID.
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
	put(identity.User{Account: account, Name: "ann", Permissions: identity.Permissions{Inline: map[string]string{"p": allow}}})
	if p := look(); len(p.Identity) != 1 || p.Tags != nil || p.ID != first.ID {
		t.Errorf("after a change the principal is %+v", p)
	}
	if u, err := d.User(t.Context(), account, "ann"); err != nil || u.Inline["p"] != allow || !u.Created.Equal(now) {
		t.Errorf("User() = %+v, %v", u, err)
	}
	if _, err := d.User(t.Context(), account, "bob"); !errors.Is(err, identity.ErrNoUser) {
		t.Errorf("User(bob): %v", err)
	}
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann", Permissions: identity.Permissions{Inline: map[string]string{"p": "{"}}}, now); err == nil {
		t.Error("a policy that is none was taken")
	}
}

func TestLookupUnknown(t *testing.T) {
	d, _ := open(t)
	for _, id := range []string{"", "AKIAIOSFODNN7EXAMPLE", strings.Repeat("A", 1<<20), "\x00"} {
		if _, err := d.Lookup(t.Context(), id); !errors.Is(err, identity.ErrUnknownKey) {
			t.Errorf("Lookup(%.20q): %v", id, err)
		}
	}
}

// A key is found as soon as it has been made, and its user's newest policies are, by whoever looks at the same time.
// A key that is there must not pass for one that nobody has: dev mode lets those in.
func TestLookupOfAKeyThatIsThere(t *testing.T) {
	d, s := open(t)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	id, _ := createKey(t, d, "ann")
	if _, err := d.Lookup(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx store.Tx) error {
		key, err := identity.AccessKeys.In("", "").Get(tx, id)
		if err != nil {
			return err
		}
		key.Inactive = true
		return identity.AccessKeys.In("", "").Put(tx, key)
	})
	if _, err := d.Lookup(t.Context(), id); !errors.Is(err, identity.ErrInactive) || errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("an inactive key: %v", err)
	}
	for what, change := range map[string]func(u *identity.User){
		"its group":           func(u *identity.User) { u.Groups = []string{"gone"} },
		"its managed policy":  func(u *identity.User) { u.Attached = []string{"arn:aws:iam::111122223333:policy/gone"} },
		"AWS's policy":        func(u *identity.User) { u.Attached = []string{"arn:aws:iam::aws:policy/Gone"} },
		"its boundary":        func(u *identity.User) { u.Boundary = "arn:aws:iam::111122223333:policy/gone" },
		"a policy's language": func(u *identity.User) { u.Inline = map[string]string{"p": "{"} },
	} {
		update(t, s, func(tx store.Tx) error {
			key, err := identity.AccessKeys.In("", "").Get(tx, id)
			if err != nil {
				return err
			}
			key.Inactive = false
			u := &identity.User{Account: account, Name: "ann", ID: "AIDA"}
			change(u)
			return errors.Join(identity.AccessKeys.In("", "").Put(tx, key), identity.Users.In(account, "").Put(tx, u))
		})
		if cred, err := d.Lookup(t.Context(), id); err == nil || errors.Is(err, identity.ErrUnknownKey) {
			t.Errorf("without %s: %+v, %v", what, cred, err)
		}
	}
	update(t, s, func(tx store.Tx) error { return identity.Users.In(account, "").Delete(tx, "ann") })
	if cred, err := d.Lookup(t.Context(), id); !errors.Is(err, identity.ErrInactive) {
		t.Errorf("without its user: %+v, %v", cred, err)
	}
}

func TestLookupWhileUsersChange(t *testing.T) {
	d, _ := open(t)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	id, _ := createKey(t, d, "ann")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := d.Lookup(t.Context(), id); err != nil {
					t.Errorf("Lookup: %v", err)
				}
			}
		})
	}
	for i := range 50 {
		tag := strings.Repeat("x", i)
		if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann", Tags: map[string]string{"n": tag}}, now); err != nil {
			t.Fatal(err)
		}
		if c, err := d.Lookup(t.Context(), id); err != nil || c.Principal.Tags["n"] != tag {
			t.Errorf("after change %d: %+v, %v", i, c, err)
		}
	}
	close(done)
	wg.Wait()
}

func TestExists(t *testing.T) {
	d, _ := open(t)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		account: true, "1234": false, "arn:aws:iam::999988887777:root": true, "arn:aws:iam::111122223333:user/ann": true, "arn:aws:iam::111122223333:user/bob": false,
		"arn:aws:iam::999988887777:user/ann": false, "arn:aws-cn:iam::111122223333:root": false, "arn:aws:iam::111122223333:role/r": false, "arn:aws:iam:::root": false,
		"arn:aws:s3:::ann": false, "nonsense": false, "": false, "*": false,
	} {
		if got, err := d.Exists(t.Context(), name); got != want || err != nil {
			t.Errorf("Exists(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestDeveloper(t *testing.T) {
	p, err := identity.Developer("aws", account, "test")
	if err != nil || len(p.Identity) != 1 || p.ARN != "arn:aws:iam::111122223333:user/dev" {
		t.Errorf("Developer() = %+v, %v", p, err)
	}
	if p := identity.Anonymous("x"); p.Account != "" || p.ARN != "" {
		t.Errorf("Anonymous() = %+v", p)
	}
}

func TestGuest(t *testing.T) {
	guest := identity.DeveloperARN("aws", "111122223333")
	d := identity.New(memstore.New(), seal.Ephemeral(), "aws", guest)
	for name, want := range map[string]bool{guest: true, "arn:aws:iam::111122223333:user/ann": false} {
		if got, err := d.Exists(t.Context(), name); got != want || err != nil {
			t.Errorf("Exists(%s) = %t, %v, want %t", name, got, err, want)
		}
	}
}
