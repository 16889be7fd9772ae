package stories_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// A cloud that five people hold shares of is sealed after kill -9: it says so, and does nothing else. Any three of them open it, and the same key decrypts. A program that
// called meanwhile has only waited.
func TestThreeOfFivePeopleOpenACloud(t *testing.T) {
	t.Parallel()
	s := newServer(t).start("--seal", "shamir:3/5")
	shares := regexp.MustCompile(`hfs1(-[a-z2-7]+)+`).FindAllString(s.said.String(), -1)
	if len(shares) != 5 {
		t.Fatalf("the first start shows %d shares, want 5", len(shares))
	}
	k := s.kms("us-east-1")
	key := newKey(t, k)
	ciphertext := encrypt(t, k, key, "opened by three")

	s.kill()
	s.startUntil("is sealed", "--seal", "shamir")
	wantHealth(t, s, http.StatusServiceUnavailable, `"sealed":true`)
	_, err := decrypt(t, k, ciphertext)
	wantRefusal(t, err, "ServiceUnavailable", "sealed")
	if !retry.NewStandard().IsErrorRetryable(err) {
		t.Errorf("the SDK does not try again after %v", err)
	}
	patient := s.config("us-east-1")
	patient.Retryer = func() aws.Retryer {
		return retry.AddWithMaxBackoffDelay(retry.AddWithMaxAttempts(retry.NewStandard(), 0), 100*time.Millisecond)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := kms.NewFromConfig(patient).Decrypt(context.Background(), &kms.DecryptInput{CiphertextBlob: ciphertext})
		waits <- err
	}()

	for i, holder := range []int{4, 0, 2} {
		if i > 0 {
			wantHealth(t, s, http.StatusServiceUnavailable, `"sealed":true`)
		}
		out := holdfast(t, shares[holder]+"\n", "unseal", "--endpoint", s.url())
		if want := fmt.Sprintf("%d of the 3 shares needed are given", i); !strings.Contains(out, want) {
			t.Errorf("holder %d is told %q, want that %s", holder+1, out, want)
		}
	}
	wantHealth(t, s, http.StatusOK, "")
	wantText(t, k, ciphertext, "opened by three")
	if err := <-waits; err != nil {
		t.Errorf("a program that called while the cloud was sealed: %v", err)
	}
	if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyId}); err != nil {
		t.Errorf("DescribeKey: %v", err)
	}
}

// The root key moves into another KMS while everything runs, and not one call fails. After kill -9 the cloud starts by itself; while the other KMS is away it is sealed, and
// opens by itself when that is back.
func TestTheRootKeyMovesToAnotherKMSUnderLoad(t *testing.T) {
	t.Parallel()
	other, s := newServer(t).start(), newServer(t).start()
	spec := "awskms:" + sealingKey(t, other, filepath.Join(t.TempDir(), "credentials"))
	k := s.kms("us-east-1")
	key := newKey(t, k)
	ciphertext := encrypt(t, k, key, "sealed elsewhere")

	load := startLoad(t, k, *key.KeyId)
	load.more(50)
	holdfast(t, "", "seal", "rewrap", "--data", s.data(), "--to", spec)
	load.more(50)
	load.end()
	made := encrypt(t, k, key, "after the move")

	for range 2 {
		s.kill()
		s.start("--seal", spec)
		wantText(t, k, ciphertext, "sealed elsewhere")
		wantText(t, k, made, "after the move")
	}

	other.kill()
	s.kill()
	s.startUntil("is sealed", "--seal", spec)
	wantHealth(t, s, http.StatusServiceUnavailable, `"sealed":true`)
	_, err := decrypt(t, k, ciphertext)
	wantRefusal(t, err, "ServiceUnavailable", "sealed")
	other.start()
	s.wait("msg=ready")
	wantHealth(t, s, http.StatusOK, "")
	wantText(t, k, ciphertext, "sealed elsewhere")
}

func wantHealth(t *testing.T, s *process, status int, text string) {
	t.Helper()
	resp, err := http.Get(s.url() + "/_holdfast/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("health is %d %s, %v, want %d with %s", resp.StatusCode, body, err, status, text)
	}
}

// sealingKey makes a key, and a user who may seal with it and nothing else, whose access key it leaves in a file. It returns how --seal names all that.
func sealingKey(t *testing.T, other *process, file string) string {
	t.Helper()
	key := newKey(t, other.kms("us-east-1"))
	admin, name := iam.NewFromConfig(other.config("us-east-1")), aws.String("holdfast")
	done(t)(admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name}))
	done(t)(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("seal"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":
		{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"` + *key.Arn + `","Condition":{"StringEquals":{"kms:EncryptionContext:holdfast:seal":"keyring"}}}}`)}))
	access, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
	if err != nil {
		t.Fatal(err)
	}
	writeAccessKey(t, file, *access.AccessKey.AccessKeyId, *access.AccessKey.SecretAccessKey)
	return *key.Arn + "?endpoint=" + other.url() + "&credentials=" + file
}

// writeAccessKey writes a file of the form of ~/.aws/credentials.
func writeAccessKey(t *testing.T, file, id, secret string) {
	t.Helper()
	if err := os.WriteFile(file, fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load is people who encrypt, decrypt and make keys. None of their calls may fail, and none is made twice.
type load struct {
	t      *testing.T
	calls  atomic.Int64
	rest   context.CancelFunc
	people sync.WaitGroup
}

func startLoad(t *testing.T, k *kms.Client, key string) *load {
	l := &load{t: t}
	busy, rest := context.WithCancel(t.Context())
	l.rest = rest
	for person := range 4 {
		l.people.Go(func() {
			for busy.Err() == nil {
				if err := work(context.WithoutCancel(busy), k, key, person == 0); err != nil {
					t.Errorf("a call under load: %v", err)
					return
				}
				l.calls.Add(1)
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// work encrypts and decrypts under a key, a new one if that is wanted.
func work(ctx context.Context, k *kms.Client, key string, fresh bool) error {
	if fresh {
		made, err := k.CreateKey(ctx, &kms.CreateKeyInput{})
		if err != nil {
			return err
		}
		key = *made.KeyMetadata.KeyId
	}
	out, err := k.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("under load")})
	if err != nil {
		return err
	}
	back, err := k.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
	if err == nil && string(back.Plaintext) != "under load" {
		err = fmt.Errorf("it decrypts to %q", back.Plaintext)
	}
	return err
}

// more waits for so many more rounds of work.
func (l *load) more(n int64) {
	l.t.Helper()
	until := l.calls.Load() + n
	eventually(l.t, "the load goes on", func() bool { return l.calls.Load() >= until || l.t.Failed() })
}

func (l *load) end() {
	l.rest()
	l.people.Wait()
}
