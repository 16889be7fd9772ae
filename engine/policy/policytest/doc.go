// Package policytest says the semantics of package policy a second time, as plainly as they can be said, and
// generates requests on which both are compared: documents as decoded JSON, wildcards as regular expressions, numbers as
// fractions, every rule a formula over "some statement says", organizations as records that are searched anew for each question. It
// shares no code with what it is held against, and is slow.
package policytest
