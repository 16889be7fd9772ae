package s3

import (
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// maxPolicy is the size of a bucket policy in bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
const maxPolicy = 20 << 10

// PutBucketPolicy replaces the bucket's policy.
func (s *Service) PutBucketPolicy(c *call.Call, in *s3.PutBucketPolicyRequest) (*s3.PutBucketPolicyResponse, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorizePolicy(); err != nil {
		return nil, err
	}
	text := optional.Value(in.Policy)
	if err := checkMD5(in.ContentMD5, text); err != nil {
		return nil, err
	}
	p, err := b.parse(text)
	if err != nil {
		return nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), p)
	if err != nil {
		return nil, err
	}
	if unknown != "" {
		return nil, malformedPolicy("Invalid principal in policy")
	}
	if public(p) {
		return nil, c.Refuse(c.Op.Action, `on resource: "`+b.arn()+`" because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.`)
	}
	b.Policy, b.Pins = text, pins
	return &s3.PutBucketPolicyResponse{}, b.save()
}

func (b *bucket) save() error {
	return bucketTable.In(b.Account, b.Region).Put(b.c.Tx(), b.bucketRecord)
}

// authorizePolicy asks for the operation's own action on the bucket's policy. The root user of the bucket's account is asked nothing of it: no policy locks the owner out.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
func (b *bucket) authorizePolicy() error {
	r := b.resource()
	if b.c.Caller.Kind == policy.Root && b.c.Caller.Account == b.Account {
		r.Policy = nil
	}
	if err := b.c.Authorize(r); err != nil {
		return err
	}
	return b.mayHavePolicy()
}

// mayHavePolicy refuses callers of other accounts: S3 lets nobody else do anything with a bucket's policy, whatever the policy says.
func (b *bucket) mayHavePolicy() error {
	if b.c.Scope.Account == b.Account {
		return nil
	}
	return b.c.Reject(fault("MethodNotAllowed", 405, "The specified method is not allowed against this resource."))
}

// parse compiles a policy that the bucket is to have.
func (b *bucket) parse(text string) (*policy.Policy, error) {
	switch {
	case len(text) > maxPolicy:
		return nil, malformedPolicy("Policy exceeds the maximum allowed document size.")
	case !strings.HasPrefix(text, "{"):
		return nil, malformedPolicy("Policies must be valid JSON and the first byte must be '{'")
	}
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		switch syntax.Fault {
		case policy.InvalidJSON:
			return nil, malformedPolicy("Policies must be valid JSON and the first byte must be '{'")
		case policy.InvalidPrincipal:
			return nil, malformedPolicy("Invalid principal in policy")
		}
		return nil, malformedPolicy("%s", syntax.AWS())
	}
	if err != nil {
		return nil, err
	}
	for st := range p.Statements() {
		for _, action := range st.Actions {
			if action != "*" && (len(action) < 4 || !strings.EqualFold(action[:3], "s3:")) {
				return nil, malformedPolicy("Policy has invalid action")
			}
		}
		for _, resource := range st.Resources {
			if !b.covers(resource) {
				return nil, malformedPolicy("Policy has invalid resource")
			}
		}
	}
	return p, nil
}

// covers reports whether a resource of a policy can be the bucket or something in it.
func (b *bucket) covers(resource string) bool {
	name, ok := strings.CutPrefix(resource, "arn:"+b.c.Scope.Partition+":s3:::")
	if !ok {
		return false
	}
	bucket, _, _ := strings.Cut(name, "/")
	return bucket == b.Name || name == b.Name+"*"
}

// withPolicy finds a bucket that has a policy, after asking.
func (s *Service) withPolicy(c *call.Call, name, expectedOwner *string) (*bucket, error) {
	b, err := s.find(c, name, expectedOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorizePolicy(); err != nil {
		return nil, err
	}
	if b.Policy == "" {
		return nil, fault("NoSuchBucketPolicy", 404, "The bucket policy does not exist", detail("BucketName", b.Name))
	}
	return b, nil
}

// GetBucketPolicy returns the policy as it was put. Users and roles that are gone are shown by their unique IDs.
func (s *Service) GetBucketPolicy(c *call.Call, in *s3.GetBucketPolicyRequest) (*s3.GetBucketPolicyOutput, error) {
	b, err := s.withPolicy(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	text, err := s.cfg.Principals.Show(c.Tx(), b.policy, b.Pins)
	if err != nil {
		return nil, err
	}
	return &s3.GetBucketPolicyOutput{Policy: &text}, nil
}

// GetBucketPolicyStatus tells whether the policy makes the bucket public.
func (s *Service) GetBucketPolicyStatus(c *call.Call, in *s3.GetBucketPolicyStatusRequest) (*s3.GetBucketPolicyStatusOutput, error) {
	b, err := s.withPolicy(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	return &s3.GetBucketPolicyStatusOutput{PolicyStatus: &s3.PolicyStatus{IsPublic: new(public(b.policy))}}, nil
}

// DeleteBucketPolicy removes the policy; that there is none is no error.
func (s *Service) DeleteBucketPolicy(c *call.Call, in *s3.DeleteBucketPolicyRequest) (*s3.DeleteBucketPolicyResponse, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorizePolicy(); err != nil {
		return nil, err
	}
	if b.Policy == "" {
		return &s3.DeleteBucketPolicyResponse{}, nil
	}
	b.Policy, b.Pins = "", nil
	return &s3.DeleteBucketPolicyResponse{}, b.save()
}
