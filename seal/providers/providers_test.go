package providers

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	phrase := filepath.Join(dir, "phrase")
	os.WriteFile(phrase, []byte("correct horse\n"), 0o600)
	t.Setenv("TEST_ROOT", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	t.Setenv("TEST_BAD", "c29tZSBzZWNyZXQ=")
	t.Setenv("TEST_SHORT", "1234567")
	t.Setenv("TEST_PHRASE", "correct horse")
	t.Setenv(PassphraseVariable, "correct horse")

	for spec, kind := range map[string]string{
		"file:/a/../b:c": "key", "env:TEST_ROOT": "key", "passphrase": "passphrase", "passphrase:env:TEST_PHRASE": "passphrase", "passphrase:file:" + phrase: "passphrase",
		"shamir": "shamir", "shamir:3/5": "shamir", "tpm": "tpm",
		"awskms:alias/x?region=eu-west-1": "awskms", "awskms:arn:aws:kms:us-east-1:111122223333:key/1?endpoint=https://kms.example.com&profile=": "awskms",
		"tpm:/dev/tpmrm0?pcrs=7,11": "tpm", "tpm:tcp://127.0.0.1:2321": "tpm",
	} {
		if p, err := Parse(spec); err != nil || p.Kind() != kind {
			t.Errorf("Parse(%q) = %T, %v, want kind %s", spec, p, err, kind)
		}
	}
	for _, spec := range []string{
		"", "file", "file:", "env", "env:", "env:TEST_NOT_SET", "env:TEST_BAD", "passphrase:env:TEST_NOT_SET", "passphrase:env:", "passphrase:env:TEST_SHORT",
		"passphrase:file:" + dir, "passphrase:fd:x", "passphrase:other", "shamir:", "shamir:3", "shamir:1/3", "shamir:5/3", "shamir:a/b", "awskms:", "awskms:alias/x?endpoint=http://192.0.2.1&region=r", "tpm:?pcrs=", "tpm:?pcrs=99", "tpm:?pcr=7", "tpm:?pcrs=7&pcrs=8", "tpm:tcp://192.0.2.1:1", "other:", "c29tZSBzZWNyZXQ=",
	} {
		p, err := Parse(spec)
		if err == nil {
			t.Errorf("Parse(%q) = %T, want an error", spec, p)
		} else if strings.Contains(err.Error(), "c29tZSBzZWNyZXQ") || strings.Contains(err.Error(), "1234567") {
			t.Errorf("Parse(%q) quotes a secret: %v", spec, err)
		}
	}
}
