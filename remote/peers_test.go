package remote_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/remote"
)

const secret = "a secret of the cloud, which nobody can guess"

func peers(t *testing.T, secret, here, there, address string, cas *x509.CertPool) *remote.Peers {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := remote.NewPeers(remote.PeersConfig{
		Secret: []byte(secret), Regions: []string{here}, Peers: map[string]*url.URL{there: u}, CAs: cas, Caller: "mrk.kms.amazonaws.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPeersRefuse(t *testing.T) {
	for name, tt := range map[string]struct {
		secret, there, address, want string
	}{
		"ShortSecret":  {"short", "eu-west-1", "https://a.example.com", "needs 32 or more"},
		"OwnRegion":    {secret, "us-east-1", "https://a.example.com", "is served here"},
		"PlainHTTP":    {secret, "eu-west-1", "http://a.example.com", "must begin with https"},
		"PlainAddress": {secret, "eu-west-1", "http://10.0.0.1:4566", "must begin with https"},
		"Query":        {secret, "eu-west-1", "https://a.example.com/?a=b", "no URL such as"},
		"User":         {secret, "eu-west-1", "https://a:b@example.com/", "no URL such as"},
		"Scheme":       {secret, "eu-west-1", "ftp://a.example.com", "no URL such as"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tt.address)
			if err != nil {
				t.Fatal(err)
			}
			_, err = remote.NewPeers(remote.PeersConfig{Secret: []byte(tt.secret), Regions: []string{"us-east-1"}, Peers: map[string]*url.URL{tt.there: u}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewPeers: %v, want %q", err, tt.want)
			}
		})
	}
}

// What one region wraps for another opens there, and nowhere else, as nothing else.
func TestPeersWrap(t *testing.T) {
	east := peers(t, secret, "us-east-1", "eu-west-1", "https://west.example.com", nil)
	west := peers(t, secret, "eu-west-1", "us-east-1", "https://east.example.com", nil)
	stranger := peers(t, secret+"!", "eu-west-1", "us-east-1", "https://east.example.com", nil)
	place := []string{"kms key material", "111122223333", "mrk-1"}
	wrapped, err := east.Wrap("us-east-1", "eu-west-1", place, []byte("material"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := west.Unwrap("us-east-1", "eu-west-1", place, wrapped); err != nil || string(got) != "material" {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
	altered := []byte(string(wrapped))
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"OtherSecret":   func() ([]byte, error) { return stranger.Unwrap("us-east-1", "eu-west-1", place, wrapped) },
		"OtherSender":   func() ([]byte, error) { return west.Unwrap("us-east-2", "eu-west-1", place, wrapped) },
		"OtherReceiver": func() ([]byte, error) { return west.Unwrap("us-east-1", "eu-west-2", place, wrapped) },
		"Backwards":     func() ([]byte, error) { return west.Unwrap("eu-west-1", "us-east-1", place, wrapped) },
		"OtherPlace":    func() ([]byte, error) { return west.Unwrap("us-east-1", "eu-west-1", place[:2], wrapped) },
		"ShiftedPlace": func() ([]byte, error) {
			return west.Unwrap("us-east-1", "eu-west-1", []string{place[0] + place[1], "", place[2]}, wrapped)
		},
		"Altered": func() ([]byte, error) { return west.Unwrap("us-east-1", "eu-west-1", place, altered) },
		"Cut":     func() ([]byte, error) { return west.Unwrap("us-east-1", "eu-west-1", place, wrapped[:5]) },
		"Empty":   func() ([]byte, error) { return west.Unwrap("us-east-1", "eu-west-1", place, nil) },
	} {
		if got, err := open(); !errors.Is(err, remote.ErrForeign) || got != nil {
			t.Errorf("%s: %q, %v, want ErrForeign", name, got, err)
		}
	}
}

func TestPeersCredentials(t *testing.T) {
	west := peers(t, secret, "eu-west-1", "us-east-1", "https://east.example.com", nil)
	if c, ok := west.Credential("peer-us-east-1"); !ok || len(c.Secret) < 32 || c.Principal.ServiceName != "mrk.kms.amazonaws.com" {
		t.Errorf("the credential of a peer is %+v, %t", c, ok)
	}
	for _, id := range []string{"peer-eu-west-1", "peer-", "", "us-east-1", "AKIAEXAMPLE"} {
		if _, ok := west.Credential(id); ok {
			t.Errorf("%q is known", id)
		}
	}
	if _, err := west.Transport("us-east-1", "eu-west-1"); err == nil {
		t.Error("there is a way from another's region")
	}
}

// A peer with a certificate is believed if an authority vouches for it, and is followed nowhere.
func TestPeersTLS(t *testing.T) {
	var authorization string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization = r.Header.Get("Authorization")
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	ask := func(cas *x509.CertPool) error {
		way, err := peers(t, secret, "us-east-1", "eu-west-1", server.URL, cas).Transport("us-east-1", "eu-west-1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = kms.Client{Transport: way}.ListKeys(nil, &kms.ListKeysRequest{})
		return err
	}
	if err := ask(pool); err == nil || !strings.Contains(authorization, "Credential=peer-us-east-1/") || !strings.Contains(authorization, "/eu-west-1/kms/") {
		t.Errorf("the call ended with %v, and was signed with %q", err, authorization)
	}
	authorization = ""
	if err := ask(nil); err == nil || !strings.Contains(err.Error(), "certificate") || authorization != "" {
		t.Errorf("a peer that nobody vouches for: %v", err)
	}
}
