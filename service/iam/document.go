package iam

import (
	"errors"
	"net/url"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// parseDocument compiles a policy document, or says in IAM's words what is wrong with it.
func parseDocument(document string, kind policy.Kind) (*policy.Policy, error) {
	p, err := policy.Parse([]byte(document), kind)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, malformed(syntax.AWS())
	}
	return p, err
}

func malformed(message string) error { return &iam.MalformedPolicyDocumentException{Message: message} }

// documentSize is the size of a document as the quotas count it: white space is free.
func documentSize(document string) (size int) {
	for _, c := range []byte(document) {
		switch c {
		case ' ', '\t', '\n', '\r':
		default:
			size++
		}
	}
	return size
}

// encoded is a document as answers have it: percent-encoded by RFC 3986.
func encoded(document string) *string {
	return new(strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
}
