package kmsplugin

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	plugin "k8s.io/kms/apis/v2"
)

// What clients send that are none of gRPC's is answered as gRPC has it.
func TestBadRequests(t *testing.T) {
	e := &endpoint{New(Config{}), slog.New(slog.DiscardHandler)}
	const encrypt = "/v2.KeyManagementService/Encrypt"
	for name, c := range map[string]struct {
		path, body, timeout, status, message string
	}{
		"Empty":          {encrypt, "", "", "3", "the message is cut"},
		"Two":            {encrypt, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "", "3", "more than one message"},
		"Cut":            {encrypt, "\x00\x00\x00\x00\x05abc", "", "3", "the message is cut"},
		"Compressed":     {encrypt, "\x01\x00\x00\x00\x00", "", "12", "the message is compressed"},
		"TooLong":        {encrypt, "\x00\xff\xff\xff\xff", "", "8", "more than 65536 bytes"},
		"Malformed":      {encrypt, "\x00\x00\x00\x00\x02\x0a\x05", "", "3", "malformed message"},
		"NoSuchCall":     {"/grpc.health.v1.Health/Watch", "", "", "12", "no method"},
		"UnknownMethod":  {"/v2.KeyManagementService/Sign%", "\x00\x00\x00\x00\x00", "", "12", "Sign%25"},
		"Timeout":        {encrypt, "\x00\x00\x00\x00\x00", "soon", "3", "malformed Grpc-Timeout"},
		"NoUnit":         {encrypt, "\x00\x00\x00\x00\x00", "1", "3", "malformed Grpc-Timeout"},
		"NoDigits":       {encrypt, "\x00\x00\x00\x00\x00", "S", "3", "malformed Grpc-Timeout"},
		"LongestTimeout": {"/none", "\x00\x00\x00\x00\x00", "99999999H", "12", "no method"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
			r.URL.Path = c.path
			r.Header.Set("Content-Type", "application/grpc+proto")
			if c.timeout != "" {
				r.Header.Set("Grpc-Timeout", c.timeout)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			trailer := w.Result().Trailer
			if got := trailer.Get("Grpc-Status"); got != c.status || !strings.Contains(trailer.Get("Grpc-Message"), c.message) || w.Body.Len() > 0 {
				t.Errorf("answered %v and %q, want status %s with %q", trailer, w.Body, c.status, c.message)
			}
		})
	}
	t.Run("NotGRPC", func(t *testing.T) {
		for _, kind := range []string{"", "application/json", "application/grpc-web", "application/grpc-web+proto", "application/grpc+json"} {
			r := httptest.NewRequest("POST", encrypt, nil)
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if w.Code != 415 {
				t.Errorf("content of type %q: answered %d, want 415", kind, w.Code)
			}
		}
	})
}

// A message that does not come is waited for no longer than the call may take.
func TestMessageThatDoesNotCome(t *testing.T) {
	e := &endpoint{New(Config{}), slog.New(slog.DiscardHandler)}
	server := httptest.NewUnstartedServer(e)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	body, w := io.Pipe()
	defer w.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v2.KeyManagementService/Encrypt", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Timeout", "50m")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Trailer.Get("Grpc-Status") != "4" {
		t.Errorf("answered %v, %v, want status 4", resp.Trailer, err)
	}
}

// FuzzMessages reads requests as the official types do, where those read them at all.
func FuzzMessages(f *testing.F) {
	for _, m := range []proto.Message{
		&plugin.DecryptRequest{Ciphertext: []byte("c"), Uid: "u", KeyId: "k", Annotations: map[string][]byte{"a.b": []byte("v"), "c.d": nil}},
		&plugin.EncryptRequest{Plaintext: []byte("p"), Uid: "u"},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x22, 0x02, 0x0a, 0x05})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d decryptRequest
		var e encryptRequest
		errD, errE := d.unmarshal(b), e.unmarshal(b)
		var wantD plugin.DecryptRequest
		if proto.Unmarshal(b, &wantD) == nil {
			if errD != nil || !bytes.Equal(d.ciphertext, wantD.Ciphertext) || d.keyID != wantD.KeyId || !cmp.Equal(d.annotations, wantD.Annotations, cmpopts.EquateEmpty()) {
				t.Errorf("read %+v, %v, want %v", d, errD, &wantD)
			}
		}
		var wantE plugin.EncryptRequest
		if proto.Unmarshal(b, &wantE) == nil && (errE != nil || !bytes.Equal(e.plaintext, wantE.Plaintext)) {
			t.Errorf("read %+v, %v, want %v", e, errE, &wantE)
		}
	})
}

// What is written is what the official types read.
func TestMessages(t *testing.T) {
	var s plugin.StatusResponse
	if err := proto.Unmarshal((&statusResponse{"v2", "ok", "id"}).marshal(), &s); err != nil || s.Version != "v2" || s.Healthz != "ok" || s.KeyId != "id" {
		t.Errorf("StatusResponse: %v, %v", &s, err)
	}
	var e plugin.EncryptResponse
	annotations := map[string][]byte{"a.b": []byte("v"), "c.d": []byte("w")}
	if err := proto.Unmarshal((&encryptResponse{[]byte("c"), "id", annotations}).marshal(), &e); err != nil || string(e.Ciphertext) != "c" || e.KeyId != "id" || !cmp.Equal(e.Annotations, annotations) {
		t.Errorf("EncryptResponse: %v, %v", &e, err)
	}
	var d plugin.DecryptResponse
	if err := proto.Unmarshal((&decryptResponse{[]byte("p")}).marshal(), &d); err != nil || string(d.Plaintext) != "p" {
		t.Errorf("DecryptResponse: %v, %v", &d, err)
	}
}
