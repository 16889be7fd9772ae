package kms_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

// TestNothingInTheClear runs a cloud on disk, with secrets of all sorts passing through, and looks for them in everything that it left behind: files,
// records of the store, audit records, log lines, errors.
func TestNothingInTheClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log syncbuffer.Buffer
	secrets := make(map[string][]byte)
	var told bytes.Buffer // what callers were told besides their answers
	var keys []string
	t.Run("Run", func(t *testing.T) {
		w := start(t, func(cfg *cloud.Config) {
			cfg.Dir, cfg.Log = dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		cred, err := w.Config().Credentials.Retrieve(ctx)
		ok(t)(cred, err)
		secrets["secret access key"] = []byte(cred.SecretAccessKey)
		key := w.key(t)
		hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
		signer := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
		agree := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeKeyAgreement))
		text := []byte("a plaintext that nobody else may read")
		secrets["plaintext"] = text
		blob := w.encrypt(t, key, string(text), "context", "is not secret")
		w.decrypts(t, blob, string(text), "context", "is not secret")
		data, err := w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
		ok(t)(data, err)
		secrets["data key"] = data.Plaintext
		pair, err := w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
		ok(t)(pair, err)
		secrets["private key"] = pair.PrivateKeyPlaintext
		random, err := w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(32)})
		ok(t)(random, err)
		secrets["random bytes"] = random.Plaintext
		signed := []byte("a message that is signed and sensitive")
		secrets["message"] = signed
		ok(t)(w.Sign(ctx, &kms.SignInput{KeyId: &signer, Message: signed, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}))
		ok(t)(w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &hmac, Message: signed, MacAlgorithm: types.MacAlgorithmSpecHmacSha256}))
		pub, _ := w.public(t, agree)
		secret, err := w.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: &agree, PublicKey: pub, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh})
		ok(t)(secret, err)
		secrets["shared secret"] = secret.SharedSecret
		imported := w.key(t, external)
		p := w.usual(t, imported)
		secrets["imported material"], secrets["refused material"] = material(7, 32), []byte("this is not the right length for it")
		ok(t)(w.ImportKeyMaterial(ctx, p.input(secrets["imported material"])))
		// What is refused tells no more.
		if _, err := w.ImportKeyMaterial(ctx, p.input(secrets["refused material"])); err == nil {
			t.Error("material of a wrong length was imported")
		} else {
			told.WriteString(err.Error())
		}
		for _, in := range []*kms.EncryptInput{
			{KeyId: aws.String("fake"), Plaintext: text}, {KeyId: &hmac, Plaintext: text}, {KeyId: &key, Plaintext: bytes.Repeat(text, 200)},
		} {
			if _, err := w.Encrypt(ctx, in); err == nil {
				t.Error("a bad request succeeded")
			} else {
				told.WriteString(err.Error())
			}
		}
		if _, err := w.user(account, "nobody").Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: text}); err != nil {
			told.WriteString(err.Error())
		}
		keys = []string{key, hmac, signer, agree, imported}
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		for _, e := range w.Trail(account) {
			told.Write(e.Raw)
		}
	})
	haystacks := map[string][]byte{"log": []byte(log.String()), "errors and audit records": told.Bytes()}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		haystacks[path], err = os.ReadFile(path)
		return err
	})
	ok(t)(nil, err)
	db, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(dir, "store")})
	ok(t)(db, err)
	defer db.Close()
	var dump bytes.Buffer
	ok(t)(nil, db.View(ctx, func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				return err
			}
			dump.Write(kv.Key)
			dump.Write(kv.Value)
		}
		return nil
	}))
	haystacks["store"] = dump.Bytes()
	// There is something to look through: all keys with what they are made of, and what was asked of them.
	for _, key := range keys {
		if id := key[strings.LastIndexByte(key, '/')+1:]; !bytes.Contains(dump.Bytes(), []byte(id)) { // the whole ARN stands in audit records alone, until they are in a segment
			t.Errorf("the key %s is not in the store", key)
		}
	}
	if !bytes.Contains(dump.Bytes(), []byte("SYMMETRIC_DEFAULT")) || !bytes.Contains(told.Bytes(), []byte("is not secret")) {
		t.Errorf("there is less to look through than there must be: %d bytes in the store, %d told", dump.Len(), told.Len())
	}
	for where, hay := range haystacks {
		for what, needle := range secrets {
			for _, form := range forms(needle) {
				if bytes.Contains(hay, form) {
					t.Errorf("the %s is in the clear in %s", what, where)
				}
			}
		}
	}
}

// forms are the ways in which bytes may be written.
func forms(b []byte) [][]byte {
	return [][]byte{
		b, []byte(hex.EncodeToString(b)), []byte(base64.StdEncoding.EncodeToString(b)), []byte(base64.URLEncoding.EncodeToString(b)),
		[]byte(base64.RawStdEncoding.EncodeToString(b)),
	}
}
