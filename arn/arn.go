// Package arn takes Amazon Resource Names apart and puts them together.
//
// An ARN reads arn:partition:service:region:account:resource. Only the resource
// may hold further colons. This package knows the six fields and nothing about
// what any service puts into them; wildcards in policies are matched by
// engine/policy.
package arn

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("not an ARN")

// ARN is a parsed Amazon Resource Name. Region and Account are empty for the
// services that leave them out (IAM has no region, S3 buckets have neither).
type ARN struct {
	Partition string // aws, aws-cn, aws-us-gov
	Service   string // kms
	Region    string // eu-central-1
	Account   string // twelve digits, or aws for what AWS itself owns
	Resource  string // key/1234..., everything after the fifth colon
}

// maxLength bounds what Parse reads: no service issues anything near it.
const maxLength = 4096

// Parse splits s into its fields. The partition, the service and the resource
// must not be empty, and s must not hold white space or control characters. The
// fields share s's memory.
func Parse(s string) (ARN, error) {
	if len(s) > maxLength {
		return ARN{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, maxLength)
	}
	a, ok := split(s)
	switch {
	case !ok:
		return ARN{}, fmt.Errorf("%w: %q needs six fields beginning with arn", ErrInvalid, s)
	case a.Partition == "":
		return ARN{}, fmt.Errorf("%w: %q has no partition", ErrInvalid, s)
	case a.Service == "":
		return ARN{}, fmt.Errorf("%w: %q has no service", ErrInvalid, s)
	case a.Resource == "":
		return ARN{}, fmt.Errorf("%w: %q has no resource", ErrInvalid, s)
	}
	// A resource may hold spaces (an S3 object's key does); the fields before it never do.
	head := s[:len(s)-len(a.Resource)]
	for i := range len(head) {
		if head[i] <= ' ' || head[i] == 0x7f {
			return ARN{}, fmt.Errorf("%w: %q has white space before its resource", ErrInvalid, s)
		}
	}
	return a, nil
}

// Is reports whether s has an ARN's six fields, without allocating.
func Is(s string) bool {
	a, ok := split(s)
	return ok && a.Partition != "" && a.Service != "" && a.Resource != ""
}

func split(s string) (ARN, bool) {
	rest, ok := strings.CutPrefix(s, "arn:")
	if !ok {
		return ARN{}, false
	}
	var a ARN
	for _, field := range [...]*string{&a.Partition, &a.Service, &a.Region, &a.Account} {
		if *field, rest, ok = strings.Cut(rest, ":"); !ok {
			return ARN{}, false
		}
	}
	a.Resource = rest
	return a, true
}

// String is the inverse of Parse.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// ResourceType is the resource up to its first slash or colon ("key" of
// key/1234, "secret" of secret:name), or the empty string where it has neither.
func (a ARN) ResourceType() string {
	if i := strings.IndexAny(a.Resource, "/:"); i >= 0 {
		return a.Resource[:i]
	}
	return ""
}

// ResourceID is the resource after its first slash or colon, or the whole
// resource where it has neither.
func (a ARN) ResourceID() string {
	if i := strings.IndexAny(a.Resource, "/:"); i >= 0 {
		return a.Resource[i+1:]
	}
	return a.Resource
}
