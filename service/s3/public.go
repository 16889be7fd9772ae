package s3

import "github.com/holdfast-cloud/holdfast/engine/policy"

// public reports whether a policy lets in anybody at all.
func public(p *policy.Policy) bool {
	return p.Public("s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:dataaccesspointarn", "s3:dataaccesspointaccount")
}
