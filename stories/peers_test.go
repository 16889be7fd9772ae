package stories_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// regionProcess is one region in a process of its own.
type regionProcess struct {
	*process
	region string
}

// twoRegions are two processes that are one cloud. Each reaches the other at the URL that reach makes of its own.
func twoRegions(t *testing.T, reach func(url string) string) (east, west *regionProcess) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the cloud, which nobody can guess\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	east, west = &regionProcess{newServer(t), "us-east-1"}, &regionProcess{newServer(t), "eu-west-1"}
	for _, p := range []*regionProcess{east, west} {
		other := east
		if p == east {
			other = west
		}
		p.args = append(p.args, "--region", p.region, "--peer", other.region+"="+reach(other.url()), "--peer-secret", "file:"+secret)
	}
	return east, west
}

func directly(url string) string { return url }

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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if so() {
			return
		}
	}
	for _, p := range logs {
		t.Logf("%s: %s", p.region, &p.said)
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
	east, west := twoRegions(t, directly)
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
	east, west := twoRegions(t, directly)
	east.start()
	key := multiRegionKey(t, east.kms("us-east-1"))
	replica := replicateTo(t, east.kms("us-east-1"), key, "eu-west-1")
	ciphertext := encrypt(t, east.kms("us-east-1"), key, "early")
	done(t)(east.kms("us-east-1").RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key.KeyId}))
	eventually(t, "the log tells that the region is away", func() bool { return strings.Contains(east.said.String(), "carrying keys to region eu-west-1") }, east)
	resp, err := http.Get(east.url() + "/metrics")
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
	east, west := twoRegions(t, directly)
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
	between := func(at string) string {
		target, err := url.Parse(at)
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
		again, err := http.NewRequestWithContext(t.Context(), h.r.Method, west.url()+"/", strings.NewReader(string(h.body)))
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
