//go:build pkcs11 && cgo

package main

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
)

// TestKillCloudHSM kills a server while it makes keys in a token. Every KMS key that there is has its key in the token, also when the next server has looked after what it
// left there. At most what was being made is in the token for nothing: it stays, for the next server cannot know that nobody needs it.
func TestKillCloudHSM(t *testing.T) {
	const cluster, password, makers = "cluster-killedabcde", "kmsuser's password", 4
	soft := hsmtest.New(t)
	soft.Init("keys", password)
	t.Setenv("HOLDFAST_CLOUDHSM", cluster+"="+soft.Text("keys"))
	t.Setenv("HOLDFAST_DEV", "true") // so that the clock can be moved
	dir := t.TempDir()
	store, made := "", 0
	for round := range 4 {
		s, cmd := process(t, dir)
		s.id, s.secret = "test", "test"
		k := s.kms()
		if round == 0 {
			created, err := k.CreateCustomKeyStore(t.Context(), &kms.CreateCustomKeyStoreInput{
				CustomKeyStoreName: aws.String("keys"), CloudHsmClusterId: aws.String(cluster), KeyStorePassword: aws.String(password),
				TrustAnchorCertificate: aws.String(hsmtest.Certificate(t)),
			})
			if err != nil {
				t.Fatal(err)
			}
			store = *created.CustomKeyStoreId
			if _, err := k.ConnectCustomKeyStore(t.Context(), &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &store}); err != nil {
				t.Fatal(err)
			}
		}
		body := strings.NewReader(`{"advance":"2h"}`)
		resp, err := http.Post(s.endpoint+"/_holdfast/clock", "application/json", body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("moving the clock: %v, %v", resp, err)
		}
		resp.Body.Close()
		known := make(map[string]bool)
		for pages := kms.NewListKeysPaginator(k, &kms.ListKeysInput{}); pages.HasMorePages(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Keys {
				known[*e.KeyId] = true
				if _, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: e.KeyId, Plaintext: []byte("x")}); err != nil {
					t.Errorf("round %d: Encrypt under %s: %v", round, *e.KeyId, err)
				}
			}
		}
		left := 0
		for _, inside := range soft.Keys("keys", password) {
			if inside.Label == "" {
				continue // SoftHSM does not write a key in one piece: this is what it left of one
			}
			if !known[inside.Label] {
				left++
			}
		}
		if left > round*makers {
			t.Errorf("round %d: the token has %d keys which no KMS key stands for", round, left)
		}
		var wg sync.WaitGroup
		for range makers {
			wg.Go(func() {
				for {
					if _, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: &store}); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		wg.Wait()
		made += len(soft.Keys("keys", password)) - len(known) - left
		s.transport.CloseIdleConnections()
	}
	t.Logf("%d keys were made in the token, with their KMS keys or without", made)
}
