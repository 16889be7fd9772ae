package events_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// record is a connection's record as it is stored.
type record map[string]any

var records = store.NewTable("events", "connection", func(r *record) store.Key { return store.Key{(*r)["Name"]} })

// keyring is the stored keyring of a cloud, which stays as it is.
type keyring struct{ tx store.Tx }

func (k keyring) Load(context.Context) ([]byte, error) {
	return k.tx.Get(tuple.Encode("holdfast", "seal", "keyring"))
}

func (keyring) Swap(context.Context, []byte, []byte) error { return errors.New("the keyring is read") }

// tamper changes the record of the connection c in the data directory of a cloud that is closed, and forgets all secrets of Secrets Manager.
func tamper(t *testing.T, dir string, change func(r record, box seal.Box)) {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Update(t.Context(), func(tx store.Tx) error {
		keys, err := seal.Open(t.Context(), seal.Config{Provider: seal.NewFile(filepath.Join(dir, "root.key")), Storage: keyring{tx}})
		if err != nil {
			return err
		}
		r, err := records.In(home, "us-east-1").Get(tx, "c")
		if err != nil {
			return err
		}
		for kv, err := range tx.Scan(tuple.Encode("secretsmanager"), tuple.Encode("secretsmanager~"), store.ScanOptions{}) {
			if err != nil {
				return err
			}
			tx.Delete(kv.Key)
		}
		change(*r, keys.Box("event"))
		return records.In(home, "us-east-1").Put(tx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// before makes a connection and what is sent with it, and returns when the cloud is closed.
func before(t *testing.T, dir string, w *web, c *eventbridge.CreateConnectionInput) {
	t.Run("Before", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		h.destination(c, w.URL)
	})
}

// A connection that was made when connections had no secrets keeps working, and is given one when it is next updated.
func TestOlderConnection(t *testing.T) {
	dir, w := t.TempDir(), newWeb(t)
	before(t, dir, w, basic("c"))
	tamper(t, dir, func(r record, box seal.Box) {
		sealed, err := box.Wrap("connection/"+home+"/us-east-1/"+r["ID"].(string), []byte(
			`{"Username":"ann","Password":"`+password+`","AuthorizationMethod":"","Invocation":{"Header":[{"Key":"X-Team","Value":"red","Secret":true}],"Query":[{"Key":"v","Value":"2"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		delete(r, "Secret")
		r["Sealed"] = sealed
	})
	h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	n := h.connection()
	if p := n.AuthParameters; n.SecretArn != nil || n.ConnectionState != types.ConnectionStateAuthorized || *p.BasicAuthParameters.Username != "ann" ||
		p.InvocationHttpParameters.HeaderParameters[0].Value != nil || *p.InvocationHttpParameters.QueryStringParameters[0].Value != "2" {
		t.Errorf("the connection is %+v", n)
	}
	sent := func() {
		t.Helper()
		h.put(h.Client, entry(`{}`))
		h.settle()
		got := w.requests()
		if len(got) != 1 || got[0].header.Get("Authorization") != "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=" || got[0].header.Get("X-Team") != "red" || got[0].url != "/?v=2" {
			t.Errorf("the server got %+v", got)
		}
	}
	sent()
	must(h.UpdateConnection(t.Context(), &eventbridge.UpdateConnectionInput{Name: aws.String("c"), Description: aws.String("ours")}))(t)
	want := `{"username":"ann","password":"` + password + `","invocation_http_parameters":{"header_parameters":[{"key":"X-Team","value":"red","is_value_secret":true}],` +
		`"query_string_parameters":[{"key":"v","value":"2","is_value_secret":false}]}}`
	if got := *h.said().SecretString; got != want {
		t.Errorf("the secret says %s, want %s", got, want)
	}
	sent()
}

// A connection whose secret has vanished is deauthorized, and gets a new one with credentials that say all. It can be deleted without one, too.
func TestConnectionWithoutItsSecret(t *testing.T) {
	dir, w := t.TempDir(), newWeb(t)
	before(t, dir, w, basic("c"))
	tamper(t, dir, func(record, seal.Box) {})
	h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	h.put(h.Client, entry(`{}`))
	h.settle()
	n := h.connection()
	if got := w.requests(); len(got) != 0 || n.ConnectionState != types.ConnectionStateDeauthorized || !strings.Contains(aws.ToString(n.StateReason), "can't find the specified secret") {
		t.Errorf("the server got %v; the connection is %s: %s", got, n.ConnectionState, aws.ToString(n.StateReason))
	}
	wantError(t, answer(h.UpdateConnection(t.Context(), newPassword("new"))), "ValidationException", "BasicAuthParameters are required")
	all := newPassword("new")
	all.AuthParameters.BasicAuthParameters.Username = aws.String("ann")
	must(h.UpdateConnection(t.Context(), all))(t)
	if got := h.said(); *got.ARN == *n.SecretArn || *got.SecretString != `{"username":"ann","password":"new"}` {
		t.Errorf("%s says %s", *got.ARN, *got.SecretString)
	}
	h.Advance(5 * time.Minute) // what waits is tried again
	if got := w.requests(); len(got) != 1 || got[0].header.Get("Authorization") != "Basic YW5uOm5ldw==" {
		t.Errorf("after an update the server got %+v", got)
	}
	must(h.DeleteConnection(t.Context(), &eventbridge.DeleteConnectionInput{Name: aws.String("c")}))(t)
}
