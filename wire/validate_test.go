package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
)

func TestValidate(t *testing.T) {
	long := strings.Repeat("k", 2049)
	tests := map[string]struct {
		in   wire.Shape
		want string
	}{
		"OK":      {&kms.EncryptRequest{KeyId: new("a"), Plaintext: []byte("x")}, ""},
		"Missing": {&kms.EncryptRequest{Plaintext: []byte("x")}, "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"},
		"Several": {&kms.EncryptRequest{}, "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; " +
			"Value null at 'plaintext' failed to satisfy constraint: Member must not be null"},
		"TooLong": {&kms.EncryptRequest{KeyId: &long, Plaintext: []byte("x")}, "1 validation error detected: Value '" + long + "' at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		"Sensitive": {&kms.EncryptRequest{KeyId: new("a"), Plaintext: make([]byte, 4097)},
			"1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		"Empty": {&kms.DecryptRequest{CiphertextBlob: []byte{}},
			"1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]' at 'ciphertextBlob' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"Enum": {&kms.EncryptRequest{KeyId: new("a"), Plaintext: []byte("x"), EncryptionAlgorithm: "ROT13"},
			"1 validation error detected: Value 'ROT13' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]"},
		"Elements": {&kms.EncryptRequest{KeyId: new("a"), Plaintext: []byte("x"), GrantTokens: []string{"a", ""}},
			"1 validation error detected: Value '[a, ]' at 'grantTokens' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must have length less than or equal to 8192, Member must have length greater than or equal to 1, Member must not be null]"},
		"Nested": {&kms.TagResourceRequest{KeyId: new("a"), Tags: []kms.Tag{{TagKey: new("a"), TagValue: new("b")}, {TagKey: new("")}}},
			"2 validation errors detected: Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value null at 'tags.2.member.tagValue' failed to satisfy constraint: Member must not be null"},
		"Number": {&kms.ListKeysRequest{Limit: new(int32(1001))},
			"1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		"Pattern": {&kms.CreateAliasRequest{AliasName: new("alias/ä"), TargetKeyId: new("a")},
			"1 validation error detected: Value 'alias/ä' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		"LengthInUTF16": {&kms.CreateKeyRequest{Description: new(strings.Repeat("😀", 4096) + "a")},
			"1 validation error detected: Value '" + strings.Repeat("😀", 4096) + "a' at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := wire.Validate(test.in)
			if test.want == "" {
				if err != nil {
					t.Fatalf("Validate: %v, want nil", err)
				}
				return
			}
			e, ok := errors.AsType[*wire.Error](err)
			if !ok || e.Code != "ValidationException" || e.Status != 400 || e.Message != test.want {
				t.Errorf("Validate: %v\nwant ValidationException: %s", err, test.want)
			}
		})
	}
}

func TestValidateWithoutMemory(t *testing.T) {
	in := &kms.EncryptRequest{KeyId: new("alias/a"), Plaintext: []byte("x"), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}
	if n := testing.AllocsPerRun(100, func() {
		if err := wire.Validate(in); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Validate allocates %v times for a valid request, want 0", n)
	}
}

// However much is wrong with a request, the answer is not much larger.
func TestValidateTellsNoEnd(t *testing.T) {
	tags := make([]kms.Tag, 100_000)
	late := make([]kms.Tag, 20_000)
	for i := range late {
		late[i] = kms.Tag{TagKey: new("a"), TagValue: new("b")}
	}
	late[len(late)-1].TagKey = nil
	huge := strings.Repeat("a", 2<<20)
	tests := map[string]struct {
		in   wire.Shape
		want string
	}{
		"ManyItems": {&kms.CreateKeyRequest{Tags: tags}, "100 validation errors detected: Value null at 'tags.1.member.tagKey' failed"},
		"LateItem":  {&kms.CreateKeyRequest{Tags: late}, "1 validation error detected: Members of lists and maps must satisfy their constraints"},
		"LongValue": {&kms.CreateAliasRequest{AliasName: &huge, TargetKeyId: new("a")}, "1 validation error detected: Value 'aaaa"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e, ok := errors.AsType[*wire.Error](wire.Validate(test.in))
			if !ok || !strings.HasPrefix(e.Message, test.want) || len(e.Message) > 40<<10 {
				t.Errorf("Validate: %d bytes %.200q, want at most 40 KiB that begin %q", len(e.Message), e.Message, test.want)
			}
		})
	}
}
