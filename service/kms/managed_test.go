package kms_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"

	api "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/service/kms"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/timer"
)

// neighbour stands in for a service that uses KMS: its one operation does what the test says.
type neighbour struct {
	sts.Unimplemented
	mu sync.Mutex // guards do
	do func(c *call.Call) error
}

// GetCallerIdentity implements sts.Handler.
func (n *neighbour) GetCallerIdentity(c *call.Call, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
	c.Open("a test's own operation")
	n.mu.Lock()
	do := n.do
	n.mu.Unlock()
	return &sts.GetCallerIdentityResponse{}, do(c)
}

// street is a store, a door and behind it KMS and a neighbour.
type street struct {
	t         *testing.T
	store     store.Store
	clock     *clock.Movable
	trail     *audit.Trail
	directory *identity.Directory
	door      *door.Door
	scheduler *timer.Scheduler
	neighbour *neighbour
	kms       api.Client // as the neighbour has it
	url       string
}

const host = "sts.amazonaws.com"

func newStreet(t *testing.T) *street {
	s := &street{t: t, store: memstore.New(), clock: clock.NewMovable(0), neighbour: &neighbour{}}
	keyring := seal.Ephemeral()
	var err error
	s.trail, err = audit.Open(audit.Config{Store: s.store})
	ok(t)(s.trail, err)
	s.directory = identity.New(s.store, keyring, "aws")
	service, err := kms.New(kms.Config{Store: s.store, Seal: keyring, Principals: s.directory, Partition: "aws", ManagedServices: map[string]bool{"sts": true}})
	ok(t)(service, err)
	s.door, err = door.New(door.Config{
		Store: s.store, Clock: s.clock, Signatures: new(clock.Real), Trail: s.trail, Directory: s.directory, Log: slog.New(slog.DiscardHandler),
		Partition: "aws", Account: account, Region: "us-east-1",
	}, service.Room(), door.Room{Service: sts.Service, Endpoints: sts.Endpoints(s.neighbour), Timers: map[string]door.TimerHandler{
		"tick": func(c *call.Call, _ string, _ []byte) error { return s.neighbour.do(c) },
	}})
	ok(t)(s.door, err)
	s.kms.Transport = s.door
	s.scheduler = timer.NewScheduler(s.store, s.clock, s.door.Fire)
	server := httptest.NewServer(s.door)
	t.Cleanup(func() {
		server.Close()
		_ = s.trail.Close()
		_ = s.store.Close()
	})
	s.url = server.URL
	return s
}

// as is the SDK's configuration of a user, or of the root user if name is empty.
func (s *street) as(account, name string, policies ...string) aws.Config {
	s.t.Helper()
	if name != "" {
		u := identity.User{Account: account, Name: name}
		u.Inline = make(map[string]string)
		for _, p := range policies {
			u.Inline["p"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + p + `}]}`
		}
		ok(s.t)(nil, s.directory.PutUser(ctx, u, s.clock.Now()))
	}
	id, secret, err := s.directory.CreateKey(ctx, account, name, s.clock.Now())
	ok(s.t)(id, err)
	return sdkclient.Config(s.url, "us-east-1", credentials.NewStaticCredentialsProvider(id, secret, ""))
}

// through has a user call the neighbour, which does what is given.
func (s *street) through(cfg aws.Config, do func(c *call.Call) error) (any, error) {
	s.neighbour.mu.Lock()
	s.neighbour.do = do
	s.neighbour.mu.Unlock()
	return sdksts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sdksts.GetCallerIdentityInput{})
}

func (s *street) records(account, name string) (found []cloudtest.Event) {
	raw, err := s.trail.Events(ctx, audit.Filter{Account: account})
	ok(s.t)(raw, err)
	for _, r := range raw {
		var e cloudtest.Event
		ok(s.t)(nil, json.Unmarshal(r, &e))
		if e.Raw = r; e.EventName == name {
			found = append(found, e)
		}
	}
	return found
}

var managedAlias = "alias/aws/sts"

func (s *street) generate(c *call.Call, key string) (*api.GenerateDataKeyResponse, error) {
	return s.kms.GenerateDataKey(c, &api.GenerateDataKeyRequest{KeyId: &key, KeySpec: api.DataKeySpecAes256})
}

func TestManagedKey(t *testing.T) {
	s := newStreet(t)
	ann, root := s.as(account, "ann"), sdk.NewFromConfig(s.as(account, ""))
	var key string
	var blob []byte
	t.Run("NotThereYet", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(root.Encrypt(ctx, &sdk.EncryptInput{KeyId: &managedAlias, Plaintext: message}))
	})
	t.Run("DeniedDescribeMakesNone", func(t *testing.T) {
		denied(t)(sdk.NewFromConfig(ann).DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &managedAlias}))
		if len(s.records(account, "CreateKey")) != 0 {
			t.Error("a refused call made a key")
		}
		list, err := root.ListAliases(ctx, &sdk.ListAliasesInput{})
		ok(t)(list, err)
		if len(list.Aliases) != 0 {
			t.Error("a refused call made an alias")
		}
	})
	t.Run("TakenBackWithItsCall", func(t *testing.T) {
		_, err := s.through(ann, func(c *call.Call) error {
			if _, err := s.generate(c, managedAlias); err != nil {
				return err
			}
			return errors.New("the neighbour fails")
		})
		if code(err) != "InternalFailure" {
			t.Fatalf("got %v", err)
		}
		if len(s.records(account, "CreateKey")) != 0 {
			t.Error("the record of a key that was taken back is there")
		}
		refused(t, "NotFoundException", "-")(root.Encrypt(ctx, &sdk.EncryptInput{KeyId: &managedAlias, Plaintext: message}))
	})
	t.Run("MadeAtFirstUse", func(t *testing.T) {
		ok(t)(s.through(ann, func(c *call.Call) error {
			made, err := s.generate(c, managedAlias)
			if err != nil {
				return err
			}
			key, blob = *made.KeyId, made.CiphertextBlob
			// The same transaction uses it further, by every name, though it is not committed.
			opened, err := s.kms.Decrypt(c, &api.DecryptRequest{CiphertextBlob: blob})
			if err != nil {
				return err
			}
			if string(opened.Plaintext) != string(made.Plaintext) {
				t.Error("the data key is another")
			}
			for _, name := range []string{managedAlias, key} {
				again, err := s.generate(c, name)
				if err != nil {
					return err
				}
				if *again.KeyId != key {
					t.Errorf("%s is %s, then %s", name, key, *again.KeyId)
				}
			}
			return nil
		}))
		events := s.records(account, "CreateKey")
		if len(events) != 1 || events[0].EventType != "AwsServiceEvent" || events[0].UserIdentity.InvokedBy != "kms.amazonaws.com" || events[0].Resources[0].ARN != key {
			t.Errorf("the making is recorded as %v", events)
		}
		var used cloudtest.Event
		for _, r := range s.records(account, "GenerateDataKey") {
			if r.ErrorCode == "" {
				used = r
			}
		}
		if used.UserIdentity.ARN != userARN(account, "ann") || used.UserIdentity.InvokedBy != host || !strings.Contains(string(used.Raw), `"sourceIPAddress":"`+host+`"`) {
			t.Errorf("the use is recorded as %s", used.Raw)
		}
	})
	t.Run("OneForAll", func(t *testing.T) {
		ok(t)(s.through(s.as(account, "ben"), func(c *call.Call) error {
			out, err := s.generate(c, managedAlias)
			if err == nil && *out.KeyId != key {
				t.Errorf("ben's is %s", *out.KeyId)
			}
			return err
		}))
	})
	t.Run("Metadata", func(t *testing.T) {
		for _, name := range []string{key, managedAlias} {
			out, err := root.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &name})
			ok(t)(out, err)
			if *out.KeyMetadata.Arn != key || out.KeyMetadata.KeyManager != types.KeyManagerTypeAws {
				t.Errorf("DescribeKey told %+v", out.KeyMetadata)
			}
		}
		status, err := root.GetKeyRotationStatus(ctx, &sdk.GetKeyRotationStatusInput{KeyId: &key})
		ok(t)(status, err)
		if !status.KeyRotationEnabled || *status.RotationPeriodInDays != 365 {
			t.Errorf("the key tells %+v", status)
		}
		ok(t)(root.GetKeyPolicy(ctx, &sdk.GetKeyPolicyInput{KeyId: &key}))
	})
	t.Run("OnlyThroughTheService", func(t *testing.T) {
		denied(t)(root.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: blob}))
		denied(t)(root.Encrypt(ctx, &sdk.EncryptInput{KeyId: &key, Plaintext: message}))
		for _, o := range walk {
			switch o.name {
			case "PutKeyPolicy", "DisableKey", "ScheduleKeyDeletion", "EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand", "CreateGrant", "TagResource", "UpdateKeyDescription":
				if _, err := o.run(root, &subject{key: key}); code(err) != "AccessDeniedException" {
					t.Errorf("%s: got %v", o.name, err)
				}
			}
		}
	})
	t.Run("NotAcrossAccounts", func(t *testing.T) {
		_, err := s.through(s.as(other, "eve", `"Action":"*","Resource":"*"`), func(c *call.Call) error {
			_, err := s.kms.Decrypt(c, &api.DecryptRequest{CiphertextBlob: blob})
			return err
		})
		refused(t, "AccessDenied", "-")(nil, err)
	})
	t.Run("NotAnotherServices", func(t *testing.T) {
		_, err := s.through(ann, func(c *call.Call) error {
			_, err := s.generate(c, "alias/aws/secretsmanager")
			return err
		})
		if code(err) != "NotFoundException" {
			t.Errorf("got %v", err)
		}
		refused(t, "NotFoundException", "-")(root.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: aws.String("alias/aws/nothing")}))
		refused(t, "NotFoundException", "-")(root.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: aws.String("alias/aws/")}))
	})
	t.Run("MadeByDescribeKey", func(t *testing.T) {
		fresh := sdk.NewFromConfig(s.as(other, ""))
		out, err := fresh.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &managedAlias})
		ok(t)(out, err)
		again, err := fresh.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &managedAlias})
		ok(t)(again, err)
		if *out.KeyMetadata.Arn != *again.KeyMetadata.Arn || *out.KeyMetadata.AWSAccountId != other {
			t.Errorf("DescribeKey made %s, then %s", *out.KeyMetadata.Arn, *again.KeyMetadata.Arn)
		}
		// An operation that only reads made a key: both are on record.
		if len(s.records(other, "CreateKey")) != 1 || len(s.records(other, "DescribeKey")) != 2 {
			t.Errorf("recorded are %v, %v", s.records(other, "CreateKey"), s.records(other, "DescribeKey"))
		}
	})
	t.Run("Rotates", func(t *testing.T) {
		ok(t)(nil, s.scheduler.MoveTo(ctx, s.clock, s.clock.Now().Add(3*365*day+time.Hour)))
		if n := len(s.records(account, "RotateKey")); n != 3 {
			t.Errorf("%d rotations in three years", n)
		}
		ok(t)(s.through(ann, func(c *call.Call) error {
			_, err := s.kms.Decrypt(c, &api.DecryptRequest{CiphertextBlob: blob})
			return err
		}))
	})
	t.Run("MadeOnceByMany", func(t *testing.T) {
		var wg sync.WaitGroup
		arns := make([]string, 8)
		for i := range arns {
			c := sdk.NewFromConfig(s.as("777788889999", ""))
			wg.Go(func() {
				if out, err := c.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &managedAlias}); err == nil {
					arns[i] = *out.KeyMetadata.Arn
				}
			})
		}
		wg.Wait()
		for _, a := range arns {
			if a == "" || a != arns[0] {
				t.Errorf("made %v", arns)
				break
			}
		}
		if n := len(s.records("777788889999", "CreateKey")); n != 1 {
			t.Errorf("%d keys are on record", n)
		}
	})
}

func TestViaService(t *testing.T) {
	s := newStreet(t)
	ann, root := s.as(account, "ann"), sdk.NewFromConfig(s.as(account, ""))
	create := func(policy string) string {
		out, err := root.CreateKey(ctx, &sdk.CreateKeyInput{Policy: &policy, BypassPolicyLockoutSafetyCheck: true})
		ok(t)(out, err)
		return *out.KeyMetadata.Arn
	}
	annMay := func(condition string) string {
		return create(only(`"Principal":{"AWS":"` + userARN(account, "ann") + `"},"Action":["kms:Encrypt","kms:GenerateDataKey","kms:CreateGrant"],"Resource":"*","Condition":{` + condition + `}`))
	}
	use := func(key string) func(c *call.Call) error {
		return func(c *call.Call) error { _, err := s.generate(c, key); return err }
	}
	key := annMay(`"StringEquals":{"kms:ViaService":"sts.us-east-1.amazonaws.com"}`)
	ok(t)(s.through(ann, use(key)))
	denied(t)(sdk.NewFromConfig(ann).GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes128}))
	_, err := s.through(ann, use(annMay(`"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}`)))
	refused(t, "AccessDenied", "-")(nil, err)
	for _, condition := range []string{`"Bool":{"aws:ViaAWSService":"true"}`, `"ForAnyValue:StringEquals":{"aws:CalledVia":"sts.amazonaws.com"}`, `"Null":{"aws:SourceIp":"true"}`} {
		ok(t)(s.through(ann, use(annMay(condition))))
	}
	key = annMay(`"Bool":{"kms:GrantIsForAWSResource":"true"}`)
	grant := &api.CreateGrantRequest{KeyId: &key, GranteePrincipal: aws.String(userARN(account, "ann")), Operations: []api.GrantOperation{api.GrantOperationEncrypt}}
	ok(t)(s.through(ann, func(c *call.Call) error { _, err := s.kms.CreateGrant(c, grant); return err }))
	denied(t)(sdk.NewFromConfig(ann).CreateGrant(ctx, &sdk.CreateGrantInput{KeyId: &key, GranteePrincipal: grant.GranteePrincipal, Operations: []types.GrantOperation{opEncrypt}}))
	// What a service did for ann before its own call failed is undone: the grant is not there.
	_, err = s.through(ann, func(c *call.Call) error {
		if _, err := s.kms.CreateGrant(c, grant); err != nil {
			return err
		}
		return errors.New("the neighbour fails")
	})
	if err == nil {
		t.Fatal("the neighbour did not fail")
	}
	list, err := root.ListGrants(ctx, &sdk.ListGrantsInput{KeyId: &key})
	ok(t)(list, err)
	if len(list.Grants) != 1 {
		t.Errorf("%d grants", len(list.Grants))
	}
}

// TestOwnedKey is about the keys of services themselves, which no customer sees.
func TestOwnedKey(t *testing.T) {
	s := newStreet(t)
	ann, root := s.as(account, "ann"), sdk.NewFromConfig(s.as(account, ""))
	var blob []byte
	var key string
	ok(t)(s.through(ann, func(c *call.Call) error {
		out, err := s.generate(c.AsService(), managedAlias)
		if err == nil {
			key, blob = *out.KeyId, out.CiphertextBlob
		}
		return err
	}))
	if !strings.HasPrefix(key, "arn:aws:kms:us-east-1:aws:key/") {
		t.Errorf("the key is %s", key)
	}
	ok(t)(s.through(s.as(other, "eve"), func(c *call.Call) error { // one key for all customers
		_, err := s.kms.Decrypt(c.AsService(), &api.DecryptRequest{CiphertextBlob: blob})
		return err
	}))
	t.Run("NotTheCustomers", func(t *testing.T) {
		denied(t)(root.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: blob}))
		denied(t)(root.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: &key}))
		_, err := s.through(ann, func(c *call.Call) error { // nor through the service in the customer's name
			_, err := s.kms.Decrypt(c, &api.DecryptRequest{CiphertextBlob: blob})
			return err
		})
		refused(t, "AccessDenied", "-")(nil, err)
		list, err := root.ListKeys(ctx, &sdk.ListKeysInput{})
		ok(t)(list, err)
		if len(list.Keys) != 0 {
			t.Error("it is listed")
		}
		for _, r := range s.records(account, "GenerateDataKey") {
			t.Errorf("the customer's trail has %s", r.Raw)
		}
	})
	t.Run("Recorded", func(t *testing.T) {
		r := s.records(call.OwnAccount, "GenerateDataKey")
		if len(r) != 1 || r[0].UserIdentity.Type != "AWSService" || r[0].UserIdentity.InvokedBy != host || r[0].Resources[0].ARN != key {
			t.Errorf("recorded as %v", r)
		}
		if len(s.records(call.OwnAccount, "CreateKey")) != 1 {
			t.Error("its making is not on record")
		}
	})
	t.Run("GrantToAService", func(t *testing.T) {
		mine, err := root.CreateKey(ctx, &sdk.CreateKeyInput{})
		ok(t)(mine, err)
		arn := *mine.KeyMetadata.Arn
		encrypt := func(c *call.Call) error {
			_, err := s.kms.Encrypt(c.AsService(), &api.EncryptRequest{KeyId: &arn, Plaintext: message})
			return err
		}
		_, err = s.through(ann, encrypt)
		refused(t, "AccessDenied", "-")(nil, err)
		g, err := root.CreateGrant(ctx, &sdk.CreateGrantInput{KeyId: &arn, GranteeServicePrincipal: aws.String(host), Operations: []types.GrantOperation{opEncrypt}})
		ok(t)(g, err)
		ok(t)(s.through(ann, encrypt))
		var used cloudtest.Event
		for _, r := range s.records(account, "Encrypt") {
			if r.ErrorCode == "" {
				used = r
			}
		}
		if used.UserIdentity.InvokedBy != host || used.SharedEventID == "" {
			t.Errorf("recorded as %s", used.Raw)
		}
		// The key policy lets services in just as well.
		w := only(`"Principal":{"Service":"` + host + `"},"Action":"kms:Encrypt","Resource":"*"`)
		ok(t)(root.RevokeGrant(ctx, &sdk.RevokeGrantInput{KeyId: &arn, GrantId: g.GrantId}))
		ok(t)(root.PutKeyPolicy(ctx, &sdk.PutKeyPolicyInput{KeyId: &arn, Policy: &w, BypassPolicyLockoutSafetyCheck: true}))
		ok(t)(s.through(ann, encrypt))
	})
	t.Run("OnBehalfOfAResource", func(t *testing.T) {
		// Policies and grants can ask for whom a service acts: so nobody has it act with their keys for a resource of somebody else.
		const mine, theirs = "arn:aws:sts:us-east-1:" + account + ":thing/1", "arn:aws:sts:us-east-1:" + other + ":thing/1"
		made, err := root.CreateKey(ctx, &sdk.CreateKeyInput{})
		ok(t)(made, err)
		arn := *made.KeyMetadata.Arn
		on := func(resource string) func(c *call.Call) error {
			return func(c *call.Call) error {
				_, err := s.kms.Encrypt(c.AsServiceFor(resource), &api.EncryptRequest{KeyId: &arn, Plaintext: message})
				return err
			}
		}
		g, err := root.CreateGrant(ctx, &sdk.CreateGrantInput{
			KeyId: &arn, GranteeServicePrincipal: aws.String(host), Operations: []types.GrantOperation{opEncrypt}, Constraints: &types.GrantConstraints{SourceArn: aws.String(mine)},
		})
		ok(t)(g, err)
		try := func(resource string, allowed bool) {
			t.Helper()
			if _, err := s.through(ann, on(resource)); (err == nil) != allowed {
				t.Errorf("for %q: %v, want allowed: %t", resource, err, allowed)
			}
		}
		try(mine, true)
		try(theirs, false)
		try("", false)
		ok(t)(root.RevokeGrant(ctx, &sdk.RevokeGrantInput{KeyId: &arn, GrantId: g.GrantId}))
		try(mine, false)
		for key, value := range map[string]string{"aws:SourceArn": mine, "aws:SourceAccount": account} {
			w := only(`"Principal":{"Service":"` + host + `"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"` + key + `":"` + value + `"}}`)
			ok(t)(root.PutKeyPolicy(ctx, &sdk.PutKeyPolicyInput{KeyId: &arn, Policy: &w, BypassPolicyLockoutSafetyCheck: true}))
			try(mine, true)
			try(theirs, false)
			try("", false)
		}
	})
	t.Run("WhileATimerFires", func(t *testing.T) {
		fired := false
		_, err := s.through(ann, func(c *call.Call) error {
			return c.At(c.Time.Add(time.Hour), c.Scope, "tick", "x", nil)
		})
		// An operation that only reads commits what it wrote all the same.
		ok(t)(nil, err)
		s.neighbour.mu.Lock()
		s.neighbour.do = func(c *call.Call) error {
			fired = true
			_, err := s.kms.Decrypt(c.AsService(), &api.DecryptRequest{CiphertextBlob: blob})
			return err
		}
		s.neighbour.mu.Unlock()
		before := len(s.records(call.OwnAccount, "Decrypt"))
		ok(t)(nil, s.scheduler.MoveTo(ctx, s.clock, s.clock.Now().Add(2*time.Hour)))
		if after := len(s.records(call.OwnAccount, "Decrypt")); !fired || after != before+1 {
			t.Errorf("fired is %t, %d records before and %d after", fired, before, after)
		}
	})
}

// TestEvents holds that rotations, deletions and expirations are in the outbox, and on record, together with what they changed.
func TestEvents(t *testing.T) {
	s := newStreet(t)
	root := sdk.NewFromConfig(s.as(account, ""))
	out, err := root.CreateKey(ctx, &sdk.CreateKeyInput{})
	ok(t)(out, err)
	key := out.KeyMetadata.KeyId
	ok(t)(root.EnableKeyRotation(ctx, &sdk.EnableKeyRotationInput{KeyId: key, RotationPeriodInDays: aws.Int32(90)}))
	move := func(d time.Duration) { ok(t)(nil, s.scheduler.MoveTo(ctx, s.clock, s.clock.Now().Add(d))) }
	move(91 * day)
	ok(t)(root.RotateKeyOnDemand(ctx, &sdk.RotateKeyOnDemandInput{KeyId: key}))
	ok(t)(root.ScheduleKeyDeletion(ctx, &sdk.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: aws.Int32(7)}))
	move(8 * day)
	// And an expiration.
	imported, err := root.CreateKey(ctx, &sdk.CreateKeyInput{Origin: types.OriginTypeExternal})
	ok(t)(imported, err)
	given, err := root.GetParametersForImport(ctx, &sdk.GetParametersForImportInput{
		KeyId: imported.KeyMetadata.KeyId, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	ok(t)(given, err)
	p := &parameters{given, types.AlgorithmSpecRsaesOaepSha256}
	ok(t)(root.ImportKeyMaterial(ctx, p.input(material(1, 32), expiring(s.clock.Now().Add(day)))))
	move(2 * day)
	var events []outbox.Event
	ok(t)(nil, s.store.View(context.Background(), func(r store.Reader) (err error) {
		events, err = outbox.Pending(r, account, "us-east-1", 10)
		return err
	}))
	want := []string{"KMS CMK Rotation", "KMS CMK Rotation", "KMS CMK Deletion", "KMS Imported Key Material Expiration"}
	if len(events) != len(want) {
		t.Fatalf("the events are %v", events)
	}
	for i, e := range events {
		of := out.KeyMetadata
		if i == 3 {
			of = imported.KeyMetadata
		}
		if e.DetailType != want[i] || e.Source != "aws.kms" || e.Resources[0] != *of.Arn || string(e.Detail) != `{"key-id":"`+*of.KeyId+`"}` {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	for name, n := range map[string]int{"RotateKey": 1, "DeleteKey": 1, "RotateKeyOnDemand": 1, "DeleteExpiredKeyMaterial": 1} {
		if got := len(s.records(account, name)); got != n {
			t.Errorf("%d records of %s, want %d", got, name, n)
		}
	}
}
