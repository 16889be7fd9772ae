package kms_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// TestExternalKey makes a KMS key for a key outside, and carries out everything that it can do, and that it cannot.
func TestExternalKey(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key", "second", "rsa", "off", "signing", "vague")
	p.keys["rsa"].facts["keySpec"] = "RSA_2048"
	p.keys["off"].facts["keyStatus"] = "DISABLED"
	p.keys["signing"].facts["keyUsage"] = []string{"SIGN", "ENCRYPT"}
	delete(p.keys["vague"].facts, "keyStatus")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	made, err := w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("key"), Description: aws.String("outside")})
	ok(t)(made, err)
	key, ordinary := *made.KeyMetadata.Arn, w.key(t)
	second := w.key(t, standsFor(id, "second"))

	t.Run("Metadata", func(t *testing.T) {
		told, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(told, err)
		for _, m := range []*types.KeyMetadata{made.KeyMetadata, told.KeyMetadata} {
			if *m.CustomKeyStoreId != id || *m.XksKeyConfiguration.Id != "key" || m.CloudHsmClusterId != nil || m.Origin != types.OriginTypeExternalKeyStore || m.KeyState != types.KeyStateEnabled || m.CurrentKeyMaterialId != nil {
				t.Errorf("the key is %+v", m)
			}
		}
		asked := p.requests("metadata")[0].body.RequestMetadata
		if asked["kmsOperation"] != "CreateKey" || asked["kmsKeyArn"] != "" || asked["awsPrincipalArn"] != "arn:aws:iam::"+account+":root" {
			t.Errorf("the proxy was told %v", asked)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		with := func(change func(*kms.CreateKeyInput)) *kms.CreateKeyInput {
			in := &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("absent")}
			change(in)
			return in
		}
		for name, c := range map[string]struct {
			change func(*kms.CreateKeyInput)
			code   string
		}{
			"InUse":       {func(in *kms.CreateKeyInput) { in.XksKeyId = aws.String("key") }, "XksKeyAlreadyInUseException"},
			"NotFound":    {func(*kms.CreateKeyInput) {}, "XksKeyNotFoundException"},
			"OtherSpec":   {func(in *kms.CreateKeyInput) { in.XksKeyId = aws.String("rsa") }, "XksKeyInvalidConfigurationException"},
			"Disabled":    {func(in *kms.CreateKeyInput) { in.XksKeyId = aws.String("off") }, "XksKeyInvalidConfigurationException"},
			"OtherUsage":  {func(in *kms.CreateKeyInput) { in.XksKeyId = aws.String("signing") }, "XksKeyInvalidConfigurationException"},
			"Vague":       {func(in *kms.CreateKeyInput) { in.XksKeyId = aws.String("vague") }, "CustomKeyStoreInvalidStateException"},
			"NoStore":     {func(in *kms.CreateKeyInput) { in.CustomKeyStoreId = nil }, "ValidationException"},
			"OtherStore":  {func(in *kms.CreateKeyInput) { in.CustomKeyStoreId = aws.String("cks-1234567890abcdef0") }, "CustomKeyStoreNotFoundException"},
			"NoKey":       {func(in *kms.CreateKeyInput) { in.XksKeyId = nil }, "ValidationException"},
			"NoOrigin":    {func(in *kms.CreateKeyInput) { in.Origin = "" }, "ValidationException"},
			"OtherOrigin": {func(in *kms.CreateKeyInput) { in.Origin, in.XksKeyId = types.OriginTypeAwsCloudhsm, nil }, "ValidationException"},
			"Asymmetric": {func(in *kms.CreateKeyInput) {
				in.KeySpec, in.KeyUsage = types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify
			}, "UnsupportedOperationException"},
			"MultiRegion": {func(in *kms.CreateKeyInput) { in.MultiRegion = aws.Bool(true) }, "UnsupportedOperationException"},
			"Denied":      {nil, "AccessDeniedException"},
		} {
			t.Run(name, func(t *testing.T) {
				client := w.Client
				if c.change == nil {
					c.change, client = func(*kms.CreateKeyInput) {}, w.user(account, "origin", `"Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:KeyOrigin":"AWS_KMS"}}`)
				}
				refused(t, c.code, "-")(client.CreateKey(ctx, with(c.change)))
			})
		}
		for name, f := range map[string]func() (any, error){
			"EnableKeyRotation":    func() (any, error) { return w.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &key}) },
			"RotateKeyOnDemand":    func() (any, error) { return w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}) },
			"GetKeyRotationStatus": func() (any, error) { return w.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &key}) },
			"DeleteImportedMaterial": func() (any, error) {
				return w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key})
			},
			"ReplicateKey": func() (any, error) {
				return w.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: aws.String(west)})
			},
			"GenerateRandom": func() (any, error) {
				return w.GenerateRandom(ctx, &kms.GenerateRandomInput{CustomKeyStoreId: &id, NumberOfBytes: aws.Int32(8)})
			},
			"GetParametersForImport": func() (any, error) {
				return w.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
			},
		} {
			t.Run(name, func(t *testing.T) { refused(t, "UnsupportedOperationException", "-")(f()) })
		}
	})
	t.Run("EncryptDecrypt", func(t *testing.T) {
		for _, text := range []string{"x", strings.Repeat("long", 1024)} {
			blob := w.encrypt(t, key, text, "tenant", "blue")
			if len(blob) > 6144 {
				t.Errorf("the ciphertext of %d bytes has %d, more than Decrypt takes", len(text), len(blob))
			}
			out := w.decrypts(t, blob, text, "tenant", "blue")
			if out.KeyMaterialId != nil || *out.KeyId != key {
				t.Errorf("Decrypt told %+v", out)
			}
			if bytes.Equal(blob, w.encrypt(t, key, text, "tenant", "blue")) {
				t.Error("two ciphertexts are equal")
			}
		}
		sent := p.requests("encrypt")
		last := sent[len(sent)-1]
		m := last.body.RequestMetadata
		if last.key != "key" || m["kmsKeyArn"] != key || m["kmsOperation"] != "Encrypt" || m["awsPrincipalArn"] != "arn:aws:iam::"+account+":root" || m["kmsRequestId"] == "" || m["kmsViaService"] != "" ||
			last.body.EncryptionAlgorithm != "AES_GCM" || last.body.CiphertextDataIntegrityValueAlgorithm != "SHA_256" || len(last.body.AdditionalAuthenticatedData) != 32 {
			t.Errorf("the proxy was asked %+v", last)
		}
		if n := len(last.body.Plaintext); n > 4300 || bytes.Contains(last.body.Plaintext, []byte("longlong")) {
			t.Errorf("the proxy was sent %d bytes, with the plaintext in the clear: %t", n, bytes.Contains(last.body.Plaintext, []byte("longlong")))
		}
		const words = "The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid."
		blob := w.encrypt(t, key, "text", "tenant", "blue")
		refused(t, "KMSInvalidStateException", words)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"tenant": "green"}}))
		blob[len(blob)-1] ^= 1
		refused(t, "KMSInvalidStateException", words)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"tenant": "blue"}}))
		refused(t, "InvalidCiphertextException", "")(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: blob[:100]}))
		refused(t, "IncorrectKeyException", "-")(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &second, CiphertextBlob: w.encrypt(t, key, "text")}))
	})
	t.Run("LongContext", func(t *testing.T) {
		long := strings.Repeat("c", 8000)
		w.decrypts(t, w.encrypt(t, key, "text", "long", long), "text", "long", long)
	})
	t.Run("DataKeys", func(t *testing.T) {
		data, err := w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
		ok(t)(data, err)
		w.decrypts(t, data.CiphertextBlob, string(data.Plaintext))
		without, err := w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, NumberOfBytes: aws.Int32(64)})
		ok(t)(without, err)
		ok(t)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: without.CiphertextBlob}))
		pair, err := w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
		ok(t)(pair, err)
		w.decrypts(t, pair.PrivateKeyCiphertextBlob, string(pair.PrivateKeyPlaintext))
		ok(t)(w.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256}))
		if data.KeyMaterialId != nil || without.KeyMaterialId != nil || pair.KeyMaterialId != nil {
			t.Error("material that is not all here is named")
		}
	})
	t.Run("ReEncrypt", func(t *testing.T) {
		into, err := w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: w.encrypt(t, ordinary, "text"), DestinationKeyId: &key})
		ok(t)(into, err)
		between, err := w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: into.CiphertextBlob, DestinationKeyId: &second})
		ok(t)(between, err)
		out, err := w.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: between.CiphertextBlob, DestinationKeyId: &ordinary})
		ok(t)(out, err)
		w.decrypts(t, out.CiphertextBlob, "text")
		if into.SourceKeyMaterialId == nil || into.DestinationKeyMaterialId != nil || out.SourceKeyMaterialId != nil || out.DestinationKeyMaterialId == nil {
			t.Errorf("ReEncrypt told %+v and %+v", into, out)
		}
	})
	t.Run("NotWithoutPermission", func(t *testing.T) {
		before := len(p.requests("encrypt"))
		denied(t)(w.user(account, "nobody").Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		refused(t, "DryRunOperationException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, DryRun: aws.Bool(true)}))
		if len(p.requests("encrypt")) != before {
			t.Error("the proxy was asked")
		}
	})
	t.Run("Disabled", func(t *testing.T) {
		w.disable(t, second)
		refused(t, "DisabledException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &second, Plaintext: message}))
	})
}

// TestLyingProxy has a proxy answer what is not so. None of it becomes a ciphertext that does not decrypt, or a plaintext that was not encrypted.
func TestLyingProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached)
	key := w.key(t, standsFor(w.connected(t, "store"), "key"))
	blob := w.encrypt(t, key, "text")
	const garbled = "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator."
	const others = "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid."
	for name, lie := range map[string]func(map[string]any){
		"IntegrityValue":   func(a map[string]any) { a["ciphertextDataIntegrityValue"] = make([]byte, 32) },
		"NoIntegrityValue": func(a map[string]any) { delete(a, "ciphertextDataIntegrityValue") },
		"OtherCiphertext":  func(a map[string]any) { a["ciphertext"] = make([]byte, len(a["ciphertext"].([]byte))) },
		"ShortCiphertext":  func(a map[string]any) { a["ciphertext"] = []byte("x") },
		"NoCiphertext":     func(a map[string]any) { delete(a, "ciphertext") },
		"ShortTag":         func(a map[string]any) { a["authenticationTag"] = make([]byte, 12) },
		"LongIV":           func(a map[string]any) { a["initializationVector"] = make([]byte, 13) },
		"LongMetadata":     func(a map[string]any) { a["ciphertextMetadata"] = make([]byte, 21) },
		"NoBase64":         func(a map[string]any) { a["ciphertext"] = "!" },
		"WrongType":        func(a map[string]any) { a["ciphertext"] = 7 },
	} {
		t.Run("Encrypt/"+name, func(t *testing.T) {
			p.behave(nil, func(_ string, answer map[string]any) { lie(answer) })
			refused(t, "KMSInvalidStateException", garbled)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
			refused(t, "KMSInvalidStateException", garbled)(w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256}))
		})
	}
	for name, c := range map[string]struct {
		lie   func(map[string]any)
		words string
	}{
		"ShortPlaintext": {func(a map[string]any) { a["plaintext"] = []byte("text") }, garbled},
		"NoPlaintext":    {func(a map[string]any) { delete(a, "plaintext") }, garbled},
		"OtherPlaintext": {func(a map[string]any) { rand.Read(a["plaintext"].([]byte)) }, others},
	} {
		t.Run("Decrypt/"+name, func(t *testing.T) {
			p.behave(nil, func(_ string, answer map[string]any) { c.lie(answer) })
			refused(t, "KMSInvalidStateException", c.words)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		})
	}
	p.behave(nil, nil)
	w.decrypts(t, blob, "text")
	t.Run("OtherKey", func(t *testing.T) {
		p.add("key") // with another secret
		refused(t, "KMSInvalidStateException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	})
}

// TestSlowProxy holds the limit of 250 ms, whole.
func TestSlowProxy(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached, func(cfg *cloud.Config) { cfg.ExternalKeyStores.Limit = 0 })
	p.behave(func(_ string, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, nil)
	refused(t, "XksProxyUriUnreachableException", "AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.")(
		w.CreateCustomKeyStore(ctx, publicStore("store")))
}

// A key outside is used across accounts, and by grants and aliases, as any other is. Stores are their account's alone.
func TestExternalKeyShared(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key", "second")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	uses := func() int { return len(p.requests("encrypt")) + len(p.requests("decrypt")) }
	t.Run("OtherAccount", func(t *testing.T) {
		guest := w.user(other, "guest", anything)
		before := uses()
		denied(t)(guest.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		if uses() != before {
			t.Error("the proxy was asked for somebody who may not")
		}
		w.put(t, key, keyPolicy(`"Principal":{"AWS":"arn:aws:iam::`+other+`:root"},"Action":"kms:*","Resource":"*"`))
		out, err := guest.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
		ok(t)(out, err)
		w.decrypts(t, out.CiphertextBlob, string(message))
		if told := p.requests("encrypt")[0].body.RequestMetadata; told["awsPrincipalArn"] != userARN(other, "guest") || told["kmsKeyArn"] != key {
			t.Errorf("the proxy was told %v", told)
		}
		if mine, theirs := w.recorded(t, other, "Encrypt", ""), w.recorded(t, account, "Encrypt", ""); mine.SharedEventID == "" || mine.SharedEventID != theirs.SharedEventID {
			t.Errorf("recorded as %s and %s", mine.Raw, theirs.Raw)
		}
		const missing = "CustomKeyStoreNotFoundException"
		refused(t, missing, "-")(guest.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("second")}))
		refused(t, missing, "-")(guest.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &id}))
		refused(t, missing, "-")(guest.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &id}))
		refused(t, missing, "-")(guest.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, NewCustomKeyStoreName: aws.String("theirs")}))
		refused(t, missing, "-")(guest.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &id}))
	})
	t.Run("Grant", func(t *testing.T) {
		grantee := w.user(account, "grantee")
		grant(t, w.Client, key, userARN(account, "grantee"), nil, opEncrypt)
		out, err := grantee.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
		ok(t)(out, err)
		before := uses()
		denied(t)(grantee.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob}))
		denied(t)(grantee.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: out.CiphertextBlob, DestinationKeyId: &key}))
		refused(t, "DryRunOperationException", "-")(w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, DryRun: aws.Bool(true)}))
		if uses() != before {
			t.Error("the proxy was asked for what was not to be done")
		}
	})
	t.Run("MadeAtOnce", func(t *testing.T) {
		codes := make(chan string, 4)
		for range cap(codes) {
			go func() {
				_, err := w.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &id, XksKeyId: aws.String("second")})
				codes <- code(err)
			}()
		}
		told := make(map[string]int)
		for range cap(codes) {
			told[<-codes]++
		}
		if told[""] != 1 || told["XksKeyAlreadyInUseException"] != cap(codes)-1 {
			t.Errorf("made at once, the keys of one key outside are %v, want one", told)
		}
	})
	t.Run("Alias", func(t *testing.T) {
		ordinary := w.key(t)
		w.alias(t, "alias/moves", ordinary)
		within := w.encrypt(t, "alias/moves", "text")
		ok(t)(w.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/moves"), TargetKeyId: &key}))
		before := uses()
		w.decrypts(t, w.encrypt(t, "alias/moves", "text"), "text")
		if uses() != before+2 {
			t.Error("the proxy was not asked")
		}
		w.decrypts(t, within, "text")
	})
}

// A store is changed, disconnected and connected while its keys are in use: each call is carried out whole, or refused for that reason.
func TestStoreChangesInUse(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	w := start(t, p.reached)
	id := w.connected(t, "store")
	key := w.key(t, standsFor(id, "key"))
	stop := make(chan struct{})
	var users sync.WaitGroup
	var done atomic.Int64
	for range 3 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				out, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
				if err == nil {
					_, err = w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
				}
				if err == nil {
					done.Add(1)
				} else if code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "is not connected") {
					t.Errorf("a call while the store changes: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		ok(t)(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, XksProxyAuthenticationCredential: publicStore("").XksProxyAuthenticationCredential}))
		w.disconnect(t, id)
		w.connect(t, id)
		w.decrypts(t, w.encrypt(t, key, "text"), "text")
	}
	close(stop)
	users.Wait()
	t.Logf("%d calls went through", done.Load())
}

// The secret that both sides have is in no file, record or error.
func TestNothingOfProxiesInTheClear(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "key")
	dir := t.TempDir()
	var log syncbuffer.Buffer
	var told bytes.Buffer
	t.Run("Run", func(t *testing.T) {
		w := start(t, p.reached, func(cfg *cloud.Config) {
			cfg.Dir, cfg.Log = dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		id := w.connected(t, "store")
		key := w.key(t, standsFor(id, "key"))
		w.decrypts(t, w.encrypt(t, key, "text"), "text")
		ok(t)(w.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &id, XksProxyAuthenticationCredential: publicStore("").XksProxyAuthenticationCredential}))
		p.behave(failing(401, "AuthenticationFailedException"), nil)
		_, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
		told.WriteString(err.Error())
		in := publicStore("other")
		in.XksProxyUriPath = aws.String("/other/kms/xks/v1")
		_, err = w.CreateCustomKeyStore(ctx, in)
		told.WriteString(err.Error())
		out, err := w.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{})
		ok(t)(out, err)
		for _, r := range w.Trail(account) {
			told.Write(r.Raw)
		}
	})
	told.WriteString(log.String())
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(proxySecret)) {
			t.Errorf("the proxy's secret is in %s", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files: %v", files, err)
	}
	if strings.Contains(told.String(), proxySecret) {
		t.Error("the proxy's secret was told")
	}
}

// BenchmarkEncryptOutside is an encryption with a key outside, whose proxy takes no time to speak of, beside one with an ordinary key. The difference is what the way there and back costs.
func BenchmarkEncryptOutside(b *testing.B) {
	p := newProxy(b, "key")
	c := cloudtest.Start(b, p.reached)
	client := kms.NewFromConfig(c.Config())
	st, err := client.CreateCustomKeyStore(ctx, publicStore("store"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := client.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: st.CustomKeyStoreId}); err != nil {
		b.Fatal(err)
	}
	c.Advance(time.Second)
	in := &kms.CreateKeyInput{}
	for _, name := range []string{"Ordinary", "Outside"} {
		key, err := client.CreateKey(ctx, in)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: message}); err != nil {
					b.Fatal(err)
				}
			}
		})
		standsFor(*st.CustomKeyStoreId, "key")(in)
	}
}
