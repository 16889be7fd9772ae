package stories_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/fipstest"
)

// fipsDirectory is the environment variable that hands the data directory on to the process in FIPS mode.
const fipsDirectory = "HOLDFAST_TEST_FIPS_DIR"

// A data directory that was made outside FIPS mode goes on in it. All cryptography is then done by Go's FIPS 140-3 module: this test runs where everything
// else fails. What the module does not have is refused, by name.
func TestInFIPSModeTheModuleDoesEverything(t *testing.T) {
	dir := os.Getenv(fipsDirectory)
	if dir == "" {
		dir = t.TempDir()
		before(t, dir)
		t.Setenv(fipsDirectory, dir)
	}
	if !fipstest.Only(t) {
		return
	}
	c := cloudtest.Start(t, onDisk(dir))
	k := kms.NewFromConfig(c.Config())
	t.Run("Before", func(t *testing.T) { keysFromBefore(t, k) })
	t.Run("Keys", func(t *testing.T) { approvedKeys(t, k) })
	t.Run("Refused", func(t *testing.T) { refusedKeys(t, k) })
	t.Run("Import", func(t *testing.T) { fipsImport(t, k) })
	t.Run("ManyRegions", func(t *testing.T) { fipsRegions(t, c) })
	t.Run("Identity", func(t *testing.T) { fipsIdentity(t, c) })
}

// What comes and goes between clouds, files and processes needs nothing but the module either.
func TestInFIPSModeOtherStoriesGoTheSameWay(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	t.Run("Backup", TestABackupBringsEverythingBack)
	t.Run("ExternalKeys", TestKeysStayInAnotherCloud)
	t.Run("Import", TestYourOwnMaterialComesAndGoes)
	t.Run("Peers", TestARegionOutlivesAnother)
	t.Run("Bus", TestWhatWaitsLiesSealed)
	t.Run("Webhook", TestAKeysDeletionReachesQueueWebhookAndMail)
	t.Run("Archive", TestAnArchiveReplaysADay)
}

// before makes what the process in FIPS mode finds.
func before(t *testing.T, dir string) {
	t.Helper()
	t.Run("Outside", func(t *testing.T) { // whose end closes the cloud
		c := cloudtest.Start(t, onDisk(dir))
		k := kms.NewFromConfig(c.Config())
		for _, alias := range []string{"alias/kept", "alias/refused"} {
			in := &kms.CreateKeyInput{}
			if alias == "alias/refused" {
				in.KeySpec, in.KeyUsage = types.KeySpecEccSecgP256k1, types.KeyUsageTypeSignVerify
			}
			key, err := k.CreateKey(t.Context(), in)
			done(t)(key, err)
			done(t)(k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: key.KeyMetadata.KeyId}))
			if alias == "alias/kept" {
				if err := os.WriteFile(dir+".ciphertext", encrypt(t, k, key.KeyMetadata, "from before"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func keysFromBefore(t *testing.T, k *kms.Client) {
	ciphertext, err := os.ReadFile(os.Getenv(fipsDirectory) + ".ciphertext")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, k, ciphertext, "from before")

	alias := aws.String("alias/refused")
	_, err = k.Sign(t.Context(), &kms.SignInput{KeyId: alias, Message: []byte("m"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	wantRefusal(t, err, "UnsupportedOperationException", "key spec is ECC_SECG_P256K1 which is not supported in FIPS mode.")
	_, err = k.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: alias})
	wantRefusal(t, err, "UnsupportedOperationException", "not supported in FIPS mode.")
	key, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := k.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || !slices.ContainsFunc(listed.Keys, func(e types.KeyListEntry) bool { return *e.KeyArn == *key.KeyMetadata.Arn }) {
		t.Errorf("ListKeys does not have the key: %v, %v", listed, err)
	}
	done(t)(k.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId, PendingWindowInDays: new(int32(7))}))
}

// approvedKeys makes a key of every spec and usage that is left, and uses it with every algorithm that it says it has.
func approvedKeys(t *testing.T, k *kms.Client) {
	ctx, message := t.Context(), []byte("attack at dawn")
	for usage, specs := range map[types.KeyUsageType][]types.KeySpec{
		types.KeyUsageTypeEncryptDecrypt: {types.KeySpecSymmetricDefault, types.KeySpecRsa2048},
		types.KeyUsageTypeSignVerify: {
			types.KeySpecRsa2048, types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521, types.KeySpecEccNistEdwards25519,
		},
		types.KeyUsageTypeGenerateVerifyMac: {types.KeySpecHmac224, types.KeySpecHmac256, types.KeySpecHmac384, types.KeySpecHmac512},
		types.KeyUsageTypeKeyAgreement:      {types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521},
	} {
		for _, spec := range specs {
			t.Run(string(spec)+"/"+string(usage), func(t *testing.T) {
				made, err := k.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
				if err != nil {
					t.Fatal(err)
				}
				key := made.KeyMetadata
				for _, alg := range key.EncryptionAlgorithms {
					e, err := k.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyId, Plaintext: message, EncryptionAlgorithm: alg})
					if err != nil {
						t.Fatalf("Encrypt with %s: %v", alg, err)
					}
					d, err := k.Decrypt(ctx, &kms.DecryptInput{KeyId: key.KeyId, CiphertextBlob: e.CiphertextBlob, EncryptionAlgorithm: alg})
					if err != nil || !bytes.Equal(d.Plaintext, message) {
						t.Errorf("Decrypt with %s: %v", alg, err)
					}
				}
				for _, alg := range key.SigningAlgorithms {
					given, mt := message, types.MessageTypeRaw
					if alg == types.SigningAlgorithmSpecEd25519PhSha512 {
						given, mt = bytes.Repeat(message[:8], 8), types.MessageTypeDigest
					}
					s, err := k.Sign(ctx, &kms.SignInput{KeyId: key.KeyId, Message: given, MessageType: mt, SigningAlgorithm: alg})
					if err != nil {
						t.Fatalf("Sign with %s: %v", alg, err)
					}
					done(t)(k.Verify(ctx, &kms.VerifyInput{KeyId: key.KeyId, Message: given, MessageType: mt, SigningAlgorithm: alg, Signature: s.Signature}))
				}
				for _, alg := range key.MacAlgorithms {
					m, err := k.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: key.KeyId, Message: message, MacAlgorithm: alg})
					if err != nil {
						t.Fatalf("GenerateMac with %s: %v", alg, err)
					}
					done(t)(k.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: key.KeyId, Message: message, MacAlgorithm: alg, Mac: m.Mac}))
				}
				for _, alg := range key.KeyAgreementAlgorithms {
					p, err := k.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: key.KeyId})
					if err != nil {
						t.Fatal(err)
					}
					done(t)(k.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: key.KeyId, KeyAgreementAlgorithm: alg, PublicKey: p.PublicKey}))
				}
			})
		}
	}
	key := newKey(t, k)
	done(t)(k.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: key.KeyId, KeyPairSpec: types.DataKeyPairSpecEccNistEdwards25519}))
	done(t)(k.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: new(int32(32))}))
	ciphertext := encrypt(t, k, key, "before the rotation")
	done(t)(k.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: key.KeyId}))
	wantText(t, k, ciphertext, "before the rotation")
}

func refusedKeys(t *testing.T, k *kms.Client) {
	for _, spec := range []types.KeySpec{types.KeySpecEccSecgP256k1, types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87} {
		_, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
		wantRefusal(t, err, "UnsupportedOperationException", "KeySpec "+string(spec)+" is not supported in FIPS mode.")
	}
	_, err := k.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{KeyId: newKey(t, k).KeyId, KeyPairSpec: types.DataKeyPairSpecEccSecgP256k1})
	wantRefusal(t, err, "UnsupportedOperationException", "ECC_SECG_P256K1 is not supported in FIPS mode.")

	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt})
	if err != nil {
		t.Fatal(err)
	}
	if got := made.KeyMetadata.EncryptionAlgorithms; !slices.Equal(got, []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecRsaesOaepSha256}) {
		t.Errorf("an RSA key says it has %v", got)
	}
	sha1 := types.EncryptionAlgorithmSpecRsaesOaepSha1
	_, err = k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x"), EncryptionAlgorithm: sha1})
	wantRefusal(t, err, "UnsupportedOperationException", "Algorithm RSAES_OAEP_SHA_1 is not supported in FIPS mode.")
	_, err = k.Decrypt(t.Context(), &kms.DecryptInput{KeyId: made.KeyMetadata.KeyId, CiphertextBlob: make([]byte, 256), EncryptionAlgorithm: sha1})
	wantRefusal(t, err, "UnsupportedOperationException", "Algorithm RSAES_OAEP_SHA_1 is not supported in FIPS mode.")
}

func fipsImport(t *testing.T, k *kms.Client) {
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	if err != nil {
		t.Fatal(err)
	}
	parameters := func(alg types.AlgorithmSpec) (*kms.GetParametersForImportOutput, error) {
		return k.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{
			KeyId: made.KeyMetadata.KeyId, WrappingAlgorithm: alg, WrappingKeySpec: types.WrappingKeySpecRsa2048,
		})
	}
	for _, alg := range []types.AlgorithmSpec{types.AlgorithmSpecRsaesOaepSha1, types.AlgorithmSpecRsaAesKeyWrapSha1} {
		_, err := parameters(alg)
		wantRefusal(t, err, "UnsupportedOperationException", "WrappingAlgorithm "+string(alg)+" is not supported in FIPS mode.")
	}
	p, err := parameters(types.AlgorithmSpecRsaesOaepSha256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(p.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	material := make([]byte, 32)
	rand.Read(material)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		t.Fatal(err)
	}
	done(t)(k.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{
		KeyId: made.KeyMetadata.KeyId, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrapped, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	}))
	wantText(t, k, encrypt(t, k, made.KeyMetadata, "under material of our own"), "under material of our own")
}

func fipsRegions(t *testing.T, c *cloudtest.Cloud) {
	k := kms.NewFromConfig(c.Config())
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	done(t)(k.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: made.KeyMetadata.KeyId, ReplicaRegion: aws.String("eu-west-1")}))
	elsewhere := c.Config()
	elsewhere.Region = "eu-west-1"
	wantText(t, kms.NewFromConfig(elsewhere), encrypt(t, k, made.KeyMetadata, "from far"), "from far")
}

func fipsIdentity(t *testing.T, c *cloudtest.Cloud) {
	ctx, admin := t.Context(), iam.NewFromConfig(c.Config())
	ann := newUser(t, c, admin, "ann")
	done(t)(admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("own"), PolicyDocument: aws.String(allow("*", "*"))}))
	done(t)(admin.EnableOutboundWebIdentityFederation(ctx, nil))
	for _, alg := range []string{"RS256", "ES384"} {
		done(t)(sts.NewFromConfig(ann).GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{Audience: []string{"app"}, SigningAlgorithm: &alg}))
	}
	done(t)(admin.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: aws.String("ann"), Password: aws.String("correct-Horse-1")}))
	own := iam.NewFromConfig(ann)
	done(t)(own.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: aws.String("correct-Horse-1"), NewPassword: aws.String("battery-Staple-2")}))
	_, err := own.ChangePassword(ctx, &iam.ChangePasswordInput{OldPassword: aws.String("correct-Horse-1"), NewPassword: aws.String("battery-Staple-3")})
	wantRefusal(t, err, "AccessDenied", "The old password was incorrect.")
	_, err = admin.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone")})
	wantRefusal(t, err, "InvalidInput", "not available in FIPS mode")

	role, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(trust("AWS", "*", "sts:AssumeRole", ""))})
	if err != nil {
		t.Fatal(err)
	}
	assumed, err := sts.NewFromConfig(ann).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("session")})
	if err != nil {
		t.Fatal(err)
	}
	reader := session(c, assumed.Credentials)
	done(t)(sts.NewFromConfig(reader).GetCallerIdentity(ctx, nil))
	_, err = kms.NewFromConfig(reader).ListKeys(ctx, nil)
	wantRefusal(t, err, "AccessDeniedException", "kms:ListKeys")
}
