package cloud_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Each process has people of its own. A replica's policy names those who have the names in the replica's process, and nobody in place of those who have none there.
func TestPeersPeople(t *testing.T) {
	toWest, toEast := newFront(t), newFront(t)
	east, west := half(t, "us-east-1", "eu-west-1", peerSecret, toWest), half(t, "eu-west-1", "us-east-1", peerSecret, toEast)
	toWest.put(west)
	toEast.put(east)
	here, there := kms.NewFromConfig(east.Config()), kms.NewFromConfig(west.Config())
	user := func(name string) string { return "arn:aws:iam::" + east.Account + ":user/" + name }
	document := func(statements ...string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	}
	root := `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + east.Account + `:root"},"Action":"kms:*","Resource":"*"}`
	everything := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
	made, err := here.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	east.User(east.Account, "both")
	east.User(east.Account, "late")
	ann := kms.NewFromConfig(east.User(east.Account, "ann", everything))
	both := kms.NewFromConfig(west.User(west.Account, "both"))
	replicate := func(k *kms.Client, policy *string) error {
		_, err := k.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: aws.String("eu-west-1"), Policy: policy})
		return err
	}
	t.Run("LocksNobodyOut", func(t *testing.T) {
		// She may be nobody there: the replica would be a key that nobody manages.
		err := replicate(ann, document(`{"Effect":"Allow","Principal":{"AWS":"`+user("ann")+`"},"Action":"kms:*","Resource":"*"}`))
		if err == nil || !strings.Contains(err.Error(), "will not allow you to update the key policy") {
			t.Errorf("ReplicateKey = %v", err)
		}
	})
	named := document(root, `{"Effect":"Allow","Principal":{"AWS":["`+user("both")+`","`+user("late")+`"]},"Action":"kms:DescribeKey","Resource":"*"}`)
	if err := replicate(here, named); err != nil {
		t.Fatal(err)
	}
	arn := strings.Replace(*made.KeyMetadata.Arn, "us-east-1", "eu-west-1", 1)
	await(t, "the replica is there", func() bool { return state(t, there, arn) == types.KeyStateEnabled })
	late := kms.NewFromConfig(west.User(west.Account, "late"))
	shown := func() string {
		out, err := there.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: id})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Policy
	}
	t.Run("Both", func(t *testing.T) {
		if state(t, both, arn) != types.KeyStateEnabled {
			t.Error("who is named and has the name there may not look at the replica")
		}
	})
	t.Run("Late", func(t *testing.T) {
		if state(t, late, arn) != "" {
			t.Error("who was made later under a name that was nobody's may look at the replica")
		}
		if text := shown(); !strings.Contains(text, user("both")) || strings.Contains(text, user("late")) || !strings.Contains(text, `"AIDA`) {
			t.Errorf("the policy is shown as %s", text)
		}
		if _, err := there.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: id, Policy: named}); err != nil {
			t.Fatal(err)
		}
		if state(t, late, arn) != types.KeyStateEnabled || shown() != *named {
			t.Errorf("after the policy was put again it is %s", shown())
		}
	})
	t.Run("DeniedThere", func(t *testing.T) {
		west.User(west.Account, "ann")
		deny := document(root, `{"Effect":"Deny","Principal":{"AWS":"`+user("ann")+`"},"Action":"kms:UpdatePrimaryRegion","Resource":"*"}`)
		if _, err := there.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: id, Policy: deny}); err != nil {
			t.Fatal(err)
		}
		_, err := ann.UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: id, PrimaryRegion: aws.String("eu-west-1")})
		if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("UpdatePrimaryRegion of somebody whom the replica's policy denies it = %v", err)
		}
	})
}
