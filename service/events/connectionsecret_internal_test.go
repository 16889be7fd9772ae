package events

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/events"
)

// What a secret says that somebody else has written is taken or not, and is never told in an error.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{
		`{"username":"ann","password":"p"}`, `{"api_key_name":"k","api_key_value":"v","invocation_http_parameters":{}}`, `{"client_id":"a","client_secret":"b","authorization_endpoint":"https://x","http_method":"POST"}`,
		`{"username":1}`, `[]`, `null`, ``, `{`, `{"invocation_http_parameters":{"header_parameters":[{"key":"k","value":"v","is_value_secret":true}]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := readCredentials(text)
		if err != nil {
			if err != errNoCredentials {
				t.Errorf("readCredentials(%q) = %v", text, err)
			}
			return
		}
		again, err := json.Marshal(secrets)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readCredentials(string(again)); err != nil {
			t.Errorf("%s does not read again: %v", again, err)
		}
		secrets.public()
		for _, kind := range []events.ConnectionAuthorizationType{
			events.ConnectionAuthorizationTypeBasic, events.ConnectionAuthorizationTypeApiKey, events.ConnectionAuthorizationTypeOauthClientCredentials,
		} {
			x := *secrets
			if err := x.check(kind); err != nil && len(text) > 200 && strings.Contains(err.Error(), text) {
				t.Errorf("an error tells the secret: %v", err)
			}
		}
	})
}
