package cloud_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// recorder keeps the requests that pass it, to send them again.
type recorder struct {
	http.Handler
	mu   sync.Mutex
	seen []*http.Request // with bodies that can be read again
	lost int             // replies that are still to be lost
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	kept := req.Clone(req.Context())
	kept.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body = io.NopCloser(bytes.NewReader(body))
	if strings.Contains(req.Header.Get("X-Amz-Target"), "ReplicaSecret") {
		r.mu.Lock()
		r.seen = append(r.seen, kept)
		lost := r.lost > 0
		r.lost = max(0, r.lost-1)
		r.mu.Unlock()
		if lost {
			r.Handler.ServeHTTP(httptest.NewRecorder(), req)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	r.Handler.ServeHTTP(w, req)
}

// again sends all once more, as somebody on the way could, and returns their bodies.
func (r *recorder) again(t *testing.T) (bodies string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.seen {
		body, _ := req.GetBody()
		text, _ := io.ReadAll(body)
		bodies += string(text)
		once := req.Clone(t.Context())
		once.Body = io.NopCloser(bytes.NewReader(text))
		w := httptest.NewRecorder()
		r.Handler.ServeHTTP(w, once)
		if w.Code != 200 {
			t.Errorf("a letter that came twice: %d %s", w.Code, w.Body)
		}
	}
	return bodies
}

// secretsPair is Secrets Manager in two processes of one cloud.
type secretsPair struct {
	t          *testing.T
	here       *secretsmanager.Client
	there      *secretsmanager.Client
	letters    *recorder // to there
	away, back func()
}

func (p *secretsPair) create(name, value string) {
	p.t.Helper()
	_, err := p.here.CreateSecret(p.t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *secretsPair) put(name, value string) {
	p.t.Helper()
	if _, err := p.here.PutSecretValue(p.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *secretsPair) replicate(name string, force bool) error {
	_, err := p.here.ReplicateSecretToRegions(p.t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &name, ForceOverwriteReplicaSecret: force,
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
	return err
}

// status is that of the replica, and what is told of it.
func (p *secretsPair) status(name string) string {
	p.t.Helper()
	out, err := p.here.DescribeSecret(p.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(out.ReplicationStatus) == 0 {
		return "none"
	}
	return strings.TrimSpace(string(out.ReplicationStatus[0].Status) + " " + aws.ToString(out.ReplicationStatus[0].StatusMessage))
}

// value is what a version says there, or the code of the error.
func (p *secretsPair) value(name, stage string) string {
	out, err := p.there.GetSecretValue(p.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage})
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return aws.ToString(out.SecretString)
}

func (p *secretsPair) wantStatus(name, want string) {
	p.t.Helper()
	var got string
	await(p.t, name+" is "+want, func() bool {
		got = p.status(name)
		return got == want
	})
}

func (p *secretsPair) wantValue(name, want string) {
	p.t.Helper()
	if got := p.value(name, "AWSCURRENT"); got != want {
		p.t.Errorf("%s is %s there, want %s", name, got, want)
	}
}

// Replicas in another process follow in order, however long that was away, and nothing that comes late or twice puts them back.
func TestPeersSecrets(t *testing.T) {
	toWest, toEast := newFront(t), newFront(t)
	east, west := half(t, "us-east-1", "eu-west-1", peerSecret, toWest), half(t, "eu-west-1", "us-east-1", peerSecret, toEast)
	toEast.put(east)
	p := &secretsPair{t: t, here: secretsmanager.NewFromConfig(east.Config()), there: secretsmanager.NewFromConfig(west.Config()), letters: &recorder{Handler: west}}
	p.away = func() {
		toWest.put(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	}
	p.back = func() { toWest.put(p.letters) }

	t.Run("MadeWhenTheRegionIsBack", func(t *testing.T) {
		p.t = t
		p.away()
		p.create("db", "hunter1")
		if got := p.status("db"); got != "InProgress" {
			t.Errorf("while the region is away the replica is %s", got)
		}
		p.put("db", "hunter2")
		p.put("db", "hunter3")
		if _, err := p.here.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("db"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}); err != nil {
			t.Fatal(err)
		}
		p.back()
		p.wantStatus("db", "InSync")
		p.wantValue("db", "hunter3")
		if got := p.value("db", "AWSPREVIOUS"); got != "hunter2" {
			t.Errorf("the previous value there is %s", got)
		}
		out, err := p.there.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("db")})
		if err != nil || aws.ToString(out.PrimaryRegion) != "us-east-1" || len(out.Tags) != 1 || !strings.Contains(*out.ARN, ":eu-west-1:") {
			t.Errorf("the replica is %+v, %v", out, err)
		}
	})
	t.Run("InOrder", func(t *testing.T) {
		p.t = t
		for i := range 20 {
			p.put("db", "number"+strconv.Itoa(i))
		}
		p.wantStatus("db", "InSync")
		p.wantValue("db", "number19")
	})
	t.Run("Large", func(t *testing.T) {
		p.t = t
		large := strings.Repeat("v", 65536)
		p.create("large", large)
		for i := range 8 {
			in := &secretsmanager.PutSecretValueInput{SecretId: aws.String("large"), SecretString: aws.String(strconv.Itoa(i) + large[1:]), VersionStages: []string{"stage" + strconv.Itoa(i)}}
			if _, err := p.here.PutSecretValue(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.replicate("large", false); err == nil {
			t.Error("it is replicated there already")
		}
		p.wantStatus("large", "InSync")
		if got := p.value("large", "stage7"); got != "7"+large[1:] {
			t.Errorf("a large value came as one of %d bytes", len(got))
		}
	})
	t.Run("TwiceAndLate", func(t *testing.T) {
		p.t = t
		bodies := p.letters.again(t)
		p.wantValue("db", "number19")
		if bodies == "" || strings.Contains(bodies, "hunter") || strings.Contains(bodies, "number19") {
			t.Error("values can be read on the way, or there were no letters")
		}
	})
	t.Run("NotWritable", func(t *testing.T) {
		_, err := p.there.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("db"), SecretString: aws.String("x")})
		if err == nil {
			t.Error("a replica in another process was changed")
		}
	})
	t.Run("Removed", func(t *testing.T) {
		p.t = t
		out, err := p.here.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: aws.String("db"), RemoveReplicaRegions: []string{"eu-west-1"}})
		if err != nil || len(out.ReplicationStatus) != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		await(t, "the replica is gone", func() bool { return p.value("db", "AWSCURRENT") == "ResourceNotFoundException" })
		p.letters.again(t)
		p.wantValue("db", "ResourceNotFoundException")
		if err := p.replicate("db", false); err != nil {
			t.Fatal(err)
		}
		p.wantStatus("db", "InSync")
		p.wantValue("db", "number19")
	})
	t.Run("Promoted", func(t *testing.T) {
		p.t = t
		if _, err := p.there.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("db")}); err != nil {
			t.Fatal(err)
		}
		p.wantStatus("db", "none")
		p.letters.again(t)
		p.wantValue("db", "number19")
		if _, err := p.there.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("db"), SecretString: aws.String("own")}); err != nil {
			t.Error(err)
		}
		p.put("db", "elsewhere")
		p.wantValue("db", "own")
	})
	t.Run("NameIsTaken", func(t *testing.T) {
		p.t = t
		if err := p.replicate("db", false); err != nil {
			t.Fatal(err)
		}
		p.wantStatus("db", "Failed Replication failed: Secret name db already exists in region eu-west-1.")
		p.wantValue("db", "own")
		if err := p.replicate("db", true); err != nil {
			t.Fatal(err)
		}
		p.wantStatus("db", "InSync")
		p.wantValue("db", "elsewhere")
	})
	t.Run("DeletedThere", func(t *testing.T) {
		p.t = t
		if _, err := p.there.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("db")}); err != nil {
			t.Fatal(err)
		}
		p.wantStatus("db", "none")
		if _, err := p.here.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("db"), ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
			t.Error(err)
		}
	})
	t.Run("KeyThere", func(t *testing.T) {
		p.t = t
		key, err := kms.NewFromConfig(west.Config()).CreateKey(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		create := func(name, key string) {
			t.Helper()
			if _, err := p.here.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("v"),
				AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1"), KmsKeyId: &key}}}); err != nil {
				t.Fatal(err)
			}
		}
		create("own-key", *key.KeyMetadata.KeyId)
		p.wantStatus("own-key", "InSync")
		create("no-key", "alias/nothing")
		await(t, "the replica has failed", func() bool { return strings.HasPrefix(p.status("no-key"), "Failed Replication failed: ") })
		p.wantValue("no-key", "ResourceNotFoundException")
	})
	t.Run("FailureWhoseReplyIsLost", func(t *testing.T) {
		p.t = t
		p.letters.mu.Lock()
		p.letters.lost = 1
		p.letters.mu.Unlock()
		if _, err := p.here.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("unheard"), SecretString: aws.String("v"),
			AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1"), KmsKeyId: aws.String("alias/nothing")}}}); err != nil {
			t.Fatal(err)
		}
		var got string
		await(t, "the replica is no more InProgress", func() bool {
			got = p.status("unheard")
			return got != "InProgress"
		})
		if !strings.HasPrefix(got, "Failed Replication failed: ") {
			t.Errorf("a replica that could not be made is %s", got)
		}
	})
	t.Run("DeniedKeyHere", func(t *testing.T) {
		p.t = t
		key, err := kms.NewFromConfig(east.Config()).CreateKey(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.here.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("guarded"), SecretString: aws.String("v"), KmsKeyId: key.KeyMetadata.KeyId}); err != nil {
			t.Fatal(err)
		}
		ann := secretsmanager.NewFromConfig(east.User(east.Account, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:*","Resource":"*"}]}`))
		if _, err := ann.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: aws.String("guarded"),
			AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}}); err != nil {
			t.Fatal(err)
		}
		if got := p.status("guarded"); got != "Failed Replication failed: Access to KMS is not allowed" {
			t.Errorf("the replica of who may not use the key is %s", got)
		}
		p.wantValue("guarded", "ResourceNotFoundException")
	})
	t.Run("NobodysRegion", func(t *testing.T) {
		_, err := p.here.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{SecretId: aws.String("guarded"),
			AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("ap-south-1")}}})
		var invalid *types.InvalidParameterException
		if !errors.As(err, &invalid) {
			t.Errorf("a region that nobody serves: %v", err)
		}
	})
	t.Run("NobodyElseIsAPeer", func(t *testing.T) {
		for _, target := range []string{"SynchronizeReplicaSecret", "ReleaseReplicaSecret"} {
			r := httptest.NewRequest("POST", "/", strings.NewReader(`{"Resource":"arn:aws:secretsmanager:eu-west-1:`+west.Account+`:secret:db-abcdef","Sender":"us-east-1","Sealed":"AAAA"}`))
			r.Header.Set("X-Amz-Target", "secretsmanager."+target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			w := httptest.NewRecorder()
			west.ServeHTTP(w, r)
			if w.Code/100 != 4 {
				t.Errorf("%s of a stranger: %d %s", target, w.Code, w.Body)
			}
		}
	})
}
