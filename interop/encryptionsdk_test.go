package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	materials "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mtypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	etypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// request is what an AWS Encryption SDK is asked for, in whichever language.
type request struct {
	Op      string `json:"op"`      // encrypt or decrypt
	Keyring string `json:"keyring"` // kms, mrk, discovery or mrk discovery

	Keys      []string            `json:"keys"`      // ARNs; the first makes the data key
	Regions   []string            `json:"regions"`   // that discovery looks for keys in
	Accounts  []string            `json:"accounts"`  // whose keys discovery may use
	Endpoints map[string]endpoint `json:"endpoints"` // by region

	Policy  string            `json:"policy"` // of commitment
	Suite   int               `json:"suite"`  // 0 leaves it to the SDK
	Frame   int64             `json:"frame"`  // length of a frame's plaintext
	Context map[string]string `json:"context"`
	Data    []byte            `json:"data"`
}

type reply struct {
	Data    []byte            `json:"data"`
	Suite   int               `json:"suite"`
	Context map[string]string `json:"context"`
	Error   string            `json:"error"`
}

// sdk is an AWS Encryption SDK.
type sdk func(*testing.T, request) (reply, error)

// GetClient makes r the supplier of KMS clients for its keyrings.
func (r request) GetClient(in mtypes.GetClientInput) (kms.Client, error) {
	e, ok := r.Endpoints[in.Region]
	if !ok {
		return kms.Client{}, fmt.Errorf("no endpoint for %s", in.Region)
	}
	return *e.kms(in.Region), nil
}

// golang is the AWS Encryption SDK for Go.
func golang(t *testing.T, r request) (reply, error) {
	ctx := t.Context()
	client, err := esdk.NewClient(etypes.AwsEncryptionSdkConfig{CommitmentPolicy: new(mtypes.ESDKCommitmentPolicy(r.Policy))})
	if err != nil {
		return reply{}, err
	}
	keyring, err := r.keyring(ctx)
	if err != nil {
		return reply{}, err
	}
	if r.Op == "encrypt" {
		in := etypes.EncryptInput{Plaintext: r.Data, EncryptionContext: r.Context, Keyring: keyring, FrameLength: &r.Frame}
		if r.Suite != 0 {
			in.AlgorithmSuiteId = new(mtypes.ESDKAlgorithmSuiteId(fmt.Sprintf("0x%04X", r.Suite)))
		}
		out, err := client.Encrypt(ctx, in)
		if err != nil {
			return reply{}, err
		}
		return reply{Data: out.Ciphertext, Suite: suite(t, out.AlgorithmSuiteId)}, nil
	}
	out, err := client.Decrypt(ctx, etypes.DecryptInput{Ciphertext: r.Data, Keyring: keyring, EncryptionContext: r.Context})
	if err != nil {
		return reply{}, err
	}
	return reply{Data: out.Plaintext, Suite: suite(t, out.AlgorithmSuiteId), Context: out.EncryptionContext}, nil
}

func suite(t *testing.T, id mtypes.ESDKAlgorithmSuiteId) int {
	t.Helper()
	n, err := strconv.ParseInt(string(id), 0, 32)
	if err != nil {
		t.Fatalf("algorithm suite: %v", err)
	}
	return int(n)
}

// keyring makes the keyring that r wants.
func (r request) keyring(ctx context.Context) (mtypes.IKeyring, error) {
	client, err := materials.NewClient(mtypes.MaterialProvidersConfig{})
	if err != nil {
		return nil, err
	}
	filter := &mtypes.DiscoveryFilter{AccountIds: r.Accounts, Partition: "aws"}
	switch r.Keyring {
	case "kms":
		return client.CreateAwsKmsMultiKeyring(ctx, mtypes.CreateAwsKmsMultiKeyringInput{
			ClientSupplier: r, Generator: &r.Keys[0], KmsKeyIds: r.Keys[1:],
		})
	case "mrk":
		return client.CreateAwsKmsMrkMultiKeyring(ctx, mtypes.CreateAwsKmsMrkMultiKeyringInput{
			ClientSupplier: r, Generator: &r.Keys[0], KmsKeyIds: r.Keys[1:],
		})
	case "discovery":
		return client.CreateAwsKmsDiscoveryMultiKeyring(ctx, mtypes.CreateAwsKmsDiscoveryMultiKeyringInput{
			ClientSupplier: r, Regions: r.Regions, DiscoveryFilter: filter,
		})
	case "mrk discovery":
		return client.CreateAwsKmsMrkDiscoveryMultiKeyring(ctx, mtypes.CreateAwsKmsMrkDiscoveryMultiKeyringInput{
			ClientSupplier: r, Regions: r.Regions, DiscoveryFilter: filter,
		})
	}
	return nil, fmt.Errorf("no keyring %s", r.Keyring)
}

// packages is a copy of the folder javascript with the packages that its lock file pins.
var packages = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "javascript")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS("javascript")); err != nil {
		return "", err
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// javascript starts the AWS Encryption SDK for JavaScript in a process of its own.
func javascript(t *testing.T) sdk {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is missing: make deps installs it, or tells how", name)
		}
	}
	dir, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", "encryptionsdk.mjs")
	node.Dir, node.Env = dir, environment()
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	problems := new(lockedBuffer)
	node.Stderr = problems
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := node.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, problems)
		}
	})
	replies := json.NewDecoder(bufio.NewReader(out))
	return func(t *testing.T, r request) (reply, error) {
		t.Helper()
		if err := json.NewEncoder(in).Encode(r); err != nil {
			t.Fatalf("node: %v\n%s", err, problems)
		}
		var got reply
		if err := replies.Decode(&got); err != nil {
			t.Fatalf("node: %v\n%s", err, problems)
		}
		if got.Error != "" {
			return reply{}, fmt.Errorf("%s", got.Error)
		}
		return got, nil
	}
}
