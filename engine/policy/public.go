package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Public reports whether a resource's policy lets in anybody at all, as AWS's checks of public access understand it: an Allow for everybody, unless a condition holds it to fixed
// values of a key that tells callers apart. keys are further ones, in lower case, that the resource's service has for that:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
func (p *Policy) Public(keys ...string) bool {
	fixed := make(map[int]bool)
	for cond := range p.Conditions() {
		if narrows(cond, keys) {
			fixed[cond.Statement] = true
		}
	}
	for st := range p.Statements() {
		if st.Effect == "Allow" && anybody(st) && !fixed[st.Index] {
			return true
		}
	}
	return false
}

// anybody reports whether a statement is about everybody.
func anybody(st Statement) bool {
	if st.NotPrincipal {
		return true
	}
	for _, ref := range st.Principals {
		if ref.Value == "*" && ref.Type != "Service" {
			return true
		}
	}
	return false
}

// narrowing reports whether a condition key, in lower case, keeps a statement from being public.
func narrowing(key string, keys []string) bool {
	switch key {
	case "aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:sourceip", "aws:vpcsourceip", "aws:sourcearn", "aws:sourceaccount",
		"aws:sourceowner", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:userid":
		return true
	}
	return slices.Contains(keys, key)
}

// narrows reports whether a condition holds its statement to fixed values.
func narrows(cond ConditionRef, keys []string) bool {
	key := strings.ToLower(cond.Key)
	if !narrowing(key, keys) || cond.IfExists || cond.Set == ForAllValues || len(cond.Values) == 0 {
		return false // the condition holds where the key is absent
	}
	switch cond.Operator {
	case "StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress":
	default:
		return false
	}
	for _, v := range cond.Values {
		if !fixedValue(key, v) {
			return false
		}
	}
	return true
}

// fixedValue reports whether a value is a fixed one: no pattern and no variable, but for the part of an ARN that comes after an account; and no range of more than
// a 256th of all addresses of IPv4.
func fixedValue(key, value string) bool {
	switch {
	case key == "aws:sourceip", key == "aws:vpcsourceip":
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			_, err := netip.ParseAddr(value)
			return err == nil
		}
		return prefix.Addr().Is4() && prefix.Bits() >= 8 || prefix.Addr().Is6() && prefix.Bits() >= 32
	case strings.HasSuffix(key, "arn"):
		parts := strings.SplitN(value, ":", 6)
		return !strings.ContainsAny(value, "*?$") || len(parts) == 6 && parts[4] != "" && !strings.ContainsAny(parts[4], "*?$") && !strings.ContainsAny(parts[2], "*?$")
	case key == "aws:userid":
		id, _, _ := strings.Cut(value, ":") // AROAEXAMPLE:* are the sessions of one role
		return id != "" && !strings.ContainsAny(id, "*?$")
	}
	return value != "" && !strings.ContainsAny(value, "*?$")
}
