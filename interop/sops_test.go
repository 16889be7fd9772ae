package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// folder is where somebody works with a tool.
type folder struct {
	dir, tool string
	env       []string
}

func (f folder) command(args ...string) *exec.Cmd {
	cmd := exec.Command(f.tool, args...)
	cmd.Dir, cmd.Env = f.dir, f.env
	return cmd
}

func (f folder) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (f folder) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// as is the same folder for somebody else.
func (f folder) as(env []string) folder { return folder{f.dir, f.tool, env} }

const secrets = "db:\n    user: ann\n    password: correct horse\n"

// rule is a .sops.yaml that encrypts everything under a key, with a context.
func rule(key string) string {
	return `creation_rules:
  - key_groups:
      - kms:
          - arn: ` + key + `
            context:
              app: web
              stage: prod
`
}

func TestSOPS(t *testing.T) {
	s := start(t)
	f := folder{t.TempDir(), tool(t, "sops"), s.environment()}
	primary, replica := s.multiRegionKey(t)
	other := s.key(t, &kms.CreateKeyInput{})
	f.write(t, ".sops.yaml", rule(primary))
	f.write(t, "secrets.yaml", secrets)
	output(t, f.command("encrypt", "--in-place", "secrets.yaml"))
	wantSecrets := func(t *testing.T, name, want string) {
		t.Helper()
		if text := f.read(t, name); strings.Contains(text, "horse") {
			t.Errorf("%s has a secret in the clear:\n%s", name, text)
		}
		if got := output(t, f.command("decrypt", name)); got != want {
			t.Errorf("sops decrypt %s: %q, want %q", name, got, want)
		}
	}
	wantSecrets(t, "secrets.yaml", secrets)
	encrypted := f.read(t, "secrets.yaml")

	t.Run("WrongContext", func(t *testing.T) {
		f.write(t, "wrong.yaml", strings.Replace(encrypted, "stage: prod", "stage: test", 1))
		refusal(t, f.command("decrypt", "wrong.yaml"), "InvalidCiphertextException")
	})
	t.Run("Altered", func(t *testing.T) {
		at := strings.Index(encrypted, "data:") + len("data:")
		f.write(t, "altered.yaml", encrypted[:at]+swap(encrypted[at])+encrypted[at+1:])
		refusal(t, f.command("decrypt", "altered.yaml"), "")
	})
	t.Run("Edit", func(t *testing.T) {
		f.write(t, "editor", "#!/bin/sh\nsed -i 's/correct horse/battery horse/' \"$1\"\n")
		output(t, f.as(append(f.env, "EDITOR="+filepath.Join(f.dir, "editor"))).command("edit", "secrets.yaml"))
		wantSecrets(t, "secrets.yaml", strings.Replace(secrets, "correct", "battery", 1))
	})
	t.Run("Rotate", func(t *testing.T) {
		before := f.read(t, "secrets.yaml")
		output(t, f.command("rotate", "--in-place", "secrets.yaml"))
		wantSecrets(t, "secrets.yaml", strings.Replace(secrets, "correct", "battery", 1))
		if wrapped(t, before) == wrapped(t, f.read(t, "secrets.yaml")) {
			t.Error("sops rotate left the data key")
		}
	})
	t.Run("KeyRotated", func(t *testing.T) {
		if _, err := s.kms(virginia).RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &primary}); err != nil {
			t.Fatal(err)
		}
		wantSecrets(t, "secrets.yaml", strings.Replace(secrets, "correct", "battery", 1))
	})
	t.Run("Replica", func(t *testing.T) {
		// The ciphertext of a multi-Region key is that of its replicas too: SOPS asks in the region that the file names.
		f.write(t, "ireland.yaml", strings.Replace(encrypted, primary, replica, 1))
		before := len(s.events(t))
		wantSecrets(t, "ireland.yaml", secrets)
		for _, e := range s.events(t)[before:] {
			if e.EventName != "Decrypt" || e.AwsRegion != ireland || e.RequestParameters.EncryptionContext["stage"] != "prod" {
				t.Errorf("the trail has %+v, want only Decrypt in %s", e, ireland)
			}
		}
	})
	t.Run("UpdateKeys", func(t *testing.T) {
		f.write(t, ".sops.yaml", rule(other))
		output(t, f.command("updatekeys", "--yes", "secrets.yaml"))
		if text := f.read(t, "secrets.yaml"); strings.Contains(text, primary) || !strings.Contains(text, other) {
			t.Errorf("sops updatekeys left the keys:\n%s", text)
		}
		if _, err := s.kms(virginia).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &primary}); err != nil {
			t.Fatal(err)
		}
		wantSecrets(t, "secrets.yaml", strings.Replace(secrets, "correct", "battery", 1))
		f.write(t, "old.yaml", encrypted)
		refusal(t, f.command("decrypt", "old.yaml"), "DisabledException")
	})
	t.Run("Role", func(t *testing.T) { sopsRole(t, s, f, other) })
}

// sopsRole lets a user decrypt who may do so in a role only, and only for one stage.
func sopsRole(t *testing.T, s *server, f folder, key string) {
	const role = "arn:aws:iam::000000000000:role/deploy"
	client := iam.New(iam.Options{
		Region: virginia, BaseEndpoint: &s.endpoint, Credentials: credentials.NewStaticCredentialsProvider(s.id, s.secret, ""),
	})
	if _, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("deploy"),
		AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("deploy"), PolicyName: aws.String("sops"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"` + key +
			`","Condition":{"StringEquals":{"kms:EncryptionContext:stage":"prod"}}}}`),
	}); err != nil {
		t.Fatal(err)
	}
	ann := f.as(s.user(t, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+role+`"}}`))
	f.write(t, "role.yaml", secrets)
	encrypt := func(key, stage string) *exec.Cmd {
		return ann.command("--config", os.DevNull, "encrypt", "--kms", key, "--encryption-context", "stage:"+stage, "role.yaml")
	}
	f.write(t, "deploy.yaml", output(t, encrypt(key+"+"+role, "prod")))
	if got := output(t, ann.command("decrypt", "deploy.yaml")); got != secrets {
		t.Errorf("sops decrypt in the role: %q", got)
	}
	refusal(t, encrypt(key+"+"+role, "test"), "AccessDeniedException")
	refusal(t, encrypt(key, "prod"), "AccessDeniedException")
}

// wrapped is the encrypted data key of a file.
func wrapped(t *testing.T, file string) string {
	t.Helper()
	for line := range strings.Lines(file) {
		if key, ok := strings.CutPrefix(strings.TrimSpace(line), "enc:"); ok {
			return key
		}
	}
	t.Fatalf("no data key in\n%s", file)
	return ""
}

// swap is another character of base64.
func swap(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
