package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/engine/policy/policytest"
)

// TestCondition reads each line as: operator, key's values in the request, the policy's
// values, and whether the condition holds. A dash is an absent key.
func TestCondition(t *testing.T) {
	for _, line := range strings.Split(strings.TrimSpace(`
StringEquals | red | ["red","blue"] | true
StringEquals | Red | "red" | false
StringEquals | r* | "r*" | true
StringEquals | red | "r*" | false
StringEquals | - | "red" | false
StringEquals | red,blue | "blue" | true
StringEqualsIfExists | - | "red" | true
StringEqualsIfExists | blue | "red" | false
StringNotEquals | - | "red" | true
StringNotEquals | red,blue | "blue" | false
StringNotEquals | red | ["blue","green"] | true
StringEqualsIgnoreCase | RED | "red" | true
StringNotEqualsIgnoreCase | RED | "red" | false
StringLike | red | "r?d" | true
StringLike | Red | "r*" | false
StringLike | a*c | "a${*}c" | true
StringLike | abc | "a${*}c" | false
StringLike | a$c | "a${$}c" | true
StringLike | é | "?" | true
StringNotLike | red | "r*" | false
StringNotLike | - | "r*" | true
ForAllValues:StringEquals | red,blue | ["red","blue","green"] | true
ForAllValues:StringEquals | red,pink | ["red","blue"] | false
ForAllValues:StringEquals | - | "red" | true
ForAllValues:StringNotEquals | red,pink | ["blue"] | true
ForAllValues:StringNotEquals | red,blue | ["blue"] | false
ForAnyValue:StringEquals | pink,red | "red" | true
ForAnyValue:StringEquals | - | "red" | false
ForAnyValue:StringNotEquals | red,pink | "red" | true
ForAnyValue:StringNotEquals | red | "red" | false
ForAnyValue:StringNotEquals | - | "red" | false
ForAnyValue:StringEqualsIfExists | - | "red" | true
stringequals | red | "red" | true
NumericEquals | 10 | 10 | true
NumericEquals | 10.0 | "1e1" | true
NumericEquals | 9007199254740993 | "9007199254740992" | false
NumericEquals | ten | "10" | false
NumericNotEquals | ten | "10" | true
NumericNotEquals | - | "10" | true
NumericLessThan | 9 | "10" | true
NumericLessThanEquals | 10 | "10" | true
NumericGreaterThan | 10 | "10" | false
NumericGreaterThanEquals | 10 | ["11","10"] | true
NumericGreaterThanEquals | - | "1" | false
DateEquals | 2013-06-30T00:00:00Z | "1372550400" | true
DateLessThan | 2013-06-30T00:00:00Z | "2013-06-30T01:00:00+02:00" | false
DateLessThanEquals | 2013-06-30T00:00:00.5Z | "2013-06-30T00:00:01Z" | true
DateGreaterThan | 2013-07-01 | "2013-06-30T23:59:59Z" | true
DateGreaterThanEquals | 20130630T000000Z | "2013-06" | true
DateNotEquals | someday | "2013" | true
Bool | true | true | true
Bool | True | "true" | true
Bool | false | "true" | false
Bool | - | "false" | false
BoolIfExists | - | "true" | true
BinaryEquals | QmluYXJ5 | "QmluYXJ5" | true
BinaryEquals | QmluYXJ4 | "QmluYXJ5" | false
IpAddress | 10.1.2.3 | "10.0.0.0/8" | true
IpAddress | 10.1.2.3 | "10.1.2.3" | true
IpAddress | ::ffff:10.1.2.3 | "10.0.0.0/8" | true
IpAddress | 10.1.2.3 | "::ffff:10.0.0.0/104" | true
IpAddress | 11.1.2.3 | "::ffff:10.0.0.0/104" | false
IpAddress | 2001:db8::1 | "2001:db8::/32" | true
IpAddress | 2001:db9::1 | ["2001:db8::/32","10.0.0.0/8"] | false
IpAddress | - | "0.0.0.0/0" | false
NotIpAddress | 11.1.2.3 | "10.0.0.0/8" | true
NotIpAddress | - | "10.0.0.0/8" | true
NotIpAddress | 10.1.2.3 | "10.0.0.9/8" | false
ArnEquals | arn:aws:sns:eu-west-1:111122223333:topic | "arn:aws:sns:*:111122223333:*" | true
ArnLike | arn:aws:sns:eu-west-1:111122223333:topic:sub | "arn:aws:sns:*:*:topic" | false
ArnLike | arn:aws:sns:eu-west-1:111122223333:topic:sub | "arn:aws:sns:*:*:topic*" | true
ArnLike | arn:aws:sns:eu-west-1:111122223333:x:111122223333:topic | "arn:aws:sns:*:111122223333:topic" | false
ArnLike | arn:aws:sns:eu-west-1:444455556666:topic | "arn:aws:sns:eu-west-1:1*:topic" | false
ArnLike | arn:aws:sns:eu-west-1:444455556666:topic | "arn:aws:sns:*" | true
ArnLike | topic | "*" | false
ArnNotLike | topic | "arn:*:*:*:*:*" | true
ArnNotEquals | - | "arn:aws:sns:*:*:*" | true
ArnEquals | arn:aws:iam::111122223333:role/x | "arn:aws:iam::${aws:PrincipalAccount}:role/x" | true
Null | - | true | true
Null | red | "true" | false
Null | red | "false" | true
Null | - | ["true","false"] | true
StringEquals | ann | "${aws:username}" | true
StringEquals | ann | "${AWS:UserName}" | true
StringEquals | fallback | "${no:such, 'fallback'}" | true
StringEquals | a'b | "${no:such,'a'b'}" | true
StringEquals |  | "${no:such,''}" | true
StringEquals | x | "${no:such}" | false
StringNotEquals | x | "${no:such}" | true
StringLike | axb | "${x:star}" | false
StringLike | a*b | "${x:star}" | true
StringLike | two | "${x:several}" | false
StringLike | two | "${x:several, 'two'}" | false
`), "\n") {
		f := strings.Split(line, " | ")
		t.Run(line, func(t *testing.T) {
			context := policy.Values{"x:star": {"a*b"}, "x:several": {"two", "two"}}
			if f[1] != "-" {
				context.Set("x:Key", strings.Split(strings.TrimSpace(f[1]), ",")...)
			}
			p := of(t, policy.Identity, statement("Allow", "", "*", "*", fmt.Sprintf(`{%q:{"X:key":%s}}`, f[0], f[2])))
			d := policy.Decide(&policy.Request{Principal: ann, Action: "a:B", Context: context, Identity: []*policy.Policy{p}})
			if fmt.Sprint(d.Allowed) != f[3] {
				t.Errorf("holds = %t", d.Allowed)
			}
		})
	}
}

func TestVariablesNeedTheNewVersion(t *testing.T) {
	p := must(t, policy.Identity, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
		"Condition":{"StringEquals":{"x:key":"${aws:username}"}}}}`)
	r := &policy.Request{Principal: ann, Action: "a:B", Identity: []*policy.Policy{p}, Context: policy.Values{"x:key": {"${aws:username}"}}}
	if d := policy.Decide(r); !d.Allowed {
		t.Error("a variable was expanded in a policy of 2008-10-17")
	}
	r.Context = policy.Values{"x:key": {"ann"}}
	if d := policy.Decide(r); d.Allowed {
		t.Error("a variable was expanded in a policy of 2008-10-17")
	}
}

// TestDerivedKeys: what follows from the request need not be in the context.
func TestDerivedKeys(t *testing.T) {
	for who, want := range map[*policy.Principal]map[string]string{
		&ann:      {"aws:username": "ann", "aws:userid": ann.ID, "aws:PrincipalArn": ann.ARN, "aws:PrincipalType": "User", "aws:PrincipalAccount": policytest.Ours, "aws:PrincipalIsAWSService": "false", "aws:ResourceAccount": policytest.Theirs},
		&ops:      {"aws:userid": ops.ID + ":s1", "aws:PrincipalArn": ops.Issuer, "aws:PrincipalType": "AssumedRole"},
		&rootUser: {"aws:userid": policytest.Ours, "aws:PrincipalType": "Account"},
		&fay:      {"aws:userid": policytest.Ours + ":fay", "aws:PrincipalType": "FederatedUser"},
		&events:   {"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": "events.amazonaws.com"},
	} {
		for key, value := range want {
			p := of(t, policy.Resource, statement("Deny", `"*"`, "*", "*", fmt.Sprintf(`{"StringEquals":{%q:%q}}`, key, value)))
			if d := policy.Decide(&policy.Request{Principal: *who, Action: "a:B", ResourceAccount: policytest.Theirs, ResourcePolicy: p}); d.Outcome != policy.ExplicitDeny {
				t.Errorf("%s of %s is not %q", key, who.ARN, value)
			}
		}
	}
}
