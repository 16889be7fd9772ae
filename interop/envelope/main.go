// Command envelope encrypts or decrypts standard input with the AWS Encryption SDK for Go. The SDK makes a data key for each message and stores it in
// the message, encrypted by KMS.
//
//	envelope encrypt KEY-ARN < plain > sealed
//	envelope decrypt KEY-ARN < sealed > plain
//
// The key is asked in the region that its ARN names. Of a multi-Region key each replica decrypts what another has encrypted.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	materials "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mtypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	etypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: envelope encrypt|decrypt KEY-ARN")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "envelope:", err)
		os.Exit(1)
	}
}

// purpose is the encryption context: it is not secret, and nobody decrypts a message after it was altered.
var purpose = map[string]string{"purpose": "tour"}

func run(ctx context.Context, what, key string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	keyring, err := newKeyring(ctx, key)
	if err != nil {
		return err
	}
	client, err := esdk.NewClient(etypes.AwsEncryptionSdkConfig{
		CommitmentPolicy: new(mtypes.ESDKCommitmentPolicyRequireEncryptRequireDecrypt),
	})
	if err != nil {
		return err
	}
	var output []byte
	switch what {
	case "encrypt":
		out, err := client.Encrypt(ctx, etypes.EncryptInput{Plaintext: input, Keyring: keyring, EncryptionContext: purpose})
		if err != nil {
			return err
		}
		output = out.Ciphertext
	case "decrypt":
		out, err := client.Decrypt(ctx, etypes.DecryptInput{Ciphertext: input, Keyring: keyring, EncryptionContext: purpose})
		if err != nil {
			return err
		}
		output = out.Plaintext
	default:
		return fmt.Errorf("%s is neither encrypt nor decrypt", what)
	}
	_, err = os.Stdout.Write(output)
	return err
}

// newKeyring wraps data keys under a KMS key. Endpoint and access key come from the environment, as with every client of AWS.
func newKeyring(ctx context.Context, key string) (mtypes.IKeyring, error) {
	name, err := arn.Parse(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(name.Region))
	if err != nil {
		return nil, err
	}
	client, err := materials.NewClient(mtypes.MaterialProvidersConfig{})
	if err != nil {
		return nil, err
	}
	return client.CreateAwsKmsMrkKeyring(ctx, mtypes.CreateAwsKmsMrkKeyringInput{KmsClient: kms.NewFromConfig(cfg), KmsKeyId: key})
}
