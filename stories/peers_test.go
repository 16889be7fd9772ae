package stories_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// binary builds the command into binaryDir, once for all tests, when the first of them needs it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "holdfast-stories-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	path := filepath.Join(dir, "holdfast")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/holdfast").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return path, nil
})

var binaryDir string

func TestMain(m *testing.M) {
	status := m.Run()
	if binaryDir != "" {
		_ = os.RemoveAll(binaryDir)
	}
	os.Exit(status)
}

// regionProcess is one region in a process of its own.
type regionProcess struct {
	t               *testing.T
	region, address string
	args            []string
	log             lockedLog
	cmd             *exec.Cmd
	id, secret      string // of the root user
}

type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// twoRegions are two processes that are one cloud. Each reaches the other at the URL given, or at its address if that is empty.
func twoRegions(t *testing.T, reach func(address string) string) (east, west *regionProcess) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the cloud, which nobody can guess\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	east, west = &regionProcess{t: t, region: "us-east-1", address: freeAddress(t)}, &regionProcess{t: t, region: "eu-west-1", address: freeAddress(t)}
	for _, p := range []*regionProcess{east, west} {
		other := east
		if p == east {
			other = west
		}
		p.args = []string{"serve", "--data", t.TempDir(), "--listen", p.address, "--region", p.region, "--peer", other.region + "=" + reach(other.address), "--peer-secret", "file:" + secret}
	}
	return east, west
}

func plainly(address string) string { return "http://" + address }

var shownKey = regexp.MustCompile(`AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)=(\S+)`)

// start starts the process, and waits until it is ready.
func (p *regionProcess) start() *regionProcess {
	p.t.Helper()
	path, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(path, p.args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = &p.log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = cmd
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := shownKey.FindStringSubmatch(lines.Text()); m != nil && m[1] == "ACCESS_KEY_ID" {
			p.id = m[2]
		} else if m != nil {
			p.secret = m[2]
		}
		if strings.Contains(lines.Text(), "aws --endpoint-url") {
			return p
		}
	}
	p.t.Fatalf("the process of %s did not start:\n%s", p.region, &p.log)
	return nil
}

// kill is kill -9.
func (p *regionProcess) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// kms is a client as the process's root user, signing for a region.
func (p *regionProcess) kms(region string) *kms.Client {
	return kms.NewFromConfig(aws.Config{
		Region: region, BaseEndpoint: aws.String(plainly(p.address)), Credentials: credentials.NewStaticCredentialsProvider(p.id, p.secret, ""),
		Retryer: func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 1) },
	})
}

// describe describes a key in its process, or returns nil.
func (p *regionProcess) describe(key *string) *types.KeyMetadata {
	out, err := p.kms(p.region).DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: key})
	if err != nil {
		return nil
	}
	return out.KeyMetadata
}

// eventually waits until something is so: what goes between processes takes its time.
func eventually(t *testing.T, what string, so func() bool, logs ...*regionProcess) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	for _, p := range logs {
		t.Logf("%s: %s", p.region, &p.log)
	}
	t.Fatalf("it never came to be that %s", what)
}

func multiRegionKey(t *testing.T, k *kms.Client) *types.KeyMetadata {
	t.Helper()
	out, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	done(t)(out, err)
	return out.KeyMetadata
}

func replicateTo(t *testing.T, k *kms.Client, key *types.KeyMetadata, region string) *types.KeyMetadata {
	t.Helper()
	out, err := k.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: key.KeyId, ReplicaRegion: &region})
	done(t)(out, err)
	if out.ReplicaKeyMetadata.KeyState != types.KeyStateCreating {
		t.Errorf("a replica in another process begins as %s", out.ReplicaKeyMetadata.KeyState)
	}
	return out.ReplicaKeyMetadata
}

func (p *regionProcess) enabled(key *types.KeyMetadata) func() bool {
	return func() bool {
		m := p.describe(key.Arn)
		return m != nil && m.KeyState == types.KeyStateEnabled
	}
}

// What was encrypted in one region decrypts in another one after the first is gone.
func TestARegionOutlivesAnother(t *testing.T) {
	t.Parallel()
	east, west := twoRegions(t, plainly)
	east.start()
	west.start()
	key := multiRegionKey(t, east.kms("us-east-1"))
	replica := replicateTo(t, east.kms("us-east-1"), key, "eu-west-1")
	eventually(t, "the replica is there", west.enabled(replica), east, west)
	ciphertext := encrypt(t, east.kms("us-east-1"), key, "survivor")
	done(t)(east.kms("us-east-1").RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key.KeyId}))
	rotated := encrypt(t, east.kms("us-east-1"), key, "rotated")
	eventually(t, "the rotation is there", func() bool {
		return aws.ToString(west.describe(replica.Arn).CurrentKeyMaterialId) == aws.ToString(east.describe(key.Arn).CurrentKeyMaterialId)
	}, east, west)
	east.kill()
	wantText(t, west.kms("eu-west-1"), ciphertext, "survivor")
	wantText(t, west.kms("eu-west-1"), rotated, "rotated")

	// It is not served by who has it not.
	_, err := west.kms("us-east-1").ListKeys(t.Context(), nil)
	wantRefusal(t, err, "InvalidSignatureException", "Credential should be scoped to a valid region")
}

// A replica is made as soon as its region is back, whatever is killed meanwhile.
func TestAReplicaIsMadeWhenItsRegionIsBack(t *testing.T) {
	t.Parallel()
	east, west := twoRegions(t, plainly)
	east.start()
	key := multiRegionKey(t, east.kms("us-east-1"))
	replica := replicateTo(t, east.kms("us-east-1"), key, "eu-west-1")
	ciphertext := encrypt(t, east.kms("us-east-1"), key, "early")
	done(t)(east.kms("us-east-1").RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key.KeyId}))
	eventually(t, "the log tells that the region is away", func() bool { return strings.Contains(east.log.String(), "carrying keys to region eu-west-1") }, east)
	resp, err := http.Get(plainly(east.address) + "/metrics")
	done(t)(resp, err)
	defer resp.Body.Close()
	metrics := bufio.NewScanner(resp.Body)
	found := false
	for metrics.Scan() {
		found = found || metrics.Text() == `holdfast_peer_waiting{region="eu-west-1"} 1`
	}
	if !found {
		t.Error("the metrics do not tell that a change waits")
	}
	east.kill()
	west.start()
	east.start()
	eventually(t, "the replica is there", west.enabled(replica), east, west)
	wantText(t, west.kms("eu-west-1"), ciphertext, "early")
	if a, b := east.describe(key.Arn), west.describe(replica.Arn); *a.CurrentKeyMaterialId != *b.CurrentKeyMaterialId {
		t.Errorf("the replica has material %s, its primary %s", *b.CurrentKeyMaterialId, *a.CurrentKeyMaterialId)
	}
}

// The primary key moves to another region as one, and replicas end before it, though processes are killed at every step.
func TestThePrimaryMovesThoughProcessesAreKilled(t *testing.T) {
	t.Parallel()
	east, west := twoRegions(t, plainly)
	east.start()
	west.start()
	key := multiRegionKey(t, east.kms("us-east-1"))
	replica := replicateTo(t, east.kms("us-east-1"), key, "eu-west-1")
	eventually(t, "the replica is there", west.enabled(replica), east, west)
	from, to, fromKey, toKey := east, west, key, replica
	for round := range 4 {
		if _, err := from.kms(from.region).UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: fromKey.KeyId, PrimaryRegion: &to.region}); err != nil {
			t.Fatalf("UpdatePrimaryRegion: %v", err)
		}
		time.Sleep(time.Duration(round*3) * time.Millisecond) // so that the kill comes at various steps
		if round%2 == 0 {
			to.kill()
			to.start()
			from.kill()
			from.start()
		} else {
			from.kill()
			from.start()
		}
		eventually(t, "the primary key has moved", func() bool {
			a, b := from.describe(fromKey.Arn), to.describe(toKey.Arn)
			return a != nil && b != nil && a.KeyState == types.KeyStateEnabled && b.KeyState == types.KeyStateEnabled &&
				a.MultiRegionConfiguration.MultiRegionKeyType == types.MultiRegionKeyTypeReplica && b.MultiRegionConfiguration.MultiRegionKeyType == types.MultiRegionKeyTypePrimary
		}, east, west)
		done(t)(to.kms(to.region).RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: toKey.KeyId}))
		_, err := from.kms(from.region).RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: fromKey.KeyId})
		wantRefusal(t, err, "UnsupportedOperationException", "is not a multi-region primary key")
		from, to, fromKey, toKey = to, from, toKey, fromKey
	}
	out, err := from.kms(from.region).ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: fromKey.KeyId, PendingWindowInDays: aws.Int32(7)})
	done(t)(out, err)
	if out.KeyState != types.KeyStatePendingReplicaDeletion {
		t.Errorf("a primary key that has a replica in another process is %s when its deletion is scheduled", out.KeyState)
	}
}

// Nobody but a peer gives a key away or takes one, and what is sent again changes nothing.
func TestPeersTrustOnlyEachOther(t *testing.T) {
	t.Parallel()
	// Somebody between the two sees all that they send each other, and sends it again.
	type heard struct {
		r    *http.Request
		body []byte
	}
	var mu sync.Mutex
	var all []heard
	between := func(address string) string {
		target, err := url.Parse(plainly(address))
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(target)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := new(strings.Builder)
			_, _ = bufio.NewReader(r.Body).WriteTo(body)
			mu.Lock()
			all = append(all, heard{r.Clone(context.Background()), []byte(body.String())})
			mu.Unlock()
			r.Body = readCloser{strings.NewReader(body.String())}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	east, west := twoRegions(t, between)
	east.start()
	west.start()
	key := multiRegionKey(t, east.kms("us-east-1"))
	replica := replicateTo(t, east.kms("us-east-1"), key, "eu-west-1")
	eventually(t, "the replica is there", west.enabled(replica), east, west)
	done(t)(west.kms("eu-west-1").DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: replica.Arn}))
	mu.Lock()
	defer mu.Unlock()
	if len(all) == 0 {
		t.Fatal("nothing was sent")
	}
	for _, h := range all {
		again, err := http.NewRequestWithContext(t.Context(), h.r.Method, plainly(west.address)+"/", strings.NewReader(string(h.body)))
		done(t)(again, err)
		again.Header, again.Host = h.r.Header.Clone(), h.r.Host
		resp, err := http.DefaultClient.Do(again)
		done(t)(resp, err)
		resp.Body.Close()
		again.Header.Del("Authorization")
		again.Body = readCloser{strings.NewReader(string(h.body))}
		resp, err = http.DefaultClient.Do(again)
		done(t)(resp, err)
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("an unsigned call between peers is answered with %d", resp.StatusCode)
		}
		if strings.Contains(string(h.body), "Statement") {
			t.Error("a key policy can be read on the way")
		}
	}
	if m := west.describe(replica.Arn); m.KeyState != types.KeyStateDisabled {
		t.Errorf("what was sent again made the replica %s", m.KeyState)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
