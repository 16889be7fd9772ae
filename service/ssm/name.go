package ssm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
)

// Names: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-parameter-name-constraints.html
const (
	maxLevels = 15
	maxARN    = 1011
)

// name is a parameter's name, taken apart at its last slash. Names of one level are the same with a slash before them and without.
type name struct{ dir, leaf string }

// splitName takes a name apart that is well formed.
func splitName(s string) name {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return name{leaf: s}
	}
	return name{s[:i], s[i+1:]}
}

// String is the name with the slash that hierarchies begin with.
func (n name) String() string { return n.dir + "/" + n.leaf }

// in is the ARN of the parameter that has the name in a scope.
func (n name) in(s call.Scope) string { return s.ARN("ssm", "parameter"+n.String()) }

// What AWS says of wrong names.
const (
	wrongPath = `Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; ` +
		`each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_`
	wrongPrefix   = `Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`
	wrongSelector = "Invalid parameter name. Please use correct syntax for referencing a version/label  <name>:<version/label>"
	unqualified   = "Parameter name must be a fully qualified name."
	wrongFilter   = `The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with "aws" or "ssm" ` +
		`(case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All ` +
		`sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.`
)

// nameCharacters reports whether s is made of what names are made of.
func nameCharacters(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-', c == '/':
		default:
			return false
		}
	}
	return true
}

// reserved reports whether s begins with what customers' names must not.
func reserved(s string) bool {
	s = strings.TrimPrefix(s, "/")
	return len(s) >= 3 && (strings.EqualFold(s[:3], "aws") || strings.EqualFold(s[:3], "ssm"))
}

// parseName reads a name that the caller gave.
func parseName(s string) (name, error) {
	switch {
	case s == "", !nameCharacters(s), strings.Contains(s, "//"), strings.HasSuffix(s, "/"), strings.Contains(s, "/") && s[0] != '/':
		return name{}, invalid(wrongPath)
	case reserved(s) && strings.Count(s, "/") < 2:
		return name{}, invalid(wrongPrefix)
	case reserved(s):
		return name{}, invalid(wrongPath)
	}
	return splitName(s), nil
}

// newName reads the name of a parameter that is to be put.
func newName(c *call.Call, given string) (n name, text string, err error) {
	text = strings.TrimSpace(given)
	if strings.Contains(text, "/") && text[0] != '/' && nameCharacters(text) {
		return name{}, "", invalid(unqualified)
	}
	if len(text) > 5 && strings.EqualFold(text[:5], "/aws/") {
		return name{}, "", c.Reject(accessDenied("No access to reserved parameter name: %s.", text))
	}
	if n, err = parseName(text); err != nil {
		return name{}, "", err
	}
	if strings.Count(n.String(), "/") > maxLevels {
		return name{}, "", &ssm.HierarchyLevelLimitExceededException{Message: fmt.Sprintf(
			"A hierarchy can have a maximum of %d levels. For more information, see About requirements and constraints for parameter names in the "+
				"Amazon Web Services Systems Manager User Guide.", maxLevels)}
	}
	if len(n.in(c.Scope)) > maxARN {
		return name{}, "", invalid("Parameter name: its ARN can have at most %d characters.", maxARN)
	}
	return n, text, nil
}

// reference is what a caller that reads names: a parameter, and which of its versions.
type reference struct {
	name
	account  string // the owner; empty for public parameters
	asked    string // the name to answer with; empty for the parameter's own
	selector string // a version or a label; "" is the current version
	service  string // the service that the name belongs to: see reservedSpace; empty for customers' names
}

// parseReference reads a name or an ARN, with or without a version or a label.
func parseReference(c *call.Call, given string) (r reference, err error) {
	text := strings.TrimSpace(given)
	r.account = c.Scope.Account
	isARN := strings.HasPrefix(text, "arn:")
	if isARN {
		if r.account, text, err = nameInARN(c, text); err != nil {
			return r, err
		}
	}
	text, selector, selected := strings.Cut(text, ":")
	if selected && (selector == "" || strings.Contains(selector, ":")) {
		return r, invalid(wrongSelector)
	}
	r.selector = selector
	if !isARN {
		r.asked = text
	}
	if r.service = reservedSpace(text); r.service != "" {
		r.name, r.asked, r.account = splitName(text), text, ""
		return r, nil
	}
	r.name, err = parseName(text)
	return r, err
}

// nameInARN returns the account and the name, which a selector may follow, in an ARN of a parameter. What belongs to services belongs to no account.
func nameInARN(c *call.Call, text string) (account, rest string, err error) {
	a, err := arn.Parse(text)
	rest, ok := strings.CutPrefix(a.Resource, "parameter/")
	if strings.Contains(rest, "/") {
		rest = "/" + rest
	}
	bare, _, _ := strings.Cut(rest, ":")
	owned := identity.IsAccount(a.Account) && reservedSpace(bare) == "" || a.Account == "" && reservedSpace(bare) != ""
	if err != nil || !ok || !owned || a.Service != "ssm" || a.Partition != c.Scope.Partition || a.Region != c.Scope.Region {
		return "", "", invalid("Invalid parameter ARN: a parameter of this partition and Region is needed.")
	}
	return a.Account, rest, nil
}

// version is the number that the selector is, or 0 for a label.
func (r *reference) version() int64 {
	n, err := strconv.ParseInt(r.selector, 10, 64)
	if err != nil || n < 0 || r.selector[0] == '+' {
		return 0
	}
	return n
}

// The spaces of names that belong to services.
const (
	secretsSpace = "/aws/reference/secretsmanager/"
	publicSpace  = "/aws/"
)

// reservedSpace is the space that a name lies in, or "" for those of customers.
func reservedSpace(text string) string {
	switch {
	case strings.HasPrefix(text, secretsSpace) && len(text) > len(secretsSpace):
		return secretsSpace
	case strings.HasPrefix(text, publicSpace) && nameCharacters(text) && !strings.Contains(text, "//"):
		return publicSpace
	}
	return ""
}

// parsePath reads the path of a hierarchy, and returns the part before the names that lie directly in it: "" is the root.
func parsePath(s string) (dir string, err error) {
	if s == "" || s[0] != '/' || !nameCharacters(s) || strings.Contains(s, "//") || reserved(s) && reservedSpace(s+"/") == "" {
		return "", invalid(wrongFilter)
	}
	return strings.TrimSuffix(s, "/"), nil
}
