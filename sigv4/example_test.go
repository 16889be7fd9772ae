package sigv4_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

func Example() {
	secrets := map[string]string{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var verifier sigv4.Verifier

	authenticate := func(r *http.Request) (accessKeyID string, err error) {
		auth, err := sigv4.Parse(r)
		if err != nil {
			return "", err
		}
		if err := auth.Check(sigv4.Expect{Now: now, Region: "us-east-1", Service: "kms"}); err != nil {
			return "", err
		}
		secret, ok := secrets[auth.AccessKeyID]
		if !ok {
			return "", sigv4.Refuse(sigv4.UnknownAccessKey)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		return auth.AccessKeyID, verifier.Verify(r, auth, secret, body)
	}

	for _, key := range []string{"AKIDEXAMPLE", "AKIDSTRANGER"} {
		r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: key, Secret: secrets["AKIDEXAMPLE"]}, "us-east-1", "kms", now, sigv4.PayloadHash([]byte("{}")))
		who, err := authenticate(r)
		if refused, ok := errors.AsType[*sigv4.Error](err); ok {
			fmt.Println(refused.Answer(sigv4.JSON))
			continue
		}
		fmt.Println(who, err)
	}
	// Output:
	// AKIDEXAMPLE <nil>
	// 400 UnrecognizedClientException The security token included in the request is invalid.
}
