package secretsmanager_test

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
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

// TestNothingInTheClear runs a cloud on disk, with secrets passing through, and looks for them in everything that it left behind. What it left serves the next cloud.
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	var log syncbuffer.Buffer
	var told bytes.Buffer
	secrets := map[string][]byte{
		"text": []byte("the-first-value-of-it"), "second text": []byte("the-second-value-of-it"), "binary": []byte("\x01\x02a binary value\xff"), "refused text": []byte("never-to-be-put-anywhere"),
		"rotation token": []byte("rotation-token-0123456789-0123456789"),
	}
	onDisk := func(cfg *cloud.Config) {
		cfg.Dir, cfg.Log = dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	t.Run("Run", func(t *testing.T) {
		h := start(t, onDisk)
		ctx := t.Context()
		h.create("s", string(secrets["text"]), func(in *secretsmanager.CreateSecretInput) { in.AddReplicaRegions = replicas(remote) })
		h.put("s", string(secrets["second text"]), "AWSPENDING")
		must(h.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretBinary: secrets["binary"]}))(t)
		must(h.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("s"), SecretString: aws.String(string(secrets["text"]))}))(t)
		if got := h.get("s"); got != string(secrets["text"]) {
			t.Errorf("it says %q", got)
		}
		must(h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"s"}}))(t)
		secrets["random password"] = []byte(*must(h.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{}))(t).RandomPassword)
		_, err := h.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("none"), SecretString: aws.String(string(secrets["refused text"]))})
		told.WriteString(err.Error())
		_, err = h.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("s"), SecretString: aws.String(string(secrets["refused text"])), RotationToken: aws.String(string(secrets["rotation token"])),
		})
		told.WriteString(err.Error())
		_, err = h.by(home, "nobody").CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("t"), SecretString: aws.String(string(secrets["refused text"]))})
		told.WriteString(err.Error())
		for _, e := range h.Trail(home) {
			told.Write(e.Raw)
		}
	})
	haystacks := map[string][]byte{"log": []byte(log.String()), "errors and audit records": told.Bytes()}
	must(0, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		haystacks[path], err = os.ReadFile(path)
		return err
	}))(t)
	db := must(pebblestore.Open(pebblestore.Options{Dir: filepath.Join(dir, "store")}))(t)
	var dump bytes.Buffer
	must(0, db.View(t.Context(), func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				return err
			}
			dump.Write(kv.Key)
			dump.Write(kv.Value)
		}
		return nil
	}))(t)
	must(0, db.Close())(t)
	haystacks["store"] = dump.Bytes()
	if !bytes.Contains(dump.Bytes(), []byte("AWSPENDING")) || !strings.Contains(told.String(), "PutSecretValue") {
		t.Error("there is less to look through than there must be")
	}
	for where, hay := range haystacks {
		for what, needle := range secrets {
			for _, form := range [][]byte{needle, []byte(hex.EncodeToString(needle)), []byte(base64.StdEncoding.EncodeToString(needle)), []byte(base64.RawURLEncoding.EncodeToString(needle))} {
				if bytes.Contains(hay, form) {
					t.Errorf("the %s is in the clear in %s", what, where)
				}
			}
		}
	}
	t.Run("AfterARestart", func(t *testing.T) {
		h := start(t, onDisk)
		if h.get("s") != string(secrets["text"]) || h.there(remote, "s") != string(secrets["text"]) {
			t.Error("the values are others after a restart")
		}
	})
}
