package iam

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/iam"
)

// Quotas of an account, by the names that GetAccountSummary and AWS's refusals give them:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	usersQuota                = 5000
	groupsQuota               = 300
	rolesQuota                = 1000
	policiesQuota             = 1500
	instanceProfilesQuota     = 1000
	serverCertificatesQuota   = 20
	providersQuota            = 100
	groupsPerUserQuota        = 10
	accessKeysPerUserQuota    = 2
	signingCertsPerUserQuota  = 2
	sshKeysPerUserQuota       = 5
	credentialsPerUserQuota   = 2 // service-specific ones, for each service
	mfaDevicesPerUserQuota    = 8
	attachedPoliciesQuota     = 10
	versionsPerPolicyQuota    = 5
	userPolicySizeQuota       = 2048
	groupPolicySizeQuota      = 5120
	rolePolicySizeQuota       = 10240
	policySizeQuota           = 6144
	assumeRolePolicySizeQuota = 2048
)

// exceeded is the refusal of one more than a quota allows.
func exceeded(quota string, limit int) error {
	return &iam.LimitExceededException{Message: fmt.Sprintf("Cannot exceed quota for %s: %d", quota, limit)}
}
