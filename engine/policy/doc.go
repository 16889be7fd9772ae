// Package policy is the IAM policy language as a library: it parses policy
// documents of every kind, compiles them once, and decides requests against all
// the policies that bear on them.
//
// [Parse] turns a document into a [Policy], which is immutable and may be shared.
// [Decide] takes a [Request] (who, what, on which resource, in which context, under
// which policies) and returns a [Decision], whose Message is AWS's own sentence for
// the denial. [Explain] decides the same and says in addition which statements
// matched and which context values were asked for and missing.
//
// The package knows no store, no service and no clock: the time of a request is a
// context value like any other. README.md states the semantics, with their sources,
// and what is refused. A second, naive implementation in policytest is compared
// with this one on generated cases.
package policy
