package cloud_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/remote"
)

const peerSecret = "a secret of the cloud, which nobody can guess"

// front is an address behind which anything can be put.
type front struct {
	url    *url.URL
	behind atomic.Pointer[http.Handler]
	calls  atomic.Int64
}

func newFront(t *testing.T) *front {
	f := new(front)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.calls.Add(1)
		if h := f.behind.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(s.Close)
	f.url, _ = url.Parse(s.URL)
	return f
}

func (f *front) put(h http.Handler) { f.behind.Store(&h) }

// half is the cloud's process of a region, which has the other at f.
func half(t *testing.T, here, there, secret string, f *front) *cloudtest.Cloud {
	return cloudtest.Start(t, func(c *cloud.Config) {
		c.Region = here
		c.Peers = &remote.PeersConfig{Secret: []byte(secret), Peers: map[string]*url.URL{there: f.url}}
	})
}

func state(t *testing.T, k *kms.Client, arn string) types.KeyState {
	t.Helper()
	out, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &arn})
	if err != nil {
		return ""
	}
	return out.KeyMetadata.KeyState
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// A peer that is none is not believed, whatever it answers, and what waits is carried once the right one is there. Both trails tell.
func TestPeers(t *testing.T) {
	toWest, toEast := newFront(t), newFront(t)
	east, west := half(t, "us-east-1", "eu-west-1", peerSecret, toWest), half(t, "eu-west-1", "us-east-1", peerSecret, toEast)
	stranger := half(t, "eu-west-1", "us-east-1", peerSecret+"!", toEast)
	toEast.put(east)
	there, here := kms.NewFromConfig(west.Config()), kms.NewFromConfig(east.Config())
	made, err := here.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	id := *made.KeyMetadata.KeyId
	replicated, err := here.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &id, ReplicaRegion: aws.String("eu-west-1"), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}})
	if err != nil || replicated.ReplicaKeyMetadata.KeyState != types.KeyStateCreating {
		t.Fatalf("ReplicateKey = %+v, %v", replicated, err)
	}
	arn := *replicated.ReplicaKeyMetadata.Arn
	for name, h := range map[string]http.Handler{
		"garbage": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) }),
		"empty":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }),
		"lies": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"Sealed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`))
		}),
		"redirects":   http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect),
		"is another":  stranger,
		"is no peer":  cloudtest.Start(t),
		"is yourself": east,
	} {
		toWest.put(h)
		calls := toWest.calls.Load()
		await(t, "a peer which "+name+" was called", func() bool { return toWest.calls.Load() > calls })
	}
	if s := state(t, there, arn); s != "" {
		t.Fatalf("the replica is %s already", s)
	}
	toWest.put(west)
	await(t, "the replica is there", func() bool { return state(t, there, arn) == types.KeyStateEnabled })
	tags, err := there.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: &arn})
	if err != nil || len(tags.Tags) != 1 {
		t.Errorf("the replica's tags are %+v, %v", tags, err)
	}
	t.Run("OnRecord", func(t *testing.T) {
		await(t, "it is on record here", func() bool {
			return slices.ContainsFunc(east.Trail(east.Account), func(e cloudtest.Event) bool {
				return e.EventName == "SynchronizeMultiRegionKey" && e.EventType == "AwsServiceEvent"
			})
		})
		var names []string
		for _, e := range west.Trail(west.Account) {
			if len(e.Resources) == 1 && e.Resources[0].ARN == arn && (e.UserIdentity.InvokedBy == "mrk.kms.amazonaws.com" || e.EventType == "AwsServiceEvent") {
				names = append(names, e.EventName)
			}
			if raw := string(e.Raw); strings.Contains(raw, "ealed") {
				t.Errorf("a message is on record: %s", raw)
			}
		}
		if !slices.Contains(names, "SynchronizeMultiRegionKey") || !slices.Contains(names, "CreateKey") {
			t.Errorf("on record there are %v", names)
		}
	})
	t.Run("Outsider", func(t *testing.T) {
		// To others than peers the operations are not there, whoever signs.
		root := &url.URL{}
		*root = *toWest.url
		req, _ := http.NewRequest(http.MethodPost, root.String()+"/", strings.NewReader(`{"Sealed":"AAAA"}`))
		req.Header.Set("X-Amz-Target", "TrentService.SynchronizeMultiRegionKey")
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var told struct {
			Type string `json:"__type"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || !strings.Contains(told.Type, "UnknownOperation") {
			t.Errorf("an outsider is told %q, %v", told.Type, err)
		}
	})
	t.Run("OtherRegion", func(t *testing.T) {
		cfg := east.Config()
		for _, region := range []string{"eu-west-1", "ap-south-1"} {
			cfg.Region = region
			if _, err := kms.NewFromConfig(cfg).ListKeys(t.Context(), nil); err == nil {
				t.Errorf("%s is served in the process of us-east-1", region)
			}
		}
		cfg = west.Config()
		cfg.Region = "us-east-1" // where clients of global services sign for
		if _, err := iam.NewFromConfig(cfg).ListUsers(t.Context(), nil); err != nil {
			t.Errorf("IAM in the process of eu-west-1: %v", err)
		}
		if _, err := here.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &id, ReplicaRegion: aws.String("ap-south-1")}); err == nil {
			t.Error("a key is replicated to a region that nobody serves")
		}
	})
	t.Run("Lost", func(t *testing.T) {
		// A process that has lost its data gets no replica anew: there may be ciphertexts, policies and grants that it had.
		empty := half(t, "eu-west-1", "us-east-1", peerSecret, toEast)
		toWest.put(empty)
		if _, err := here.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &id}); err != nil {
			t.Fatal(err)
		}
		calls := toWest.calls.Load()
		await(t, "the empty one was called", func() bool { return toWest.calls.Load() > calls+1 })
		if s := state(t, kms.NewFromConfig(empty.Config()), arn); s != "" {
			t.Errorf("the replica was made anew, and is %s", s)
		}
		toWest.put(west)
		current := func(k *kms.Client, id string) string {
			out, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
			if err != nil {
				return err.Error()
			}
			return *out.KeyMetadata.CurrentKeyMaterialId
		}
		await(t, "the rotation is carried", func() bool { return current(there, arn) == current(here, id) })
	})
	t.Run("Away", func(t *testing.T) {
		toWest.put(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
		_, err := here.UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: &id, PrimaryRegion: aws.String("eu-west-1")})
		if err == nil || !strings.Contains(err.Error(), "DependencyTimeoutException") || state(t, here, id) != types.KeyStateEnabled {
			t.Errorf("UpdatePrimaryRegion to a region that is away: %v; the key is %s", err, state(t, here, id))
		}
		toWest.put(west)
	})
	t.Run("DeniedByReplicaPolicy", func(t *testing.T) {
		// Both keys' policies decide where the primary key is.
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + east.Account + `:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Deny","Principal":"*","Action":"kms:UpdatePrimaryRegion","Resource":"*"}]}`
		if _, err := there.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &arn, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		_, err := here.UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: &id, PrimaryRegion: aws.String("eu-west-1")})
		if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("UpdatePrimaryRegion = %v, want AccessDenied", err)
		}
	})
}

// A bucket lies where its region is served, and is made there.
func TestPeersBuckets(t *testing.T) {
	const here, there = "us-east-1", "eu-west-1"
	f := newFront(t)
	c := half(t, here, there, peerSecret, f)
	buckets := s3.NewFromConfig(c.Config(), func(o *s3.Options) { o.UsePathStyle = true })
	create := func(name string, region s3types.BucketLocationConstraint) error {
		in := &s3.CreateBucketInput{Bucket: &name}
		if region != "" {
			in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: region}
		}
		_, err := buckets.CreateBucket(t.Context(), in)
		return err
	}
	if err := create("here", ""); err != nil {
		t.Error(err)
	}
	if err := create("there", there); err == nil || !strings.Contains(err.Error(), "IllegalLocationConstraintException: The eu-west-1 location constraint is incompatible") {
		t.Errorf("a bucket of a region that is served elsewhere: %v", err)
	}
}
