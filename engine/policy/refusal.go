package policy

import (
	"fmt"
	"strings"
)

// AWS refuses a document with one sentence, and which it is depends on who refuses: IAM for what is attached to
// identities, the common reader of resource policies (trust policies among them), Organizations. IAM reads
// the whole document several times, each time for one sort of mistake, so a document with several
// mistakes is refused for the one that is looked for first, wherever it stands. The order and the sentences were
// observed by the tests of moto (tests/test_iam/test_iam_policies.py) and of the Versity gateway; the rest are our own words.

// texts is whose sentences a kind of policy is refused with.
type texts uint8

const (
	identityTexts texts = iota
	resourceTexts
	organizationTexts
)

// rank is the turn at which IAM looks for a mistake.
type rank uint8

const (
	rankSyntax    rank = iota // JSON, and the shape of a policy
	rankPrincipal             // there must be none
	rankLegacy                // what a value says
	rankSid
	rankNoAction
	rankNoResource
	rankResource // the form of an ARN
	rankAction   // the form of an action
)

const (
	syntaxErrors   = "Syntax errors in policy."
	invalidJSON    = "This policy contains invalid Json"
	legacyParsing  = "The policy failed legacy parsing"
	notMeeting     = "The provided policy document does not meet the requirements of the specified policy type."
	vendorMissing  = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	vendorOfARN    = "Resource vendor must be fully qualified and cannot contain regexes."
	actionsMissing = "Policy statement must contain actions."
	principalEmpty = "Missing required field Principal cannot be empty!"
	resMissing     = "Policy statement must contain resources."
)

// AWS is the sentence that the service which takes such a policy answers: IAM or STS, Organizations for its
// policies, the reader of resource policies for the rest. A mistake of JSON is followed by its place in parentheses,
// which AWS leaves out.
func (e *SyntaxError) AWS() string {
	if e.Fault == InvalidJSON {
		return fmt.Sprintf("%s (line %d, column %d: %s)", e.sentence, e.Line, e.Column, e.Msg)
	}
	return e.sentence
}

// sentence is AWS's text for the fault.
func (t texts) sentence(f *fault) string {
	switch {
	case t == organizationTexts:
		return notMeeting
	case t == resourceTexts && f.kind == InvalidJSON:
		return invalidJSON
	case t == identityTexts && f.rank == rankSyntax:
		return syntaxErrors
	case t == identityTexts && f.rank == rankLegacy:
		return legacyParsing
	}
	return f.msg
}

// worse reports whether f is what a document is refused for, although other was found before.
func (t texts) worse(f, other *fault) bool {
	return other == nil || t == identityTexts && f.rank < other.rank
}

// partitions are those that ARNs may name.
var partitions = [...]string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}

// iamPaths is what the last field of an IAM resource begins with.
var iamPaths = [...]string{"user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
	"sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/"}

// checkARN says what is wrong with a resource of a policy whose resources are ARNs, and when IAM looks for that.
func checkARN(s string) (msg string, at rank) {
	f := splitARN(s)
	if len(f) == 1 {
		return fmt.Sprintf("Resource %s must be in ARN format or \"*\".", s), rankResource
	}
	if !isPartition(f[1]) || f[0] != "arn" {
		padded := append(f[1:len(f):len(f)], "*", "*", "*", "*")[:5]
		return fmt.Sprintf("Partition %q is not valid for resource \"arn:%s\".", f[1], strings.Join(padded, ":")), rankResource
	}
	if len(f) == 2 && !open(f[1]) || len(f) > 3 && f[2] != "*" && !isVariable(f[2]) && (f[2] == "" || strings.ContainsAny(f[2], "*?")) {
		if len(f) > 3 && f[2] == "" {
			return "resource " + s + " has no service", rankLegacy
		}
		return vendorOfARN, rankResource
	}
	if len(f) < 6 {
		if strings.HasSuffix(s, "*") {
			return "", 0
		}
		return "resource " + s + " has fewer than six fields", rankLegacy
	}
	service, region, account, last := f[2], f[3], f[4], f[5]
	switch {
	case service == "iam" && region != "" && region != "*":
		return fmt.Sprintf("IAM resource %s cannot contain region information.", s), rankResource
	case service == "s3" && region != "" && region != "*" && account == "":
		return fmt.Sprintf("Resource %s can not contain region information.", s), rankResource
	case service == "iam" && !isIAMPath(last):
		return fmt.Sprintf("IAM resource path must either be \"*\" or start with %s.", strings.Join(iamPaths[:], ", ")), rankResource
	}
	return "", 0
}

// splitARN cuts at the first five colons outside of variables.
func splitARN(s string) (fields []string) {
	start, inVariable := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '$' && strings.HasPrefix(s[i:], "${"):
			inVariable = true
		case s[i] == '}':
			inVariable = false
		case s[i] == ':' && !inVariable && len(fields) < 5:
			fields = append(fields, s[start:i])
			start = i + 1
		}
	}
	return append(fields, s[start:])
}

// open reports whether a field may still become something else.
func open(field string) bool { return strings.ContainsAny(field, "*?$") }

func isVariable(field string) bool { return strings.Contains(field, "${") }

func isPartition(s string) bool {
	for _, p := range partitions {
		if s == p {
			return true
		}
	}
	return open(s)
}

// isIAMPath also takes root, the resource of sts:AssumeRoot, and what begins with a pattern.
func isIAMPath(s string) bool {
	kind, _, _ := strings.Cut(s, "/")
	if s == "root" || open(kind) {
		return true
	}
	for _, p := range iamPaths {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
