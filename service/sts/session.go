package sts

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/identity/managed"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length
const (
	maxPlainPolicy = 2048 // characters of the session policies, the ARNs of managed ones included
	maxPolicyARNs  = 10
	maxTags        = 50
	// packedRoom is how many bytes policies and tags may fill once they are packed. AWS does not tell its own; this leaves the token short enough
	// for the header that it travels in.
	packedRoom = 6 << 10
)

// tagSet is tags of a request. It refuses keys that are AWS's own or differ in case alone.
func tagSet(list []sts.Tag) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if err := addTag(tags, *t.Key, *t.Value); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

func addTag(tags map[string]string, key, value string) error {
	if hasFold(maps.Keys(tags), key) {
		return badParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	}
	if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
		return badParameter("Tag keys that begin with aws: are reserved: " + key)
	}
	tags[key] = value
	return nil
}

func hasFold(keys func(func(string) bool), key string) bool {
	for k := range keys {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// inherit gives a session the tags of the request and those that its caller's session passes on, and which of them it passes on itself. A request may not
// set what is passed on: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining
func inherit(s *identity.Session, caller *identity.Session, tags map[string]string, transitive []string) error {
	s.Tags = maps.Clone(tags)
	for _, key := range transitive {
		if !hasFold(maps.Keys(tags), key) {
			return badParameter("The specified transitive tag key must be included in the requested tags.")
		}
		if !hasFold(slices.Values(s.Transitive), key) {
			s.Transitive = append(s.Transitive, key)
		}
	}
	if caller == nil {
		return nil
	}
	for _, key := range caller.Transitive {
		if hasFold(maps.Keys(tags), key) {
			return badParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		for k, v := range caller.Tags {
			if strings.EqualFold(k, key) {
				if s.Tags == nil {
					s.Tags = make(map[string]string)
				}
				s.Tags[k] = v
				s.Transitive = append(s.Transitive, k)
			}
		}
	}
	if len(s.Tags) > maxTags {
		return badParameter(fmt.Sprintf("A session has at most %d tags.", maxTags))
	}
	return nil
}

// restrict gives a session the policies of the request.
func (s *Service) restrict(c *call.Call, session *identity.Session, document *string, arns []sts.PolicyDescriptorType) error {
	if len(arns) > maxPolicyARNs {
		return invalid("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	}
	plain := len([]rune(optional.Value(document)))
	for _, d := range arns {
		name := optional.Value(d.Arn)
		plain += len(name)
		if err := s.sessionPolicy(c, session.Account, name); err != nil {
			return err
		}
		session.PolicyARNs = append(session.PolicyARNs, name)
	}
	if plain > maxPlainPolicy {
		return &sts.PackedPolicyTooLargeException{Message: fmt.Sprintf("The session policies have %d characters, and may have %d.", plain, maxPlainPolicy)}
	}
	if document == nil {
		return nil
	}
	if _, err := policy.Parse([]byte(*document), policy.Session); err != nil {
		if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
			return &sts.MalformedPolicyDocumentException{Message: syntax.AWS()}
		}
		return err
	}
	session.Policies = []string{*document}
	return nil
}

// sessionPolicy checks a managed policy that is to be a session policy: AWS's, or one of the account.
func (s *Service) sessionPolicy(c *call.Call, account, name string) error {
	a, err := arn.Parse(name)
	if err != nil {
		return invalid("%s is invalid", name)
	}
	gone := &sts.MalformedPolicyDocumentException{Message: "Policy " + name + " does not exist or is not attachable."}
	if m, ok := managed.Find(name); ok && !m.Attachable() || !ok && a.Account != account {
		return gone
	}
	if _, err := s.cfg.Directory.Document(c.Tx(), name); missing(err) {
		return gone
	} else if err != nil {
		return err
	}
	return nil
}

// packed is how much of the room for policies and tags a session fills, in percent, or nil if it has none.
func packed(s *identity.Session) (*int32, error) {
	if len(s.Policies)+len(s.PolicyARNs)+len(s.Tags) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(identity.Session{Policies: s.Policies, PolicyARNs: s.PolicyARNs, Tags: s.Tags, Transitive: s.Transitive})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	w.Write(plain) // into memory
	w.Close()
	percent := int32((b.Len()*100 + packedRoom - 1) / packedRoom)
	if percent > 100 {
		return nil, tooLarge(percent)
	}
	return &percent, nil
}

func tooLarge(percent int32) error {
	return &sts.PackedPolicyTooLargeException{
		Message: fmt.Sprintf("Packed policy consumes %d%% of allotted space, please use smaller policy.", percent),
	}
}

// issue makes the credentials of a session that begins now and lasts so long.
func (s *Service) issue(c *call.Call, session *identity.Session, lasts time.Duration) (*sts.Credentials, *int32, error) {
	size, err := packed(session)
	if err != nil {
		return nil, nil, err
	}
	session.Issued = c.Time.UTC().Truncate(time.Second) // as precise as callers are told
	session.Expires = session.Issued.Add(lasts)
	token, err := s.cfg.Directory.Issue(session)
	if errors.Is(err, identity.ErrTokenTooLarge) {
		return nil, nil, tooLarge(101)
	}
	if err != nil {
		return nil, nil, err
	}
	return &sts.Credentials{
		AccessKeyId: &session.AccessKeyID, SecretAccessKey: &session.Secret, SessionToken: &token, Expiration: &session.Expires,
	}, size, nil
}
