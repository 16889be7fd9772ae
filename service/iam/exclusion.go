package iam

import (
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// exclusions are the policies that a simulation leaves out.
type exclusions struct {
	types  map[iam.PolicyIdentifierPolicyType]bool
	arns   []string // of managed policies, with wildcards
	inline []iam.InlinePolicyIdentifierType
}

// add reads what a request excludes. What matches nothing is no error.
func (x *exclusions) add(list []iam.PolicyIdentifier) error {
	x.types = make(map[iam.PolicyIdentifierPolicyType]bool)
	for i := range list {
		id := &list[i]
		given := 0
		if id.PolicyType != "" {
			given++
			x.types[id.PolicyType] = true
		}
		if id.PolicyArn != nil {
			given++
			if !excludableARN(*id.PolicyArn) {
				return invalid("Invalid policy identifier: ARN %s is not valid.", *id.PolicyArn)
			}
			x.arns = append(x.arns, *id.PolicyArn)
		}
		if id.InlinePolicyIdentifier != nil {
			given++
			if strings.Count(optional.Value(id.InlinePolicyIdentifier.AttachmentName), "*") > 1 {
				return invalid("Invalid policy identifier: AttachmentName %s has more than one wildcard.", *id.InlinePolicyIdentifier.AttachmentName)
			}
			x.inline = append(x.inline, *id.InlinePolicyIdentifier)
		}
		if given != 1 {
			return invalid("Invalid policy identifier: exactly one of PolicyType, PolicyArn and InlinePolicyIdentifier has to be given.")
		}
	}
	return nil
}

// excludableARN reports whether a name is the ARN of a managed policy, with at most one * and any number of ? after the last slash.
func excludableARN(name string) bool {
	a, err := arn.Parse(name)
	if err != nil || a.Service != "iam" || a.Region != "" || !strings.HasPrefix(a.Resource, "policy/") {
		return false
	}
	last := arnName(name)
	return last != "" && strings.Count(name, "*") <= 1 && !strings.ContainsAny(strings.TrimSuffix(name, last), "*?")
}

// source reports whether a permissions policy is left out.
func (x *exclusions) source(src *source) bool {
	if src.arn != "" {
		return x.types[iam.PolicyIdentifierPolicyType(src.origin)] || x.names(src.arn)
	}
	if x.types[iam.PolicyIdentifierPolicyTypeInline] {
		return true
	}
	for i := range x.inline {
		id := &x.inline[i]
		if optional.Value(id.PolicyName) == src.name && string(id.AttachmentType) == string(src.origin) && glob(optional.Value(id.AttachmentName), src.holder) {
			return true
		}
	}
	return false
}

// boundary reports whether a permissions boundary is left out.
func (x *exclusions) boundary(policyARN string) bool {
	return x.types[iam.PolicyIdentifierPolicyTypePermissionBoundary] || x.names(policyARN)
}

func (x *exclusions) names(policyARN string) bool {
	for _, p := range x.arns {
		if glob(p, policyARN) {
			return true
		}
	}
	return false
}
