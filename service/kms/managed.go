package kms

import (
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
)

// A key whose alias begins with managedPrefix is made when a service first needs it. In a customer's account it is an AWS managed key, that everybody in the account may
// use through the service; in the services' own account it is an AWS owned key, that only the service sees.
const managedPrefix = "alias/aws/"

// managedKey makes the key that a managed alias is to name, if the call may bring it into being: one that the service makes or passes on, or one that looks at it. It returns nil if
// the alias is an ordinary one, or the caller somebody else.
func (s *Service) managedKey(c *call.Call, t target) (*key, error) {
	service, ok := strings.CutPrefix(t.alias, managedPrefix)
	if !ok || service == "" || t.account != c.Scope.Account {
		return nil, nil
	}
	owned := t.account == call.OwnAccount
	host := service + ".amazonaws.com"
	byService := owned && c.Caller.ServiceName == host || len(c.Via) > 0 && c.Via[len(c.Via)-1] == host
	if !byService && !(c.Op == kms.OpDescribeKey && s.cfg.ManagedServices[service]) {
		return nil, nil
	}
	document := managedPolicy(c.Scope, service)
	if owned {
		document = ownedPolicy(host)
	}
	// That there is none yet was read in the transaction, so that two calls cannot both make one.
	p := plan{spec: kms.KeySpecSymmetricDefault, usage: kms.KeyUsageTypeEncryptDecrypt, origin: kms.OriginTypeAwsKms}
	k, err := s.newKey(c, t.place, p, kms.KeyManagerTypeAws, document)
	if err != nil {
		return nil, fmt.Errorf("making the managed key of %s: %w", service, err)
	}
	k.Description = fmt.Sprintf("Default key that protects my %s data when no other key is defined", service)
	k.aliases = []string{t.alias}
	k.Rotating, k.Period = true, defaultPeriod
	k.NextRotate = c.Time.Add(defaultPeriod * day)
	if err := k.save(c.Tx()); err != nil {
		return nil, err
	}
	if err := s.scheduleRotation(c, k); err != nil {
		return nil, err
	}
	a := &aliasRecord{Name: t.alias, KeyID: k.ID, Created: c.Time, Updated: c.Time}
	if err := aliasTable.In(k.account, k.region).Put(c.Tx(), a); err != nil {
		return nil, err
	}
	return k, serviceEvent(c, k, "CreateKey")
}

// managedPolicy is the policy of an AWS managed key: everybody in the account uses it through the service, and may look at it.
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk
func managedPolicy(sc call.Scope, service string) string {
	through := fmt.Sprintf(`"Condition" : {
      "StringEquals" : {
        "kms:CallerAccount" : %q,
        "kms:ViaService" : "%s.%s.amazonaws.com"
      }
    }`, sc.Account, service, sc.Region)
	return fmt.Sprintf(`{
  "Version" : "2012-10-17",
  "Id" : "auto-%s-1",
  "Statement" : [ {
    "Sid" : "Allow access through the service for all principals in the account that are authorized to use it",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    %s
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : %q
    },
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  } ]
}`, service, through, rootARN(sc.Partition, sc.Account))
}

// ownedPolicy is the policy of an AWS owned key.
func ownedPolicy(host string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},"Action":"kms:*","Resource":"*"}]}`, host)
}
