package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	content := "# ours\n[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key=first=secret\n\n[ cluster ]\r\nAWS_ACCESS_KEY_ID=AKIACLUSTER\r\naws_secret_access_key = second\r\naws_session_token = token\r\nregion = x\n[half]\naws_access_key_id = AKIAHALF\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	first := sigv4.Credentials{AccessKeyID: "AKIADEFAULT", Secret: "first=secret"}
	own := map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "env", "AWS_SESSION_TOKEN": "t"}
	for name, c := range map[string]struct {
		env           map[string]string
		file, profile string
		want          sigv4.Credentials
		err           string
	}{
		"Environment":      {env: own, want: sigv4.Credentials{AccessKeyID: "AKIAENV", Secret: "env", SessionToken: "t"}},
		"FileWins":         {env: own, file: file, want: first},
		"FileOfEnv":        {env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}, want: first},
		"Profile":          {file: file, profile: "cluster", want: sigv4.Credentials{AccessKeyID: "AKIACLUSTER", Secret: "second", SessionToken: "token"}},
		"ProfileOfEnv":     {env: map[string]string{"AWS_PROFILE": "cluster"}, file: file, want: sigv4.Credentials{AccessKeyID: "AKIACLUSTER", Secret: "second", SessionToken: "token"}},
		"NoProfile":        {file: file, profile: "none", err: `in a profile "none"`},
		"NoSecret":         {file: file, profile: "half", err: `in a profile "half"`},
		"NoFile":           {file: file + ".none", err: "no such file"},
		"HalfEnvironment":  {env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SHARED_CREDENTIALS_FILE": file}, want: first},
		"DefaultIsDefault": {file: file, profile: "default", want: first},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CredentialSource{Getenv: func(n string) string { return c.env[n] }, File: c.file, Profile: c.profile}.Credentials()
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("Credentials: %v, want an error with %q: %v", err, c.err, got == c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret =") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func FuzzReadProfile(f *testing.F) {
	f.Add("[default]\naws_access_key_id=a\naws_secret_access_key=b", "default")
	f.Add("[", "")
	f.Fuzz(func(t *testing.T, text, profile string) {
		c, err := readProfile(strings.NewReader(text), profile)
		if err == nil && (c.AccessKeyID == "" || c.Secret == "") {
			t.Errorf("read %q without an error", text)
		}
	})
}
