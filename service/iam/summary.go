package iam

import (
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// GetAccountSummary counts what there is, and tells the quotas.
func (s *Service) GetAccountSummary(c *call.Call, _ *iam.GetAccountSummaryRequest) (*iam.GetAccountSummaryResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	n, err := counts(c)
	if err != nil {
		return nil, err
	}
	for key, quota := range map[iam.SummaryKeyType]int{
		iam.SummaryKeyTypeUsersQuota: usersQuota, iam.SummaryKeyTypeGroupsQuota: groupsQuota, iam.SummaryKeyTypeServerCertificatesQuota: serverCertificatesQuota,
		iam.SummaryKeyTypeUserPolicySizeQuota: userPolicySizeQuota, iam.SummaryKeyTypeGroupPolicySizeQuota: groupPolicySizeQuota,
		iam.SummaryKeyTypeGroupsPerUserQuota: groupsPerUserQuota, iam.SummaryKeyTypeSigningCertificatesPerUserQuota: signingCertsPerUserQuota,
		iam.SummaryKeyTypeAccessKeysPerUserQuota: accessKeysPerUserQuota, iam.SummaryKeyTypeAttachedPoliciesPerGroupQuota: attachedPoliciesQuota,
		iam.SummaryKeyTypeAttachedPoliciesPerRoleQuota: attachedPoliciesQuota, iam.SummaryKeyTypeAttachedPoliciesPerUserQuota: attachedPoliciesQuota,
		iam.SummaryKeyTypePoliciesQuota: policiesQuota, iam.SummaryKeyTypePolicySizeQuota: policySizeQuota,
		iam.SummaryKeyTypePolicyVersionsInUseQuota: policyVersionsInUseQuota, iam.SummaryKeyTypeVersionsPerPolicyQuota: versionsPerPolicyQuota,
		iam.SummaryKeyTypeAssumeRolePolicySizeQuota: assumeRolePolicySizeQuota, iam.SummaryKeyTypeInstanceProfilesQuota: instanceProfilesQuota,
		iam.SummaryKeyTypeRolePolicySizeQuota: rolePolicySizeQuota, iam.SummaryKeyTypeRolesQuota: rolesQuota,
	} {
		n[key] = quota
	}
	out := &iam.GetAccountSummaryResponse{SummaryMap: make(map[iam.SummaryKeyType]int32, len(n))}
	for key, number := range n {
		out.SummaryMap[key] = int32(number)
	}
	return out, nil
}

const policyVersionsInUseQuota = 10000

// counts are the numbers of a summary that are no quotas.
func counts(c *call.Call) (map[iam.SummaryKeyType]int, error) {
	n := map[iam.SummaryKeyType]int{iam.SummaryKeyTypeGlobalEndpointTokenVersion: 1}
	t := tally{c: c, n: n}
	tallied(&t, identity.Users, iam.SummaryKeyTypeUsers, nil)
	tallied(&t, identity.Groups, iam.SummaryKeyTypeGroups, nil)
	tallied(&t, identity.Roles, iam.SummaryKeyTypeRoles, nil)
	tallied(&t, identity.Policies, iam.SummaryKeyTypePolicies, func(p *identity.ManagedPolicy) { n[iam.SummaryKeyTypePolicyVersionsInUse] += len(p.Versions) })
	tallied(&t, identity.OIDCProviders, iam.SummaryKeyTypeProviders, nil)
	tallied(&t, identity.SAMLProviders, iam.SummaryKeyTypeProviders, nil)
	tallied(&t, certificateTable, iam.SummaryKeyTypeServerCertificates, nil)
	tallied(&t, instanceProfiles, iam.SummaryKeyTypeInstanceProfiles, nil)
	n[iam.SummaryKeyTypePolicyVersionsInUse] += 0
	n[iam.SummaryKeyTypeMFADevicesInUse], n[iam.SummaryKeyTypeAccountMFAEnabled] = 0, 0
	tallied(&t, identity.MFADevices, iam.SummaryKeyTypeMFADevices, func(m *identity.MFADevice) {
		if m.User != "" {
			n[iam.SummaryKeyTypeMFADevicesInUse]++
		}
		if m.User == identity.RootUser {
			n[iam.SummaryKeyTypeAccountMFAEnabled] = 1
		}
	})
	if t.err != nil {
		return nil, t.err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	if set.TokensEverywhere {
		n[iam.SummaryKeyTypeGlobalEndpointTokenVersion] = 2
	}
	keys, err := count(keysOf(c, ""))
	if err != nil {
		return nil, err
	}
	n[iam.SummaryKeyTypeAccountAccessKeysPresent] = min(keys, 1)
	certificates, err := count(certificatesOf(c, owner{}))
	if err != nil {
		return nil, err
	}
	n[iam.SummaryKeyTypeAccountSigningCertificatesPresent] = min(certificates, 1)
	n[iam.SummaryKeyTypeAccountPasswordPresent] = 0
	if _, err := logins(c).Get(c.Tx(), identity.RootUser); err == nil {
		n[iam.SummaryKeyTypeAccountPasswordPresent] = 1
	} else if !missing(err) {
		return nil, err
	}
	return n, nil
}

// tally counts records, until an error.
type tally struct {
	c   *call.Call
	n   map[iam.SummaryKeyType]int
	err error
}

func tallied[R any](t *tally, table *store.Table[R], key iam.SummaryKeyType, each func(*R)) {
	t.n[key] += 0
	for r, err := range table.In(t.c.Scope.Account, "").Scan(t.c.Tx(), store.Query{}) {
		if t.err != nil || err != nil {
			if t.err == nil {
				t.err = err
			}
			return
		}
		t.n[key]++
		if each != nil {
			each(r)
		}
	}
}
