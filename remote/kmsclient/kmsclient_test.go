package kmsclient

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// unconfigured is the environment of who has not configured AWS tools.
func unconfigured(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CA_BUNDLE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Endpoint == "" {
		cfg.Endpoint = "http://127.0.0.1:1"
	}
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantKey(t *testing.T, c *Client, id, secret string) {
	t.Helper()
	if got, err := c.credentials(t.Context()); err != nil || got.AccessKeyID != id || got.SecretAccessKey != secret {
		t.Errorf("the access key is %s, %v, want %s", got.AccessKeyID, err, id)
	}
}

func TestCredentials(t *testing.T) {
	const text = "# ours\n[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key=first=secret\n\n[cluster]\r\nAWS_ACCESS_KEY_ID=AKIACLUSTER\r\naws_secret_access_key = second\r\n"
	file := write(t, text)
	own := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env"}
	for name, c := range map[string]struct {
		env        map[string]string
		cfg        Config
		id, secret string
	}{
		"Environment":  {own, Config{}, "AKIAENV", "env"},
		"FileWins":     {own, Config{Credentials: file}, "AKIADEFAULT", "first=secret"},
		"FileOfEnv":    {map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}, Config{}, "AKIADEFAULT", "first=secret"},
		"Profile":      {own, Config{Credentials: file, Profile: "cluster"}, "AKIACLUSTER", "second"},
		"ProfileOfEnv": {map[string]string{"AWS_PROFILE": "cluster"}, Config{Credentials: file}, "AKIACLUSTER", "second"},
	} {
		t.Run(name, func(t *testing.T) {
			unconfigured(t)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			wantKey(t, newClient(t, c.cfg), c.id, c.secret)
		})
	}
	t.Run("None", func(t *testing.T) {
		unconfigured(t)
		if _, err := newClient(t, Config{}).KMS(t.Context()); !errors.Is(err, ErrCredentials) {
			t.Errorf("KMS: %v, want %v", err, ErrCredentials)
		}
	})
	t.Run("Changed", func(t *testing.T) {
		unconfigured(t)
		file := write(t, text)
		c := newClient(t, Config{Credentials: file})
		wantKey(t, c, "AKIADEFAULT", "first=secret")
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = AKIANEW\naws_secret_access_key = new\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantKey(t, c, "AKIANEW", "new")
	})
	t.Run("Process", func(t *testing.T) {
		unconfigured(t)
		t.Setenv("AWS_CONFIG_FILE", write(t, "[default]\ncredential_process = echo secret\n"))
		if _, err := newClient(t, Config{}).KMS(t.Context()); !errors.Is(err, ErrCredentials) || strings.Contains(err.Error(), "secret") {
			t.Errorf("KMS: %v, want %v, and nothing of what the process prints", err, ErrCredentials)
		}
	})
}

// What expires is asked for again shortly before, and is used until it expires if there is nobody to ask.
func TestRenewal(t *testing.T) {
	unconfigured(t)
	now := clock.NewFrozen(time.Now())
	asked, away := 0, false
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away {
			http.Error(w, "none", http.StatusNotFound)
			return
		}
		asked++
		_ = json.NewEncoder(w).Encode(map[string]any{
			"AccessKeyId": "ASIA" + strings.Repeat("X", asked), "SecretAccessKey": "s", "Token": "t", "Expiration": now.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		})
	}))
	defer container.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL)
	c := newClient(t, Config{Clock: now})
	for _, step := range []struct {
		later time.Duration
		away  bool
		want  string
	}{
		{0, false, "ASIAX"}, {54 * time.Minute, false, "ASIAX"}, {2 * time.Minute, false, "ASIAXX"}, {56 * time.Minute, true, "ASIAXX"}, {3 * time.Minute, true, "ASIAXX"},
	} {
		now.Set(now.Now().Add(step.later))
		away = step.away
		wantKey(t, c, step.want, "s")
	}
	now.Set(now.Now().Add(time.Minute))
	if _, err := c.KMS(t.Context()); !errors.Is(err, ErrCredentials) {
		t.Errorf("with what has expired: %v, want %v", err, ErrCredentials)
	}
	away = false
	wantKey(t, c, "ASIAXXX", "s")
}

// A role is assumed at the KMS's own endpoint, whatever AWS_ENDPOINT_URL says, and the KMS is called by it.
func TestRole(t *testing.T) {
	unconfigured(t)
	a := cloudtest.Start(t)
	who, err := a.User(a.Account, "ann", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}`).Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin := iam.NewFromConfig(a.Config())
	role, err := admin.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("keys"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + a.Account + `"},"Action":"sts:AssumeRole"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("keys"), PolicyName: aws.String("keys"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}`),
	}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_CONFIG_FILE", write(t, "[profile ann]\naws_access_key_id = "+who.AccessKeyID+"\naws_secret_access_key = "+who.SecretAccessKey+
		"\n[profile keys]\nrole_arn = "+*role.Role.Arn+"\nsource_profile = ann\n"))
	for profile, allowed := range map[string]bool{"ann": false, "keys": true} {
		k, err := newClient(t, Config{Endpoint: a.URL, Region: a.Region, Profile: profile}).KMS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.ListKeys(&call.Call{Context: t.Context()}, &kms.ListKeysRequest{}); (err == nil) != allowed {
			t.Errorf("ListKeys as %s: %v, want it allowed: %v", profile, err, allowed)
		}
	}
}

// A pod's token is exchanged there as well.
func TestWebIdentity(t *testing.T) {
	unconfigured(t)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "a token" {
			t.Errorf("asked for %s with token %q", r.FormValue("Action"), r.FormValue("WebIdentityToken"))
		}
		io.WriteString(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
			<AccessKeyId>ASIAPOD</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration>
			</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
	}))
	defer server.Close()
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/plugin")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write(t, "a token"))
	c := newClient(t, Config{Endpoint: server.URL})
	wantKey(t, c, "ASIAPOD", "s")
	wantKey(t, c, "ASIAPOD", "s")
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestTLS(t *testing.T) {
	unconfigured(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }))
	defer server.Close()
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	for file, want := range map[string]bool{"": false, ca: true} {
		k, err := newClient(t, Config{Endpoint: server.URL, CA: file}).KMS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.ListKeys(&call.Call{Context: t.Context()}, &kms.ListKeysRequest{}); (err == nil) != want {
			t.Errorf("with CA %q: %v", file, err)
		}
	}
}

func TestNew(t *testing.T) {
	const key = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234"
	for name, c := range map[string]struct {
		cfg              Config
		env              string
		region, endpoint string
	}{
		"RegionOfTheKey":    {Config{Key: key}, "eu-west-1", "cn-north-1", "https://kms.cn-north-1.amazonaws.com.cn"},
		"RegionGiven":       {Config{Key: key, Region: "us-west-2"}, "", "us-west-2", "https://kms.us-west-2.amazonaws.com"},
		"RegionOfTheTools":  {Config{Key: "alias/x"}, "eu-west-1", "eu-west-1", "https://kms.eu-west-1.amazonaws.com"},
		"RegionOfAHoldfast": {Config{Key: "alias/x", Endpoint: "https://kms.example.com"}, "", "us-east-1", "https://kms.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			unconfigured(t)
			t.Setenv("AWS_REGION", c.env)
			got, err := New(t.Context(), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got.Region() != c.region || got.Endpoint() != c.endpoint {
				t.Errorf("the KMS is called in %s at %s, want %s at %s", got.Region(), got.Endpoint(), c.region, c.endpoint)
			}
		})
	}
	unconfigured(t)
	for name, c := range map[string]struct {
		cfg Config
		err string
	}{
		"NoRegion":      {Config{Key: "alias/x"}, "region"},
		"NoRegionAtAWS": {Config{Key: "alias/x", Endpoint: "https://vpce-1.kms.eu-west-1.vpce.amazonaws.com"}, "region"},
		"Plain":         {Config{Key: key, Endpoint: "http://192.0.2.1"}, "https is required"},
		"NoURL":         {Config{Key: key, Endpoint: "kms"}, "no URL"},
		"Password":      {Config{Key: key, Endpoint: "https://a:secret@c"}, "no URL"},
		"NoCA":          {Config{Key: key, CA: "/nowhere"}, "no such file"},
		"NoCertificate": {Config{Key: key, CA: os.DevNull}, "no certificate"},
		"NoProfile":     {Config{Key: key, Profile: "nobody"}, "nobody"},
		"NoCredentials": {Config{Key: key, Credentials: "/nowhere"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("New: %v, want an error with %q", err, c.err)
			}
		})
	}
}
