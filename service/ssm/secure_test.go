package ssm_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/holdfast-cloud/holdfast/cloud"
)

const secret = "correct-horse-battery-staple"

// TestSecureString encrypts under KMS as the caller, by the tier's way.
func TestSecureString(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := h.key()
	with := func(key string) func(*ssm.PutParameterInput) {
		return func(in *ssm.PutParameterInput) { in.Type, in.KeyId = types.ParameterTypeSecureString, &key }
	}
	h.put("/s/default", secret, secure)
	h.put("/s/standard", secret, with(key))
	h.put("/s/advanced", strings.Repeat(secret, 250), with(key), inAdvanced)
	t.Run("Decrypted", func(t *testing.T) {
		for name, want := range map[string]string{"/s/default": secret, "/s/standard": secret, "/s/advanced": strings.Repeat(secret, 250)} {
			if p := h.get(name); *p.Value != want || p.Type != types.ParameterTypeSecureString {
				t.Errorf("%s = %s", name, *p.Value)
			}
		}
	})
	t.Run("Ciphertext", func(t *testing.T) {
		p := must(h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/s/standard")}))(t).Parameter
		blob, err := base64.StdEncoding.DecodeString(*p.Value)
		if err != nil {
			t.Fatal(err)
		}
		context := map[string]string{"PARAMETER_ARN": prefix + "/s/standard"}
		out := must(keys.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context}))(t)
		if string(out.Plaintext) != secret || *out.KeyId != key {
			t.Errorf("KMS decrypts it as %q under %s", out.Plaintext, *out.KeyId)
		}
		if _, err := keys.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob}); err == nil {
			t.Error("the ciphertext is not bound to the parameter")
		}
	})
	t.Run("KeyIsShown", func(t *testing.T) {
		byKey := []types.ParameterStringFilter{{Key: aws.String("KeyId"), Values: []string{"alias/aws/ssm"}}}
		d := must(h.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{ParameterFilters: byKey}))(t).Parameters
		if len(d) != 1 || *d[0].Name != "/s/default" || *d[0].KeyId != "alias/aws/ssm" {
			t.Errorf("DescribeParameters = %+v", d)
		}
	})
	t.Run("NeedsTheKey", func(t *testing.T) {
		reader := ssm.NewFromConfig(h.User(home, "reader", allow("ssm:*", "*")))
		for _, name := range []string{"/s/standard", "/s/advanced", "/s/default"} {
			must(reader.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name}))(t)
			_, err := reader.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
			if name == "/s/default" { // whose policy lets everybody in who comes through Parameter Store
				if err != nil {
					t.Error(err)
				}
				continue
			}
			wantError(t, err, "AccessDeniedException", "is not authorized to perform: kms:Decrypt")
		}
		_, err := reader.PutParameter(t.Context(), input("/s/mine", "v", with(key)))
		wantError(t, err, "AccessDeniedException", "is not authorized to perform: kms:Encrypt on resource: "+key)
		_, err = reader.PutParameter(t.Context(), input("/s/mine", "v", with(key), inAdvanced))
		wantError(t, err, "AccessDeniedException", "is not authorized to perform: kms:GenerateDataKey on resource: "+key)
	})
	t.Run("ViaService", func(t *testing.T) {
		via := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:*","Resource":"*"},{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":
			{"kms:ViaService":"ssm.us-east-1.amazonaws.com","kms:EncryptionContext:PARAMETER_ARN":"` + prefix + `/s/advanced"}}}]}`
		c := ssm.NewFromConfig(h.User(home, "via", via))
		must(c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/s/advanced"), WithDecryption: aws.Bool(true)}))(t)
		_, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/s/standard"), WithDecryption: aws.Bool(true)})
		wantError(t, err, "AccessDeniedException", "kms:Decrypt")
	})
	t.Run("KeyDisabled", func(t *testing.T) {
		must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}))(t)
		_, err := h.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/s/advanced"), WithDecryption: aws.Bool(true)})
		wantError(t, err, "InvalidKeyId", "Error Code: DisabledException")
		must(keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key}))(t)
	})
	t.Run("History", func(t *testing.T) {
		h.put("/s/default", "second", overwrite, untyped, inAdvanced)
		v := must(h.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/s/default"), WithDecryption: aws.Bool(true)}))(t).Parameters
		if len(v) != 2 || *v[0].Value != secret || *v[1].Value != "second" || *v[1].KeyId != "alias/aws/ssm" {
			t.Errorf("GetParameterHistory = %+v", v)
		}
	})
}

// TestNothingInTheClear looks for values in all files of the data directory, in the audit records and in errors.
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	t.Run("Put", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		h.put("plain", secret)
		h.put("plain", secret, overwrite)
		h.put("/list", secret+",b", func(in *ssm.PutParameterInput) { in.Type = types.ParameterTypeStringList })
		h.put("/secure", secret, secure)
		h.put("/advanced", secret, secure, inAdvanced)
		for _, name := range []string{"plain", "/secure", "/advanced"} {
			h.get(name)
		}
		for _, e := range h.Trail(home) {
			if strings.Contains(string(e.Raw), secret) {
				t.Errorf("it is on record: %s", e.Raw)
			}
		}
	})
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("it is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	t.Run("After", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		for _, name := range []string{"plain", "plain:1", "/secure", "/advanced"} {
			if p := h.get(name); *p.Value != secret {
				t.Errorf("after a restart %s = %s", name, *p.Value)
			}
		}
	})
}
