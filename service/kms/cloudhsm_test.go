//go:build pkcs11 && cgo

package kms_test

import (
	"bytes"
	"encoding/pem"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
	kmsroom "github.com/holdfast-cloud/holdfast/service/kms"
)

const (
	clusterOne, clusterTwo = "cluster-onetokenabc", "cluster-twotokenabc"
	noCluster              = "cluster-notokenabcd"
	password               = "kmsuser's password"
)

// hsmWorld is a cloud with two clusters, each of one token.
type hsmWorld struct {
	*world
	soft   *hsmtest.SoftHSM
	anchor string
}

func startHSM(t *testing.T, options ...func(*cloud.Config)) *hsmWorld {
	t.Helper()
	soft := hsmtest.New(t)
	soft.Init("one", password)
	soft.Init("two", password)
	anchor := hsmtest.Certificate(t)
	der, _ := pem.Decode([]byte(anchor))
	options = append(options, func(c *cloud.Config) {
		c.CloudHSM = map[string]kmsroom.CloudHSM{
			clusterOne: {Token: soft.URI("one"), TrustAnchor: der.Bytes}, clusterTwo: {Token: soft.URI("two")}, noCluster: {Token: soft.URI("nowhere")},
		}
	})
	return &hsmWorld{start(t, options...), soft, anchor}
}

// store makes a CloudHSM key store.
func (w *hsmWorld) store(t *testing.T, change ...func(*kms.CreateCustomKeyStoreInput)) string {
	t.Helper()
	out, err := w.CreateCustomKeyStore(ctx, w.storeInput(change...))
	ok(t)(out, err)
	return *out.CustomKeyStoreId
}

func (w *hsmWorld) storeInput(change ...func(*kms.CreateCustomKeyStoreInput)) *kms.CreateCustomKeyStoreInput {
	in := &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: aws.String("hardware"), CloudHsmClusterId: aws.String(clusterOne), TrustAnchorCertificate: &w.anchor, KeyStorePassword: aws.String(password),
	}
	for _, f := range change {
		f(in)
	}
	return in
}

// connect connects a store and waits until that is done.
func (w *hsmWorld) connect(t *testing.T, id string) {
	t.Helper()
	ok(t)(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
	w.Advance(time.Second)
}

func (w *hsmWorld) disconnect(t *testing.T, id string) {
	t.Helper()
	ok(t)(w.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
}

func (w *hsmWorld) wantState(t *testing.T, id string, state types.ConnectionStateType, code types.ConnectionErrorCodeType) {
	t.Helper()
	out, err := w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &id})
	ok(t)(out, err)
	if got := out.CustomKeyStores[0]; got.ConnectionState != state || got.ConnectionErrorCode != code {
		t.Errorf("the store is %s %s, want %s %s", got.ConnectionState, got.ConnectionErrorCode, state, code)
	}
}

// inside are keys in a store.
func inside(store string) func(*kms.CreateKeyInput) {
	return func(in *kms.CreateKeyInput) { in.Origin, in.CustomKeyStoreId = types.OriginTypeAwsCloudhsm, &store }
}

func (w *hsmWorld) decrypts(t *testing.T, blob []byte, want string) {
	t.Helper()
	out, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob})
	if err != nil || string(out.Plaintext) != want {
		t.Errorf("Decrypt = %+v, %v, want %q", out, err, want)
	}
}

func TestCloudHSMStore(t *testing.T) {
	w := startHSM(t)
	create := func(change ...func(*kms.CreateCustomKeyStoreInput)) (*kms.CreateCustomKeyStoreOutput, error) {
		return w.CreateCustomKeyStore(ctx, w.storeInput(change...))
	}
	t.Run("ClusterNotFound", func(t *testing.T) {
		refused(t, "CloudHsmClusterNotFoundException", "-")(create(func(in *kms.CreateCustomKeyStoreInput) { in.CloudHsmClusterId = aws.String("cluster-unknownabcd") }))
	})
	t.Run("ClusterNotActive", func(t *testing.T) {
		refused(t, "CloudHsmClusterNotActiveException", "The CloudHSM cluster associated with the CloudHSM key store is not active.")(create(func(in *kms.CreateCustomKeyStoreInput) { in.CloudHsmClusterId = aws.String(noCluster) }))
	})
	t.Run("ClusterInvalid", func(t *testing.T) {
		w.soft.Init("nowhere", password)
		w.soft.Init("nowhere", password)
		refused(t, "CloudHsmClusterInvalidConfigurationException", "-")(create(func(in *kms.CreateCustomKeyStoreInput) { in.CloudHsmClusterId = aws.String(noCluster) }))
	})
	t.Run("IncorrectTrustAnchor", func(t *testing.T) {
		for _, text := range []string{hsmtest.Certificate(t), "none", w.anchor + w.anchor, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
			refused(t, "IncorrectTrustAnchorException", "-")(create(func(in *kms.CreateCustomKeyStoreInput) { in.TrustAnchorCertificate = &text }))
		}
	})
	t.Run("OK", func(t *testing.T) {
		id := w.store(t)
		w.wantState(t, id, types.ConnectionStateTypeDisconnected, "")
		refused(t, "CloudHsmClusterInUseException", "-")(create(func(in *kms.CreateCustomKeyStoreInput) { in.CustomKeyStoreName = aws.String("another") }))
		refused(t, "CustomKeyStoreInvalidStateException", "-")(w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: &id}))
		w.connect(t, id)
		w.wantState(t, id, types.ConnectionStateTypeConnected, "")
		w.disconnect(t, id)
		ok(t)(w.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}))
	})
	t.Run("WrongPassword", func(t *testing.T) {
		id := w.store(t, func(in *kms.CreateCustomKeyStoreInput) { in.KeyStorePassword = aws.String("something else") })
		w.connect(t, id)
		w.wantState(t, id, types.ConnectionStateTypeFailed, types.ConnectionErrorCodeTypeInvalidCredentials)
		refused(t, "CustomKeyStoreInvalidStateException", "-")(w.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
		w.disconnect(t, id)
		ok(t)(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, KeyStorePassword: aws.String(password)}))
		w.connect(t, id)
		w.wantState(t, id, types.ConnectionStateTypeConnected, "")
		w.disconnect(t, id)
		w.soft.Vanish()
		w.connect(t, id)
		w.soft.Return()
		w.disconnect(t, id)
		ok(t)(w.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}))
	})
	t.Run("NotRelated", func(t *testing.T) {
		id := w.store(t)
		other := &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, CloudHsmClusterId: aws.String(clusterTwo)}
		ok(t)(w.UpdateCustomKeyStore(ctx, other)) // it has no keys yet
		w.connect(t, id)
		key := w.key(t, inside(id))
		w.disconnect(t, id)
		back := &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, CloudHsmClusterId: aws.String(clusterOne)}
		refused(t, "CloudHsmClusterNotRelatedException", "The specified CloudHSM cluster does not have the keys of the custom key store.")(w.UpdateCustomKeyStore(ctx, back))
		w.connect(t, id)
		w.decrypts(t, w.encrypt(t, key, "still there"), "still there")
	})
}

func TestCloudHSMKey(t *testing.T) {
	w := startHSM(t)
	store := w.store(t)
	w.connect(t, store)
	key := w.key(t, inside(store))
	described, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
	ok(t)(described, err)
	m := described.KeyMetadata
	if m.Origin != types.OriginTypeAwsCloudhsm || aws.ToString(m.CustomKeyStoreId) != store || aws.ToString(m.CloudHsmClusterId) != clusterOne || m.KeyState != types.KeyStateEnabled {
		t.Errorf("the key is %+v", m)
	}
	t.Run("InTheTokenAlone", func(t *testing.T) {
		want := []hsmtest.KeyState{{Key: hsm.Key{Label: *m.KeyId, ID: *m.KeyId}, Sensitive: true}}
		if diff := cmp.Diff(want, w.soft.Keys("one", password)); diff != "" {
			t.Errorf("the token has (-want +got):\n%s", diff)
		}
	})
	blob := w.encrypt(t, key, "secret")
	t.Run("Decrypt", func(t *testing.T) {
		w.decrypts(t, blob, "secret")
		for i := range blob {
			changed := bytes.Clone(blob)
			changed[i] ^= 1
			if out, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: changed, KeyId: &key}); err == nil {
				t.Errorf("byte %d changed: Decrypt = %q", i, out.Plaintext)
			}
		}
		refused(t, "InvalidCiphertextException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}}))
	})
	t.Run("DataKeyAndReEncrypt", func(t *testing.T) {
		with := map[string]string{"purpose": "test"}
		data, err := w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, EncryptionContext: with})
		ok(t)(data, err)
		moved, err := w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: data.CiphertextBlob, SourceEncryptionContext: with, DestinationKeyId: aws.String(w.key(t))})
		ok(t)(moved, err)
		w.decrypts(t, moved.CiphertextBlob, string(data.Plaintext))
	})
	t.Run("Random", func(t *testing.T) {
		out, err := w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(64), CustomKeyStoreId: &store})
		ok(t)(out, err)
		if len(out.Plaintext) != 64 {
			t.Errorf("GenerateRandom = %x", out.Plaintext)
		}
	})
	t.Run("TokenGone", func(t *testing.T) {
		const gone = "KMS cannot communicate with your CloudHSM cluster"
		w.soft.Vanish()
		refused(t, "KMSInvalidStateException", gone)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		refused(t, "KMSInvalidStateException", gone)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		refused(t, "CloudHsmClusterInvalidConfigurationException", "-")(w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: &store}))
		refused(t, "KMSInvalidStateException", gone)(w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1), CustomKeyStoreId: &store}))
		w.wantState(t, store, types.ConnectionStateTypeConnected, "")
		w.soft.Return()
		w.decrypts(t, blob, "secret")
	})
	t.Run("Disconnected", func(t *testing.T) {
		w.disconnect(t, store)
		refused(t, "KMSInvalidStateException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		w.connect(t, store)
		w.decrypts(t, blob, "secret")
	})
	t.Run("DeletedInTheToken", func(t *testing.T) {
		lost := w.key(t, inside(store))
		blob := w.encrypt(t, lost, "x")
		token, err := hsm.Open(ctx, w.soft.URI("one"), []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		defer token.Close()
		if err := token.DestroyKey(ctx, hsm.Key{Label: lost[len(lost)-36:]}); err != nil {
			t.Fatal(err)
		}
		refused(t, "KMSInvalidStateException", "KMS cannot find the key material of "+lost+" in your CloudHSM cluster")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	})
	t.Run("PasswordChanged", func(t *testing.T) {
		w.soft.SetPIN("one", password, "another password")
		w.decrypts(t, blob, "secret") // logged in as before
		w.soft.Vanish()
		refused(t, "KMSInvalidStateException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		w.soft.Return()
		refused(t, "KMSInvalidStateException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		w.wantState(t, store, types.ConnectionStateTypeFailed, types.ConnectionErrorCodeTypeInvalidCredentials)
		w.disconnect(t, store)
		ok(t)(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &store, KeyStorePassword: aws.String("another password")}))
		w.connect(t, store)
		w.decrypts(t, blob, "secret")
		w.soft.SetPIN("one", "another password", password)
	})
}

// The key in the token goes with the KMS key, also when the token is away that day.
func TestCloudHSMKeyDeletion(t *testing.T) {
	w := startHSM(t)
	store := w.store(t)
	w.connect(t, store)
	kept, dies := w.key(t, inside(store)), w.key(t, inside(store))
	w.schedule(t, dies)
	w.Advance(6 * day)
	if n := len(w.soft.Keys("one", password)); n != 2 {
		t.Errorf("the token has %d keys in the waiting period", n)
	}
	w.soft.Vanish()
	w.Advance(day)
	refused(t, "NotFoundException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &dies}))
	w.soft.Return()
	w.Advance(2 * time.Hour)
	left := w.soft.Keys("one", password)
	if len(left) != 1 || left[0].Label != kept[len(kept)-36:] {
		t.Errorf("the token has %v, want the key of %s alone", left, kept)
	}
	w.decrypts(t, w.encrypt(t, kept, "x"), "x")
}
