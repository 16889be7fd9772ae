package organization

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// Member is what it means for an account to be in an organization. It is immutable.
type Member struct {
	OrgID             string // o-...: aws:PrincipalOrgID, aws:ResourceOrgID; empty for an account that was closed and has left
	ManagementAccount string
	Management        bool     // the account is the management account: no SCP and no RCP bind it
	Status            string   // ACTIVE, SUSPENDED
	Paths             []string // aws:PrincipalOrgPaths: the one path o-.../r-.../ou-.../, ending in a slash

	// SCP and RCP have the policies of each level, named by their ARNs, from the root to the account. They are nil for the management account and where the
	// organization has not enabled the type. SCPs bind the principals of the account, but for service-linked roles.
	// RCPs bind those who use its resources: ask RCPFor.
	SCP, RCP [][]*policy.Policy

	// Tags are what tag policies enforce on the account's resources, those of the management account included: ask TagViolation.
	Tags TagRules
}

// RCPFor returns the resource control policies that bind an action, such as kms:Encrypt, on a resource of the account: nil for services that have none. A call of
// a service-linked role, and one on an AWS managed KMS key, is bound by none either, which is for the caller to know.
func (m *Member) RCPFor(action string) [][]*policy.Policy {
	if m == nil || m.RCP == nil {
		return nil
	}
	prefix, name, _ := strings.Cut(action, ":")
	if !ResourceControlled(prefix) || prefix == "kms" && strings.EqualFold(name, "RetireGrant") {
		return nil
	}
	return m.RCP
}

// ResourceControlled reports whether resource control policies apply to a service, by the prefix of its actions:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
func ResourceControlled(prefix string) bool {
	switch prefix {
	case "aoss", "appconfig", "appstream", "autoscaling", "autoscaling-plans", "budgets", "clouddirectory", "cloudfront", "cloudsearch",
		"cloudtrail-data", "codeartifact", "codebuild", "codecommit", "codepipeline", "cognito-identity", "cognito-idp", "comprehend",
		"comprehendmedical", "compute-optimizer", "cost-optimization-hub", "dax", "dsql", "dynamodb", "ecr", "ecr-public", "events", "firehose",
		"fis", "fms", "gamelift", "health", "inspector-scan", "kendra", "kinesisvideo", "kms", "logs", "memorydb", "networkmonitor",
		"notifications", "opensearch", "pca-connector-ad", "personalize", "polly", "pricing", "resource-groups", "rolesanywhere", "s3",
		"secretsmanager", "servicediscovery", "signin", "sqs", "sts", "support", "swf", "textract", "timestream-influxdb", "transcribe",
		"transfer", "translate", "wafv2", "workspaces", "xray":
		return true
	}
	return false
}

// The policies that AWS owns and attaches to everything when their type is enabled.
const (
	FullAccess    = "p-FullAWSAccess"
	RCPFullAccess = "p-RCPFullAWSAccess"
)

// Managed returns a policy that AWS owns, or nil.
func Managed(id string) *Policy {
	switch id {
	case FullAccess:
		return &Policy{
			ID: id, Type: ServiceControl, Name: "FullAWSAccess", Description: "Allows access to every operation",
			Content: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		}
	case RCPFullAccess:
		return &Policy{
			ID: id, Type: ResourceControl, Name: "RCPFullAWSAccess", Description: "Allows access to every resource",
			Content: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`,
		}
	}
	return nil
}

// DefaultPolicy is the policy that AWS attaches to everything while a type is enabled, or "".
func DefaultPolicy(policyType string) string {
	switch policyType {
	case ServiceControl:
		return FullAccess
	case ResourceControl:
		return RCPFullAccess
	}
	return ""
}

// Directory tells what accounts' memberships mean. All methods may be called concurrently.
type Directory struct {
	store     store.Store
	partition string
	members   *cache.Cache[string, *Member]
	compiled  *cache.Cache[document, *policy.Policy] // never forgotten: a document means the same for ever
}

const accountDigits = 12

// document is a policy's ARN and text.
type document struct {
	kind       policy.Kind
	name, text string
}

// How many are kept ready.
const (
	memberLimit   = 20_000
	compiledLimit = 2_000
)

// New returns the directory that lies in s.
func New(s store.Store, partition string) *Directory {
	d := &Directory{store: s, partition: partition}
	d.members = cache.New(memberLimit, d.load).Owning(strings.Clone)
	d.compiled = cache.New(compiledLimit, func(_ context.Context, doc document) (*policy.Policy, error) {
		p, err := policy.Parse([]byte(doc.text), doc.kind)
		if err != nil {
			return nil, err
		}
		return p.Named(doc.name), nil
	})
	// A change of a unit or a policy touches all accounts below, and there are few changes.
	changed := func(string, string, []string) { d.members.Clear() }
	Organizations.Watch(s, changed)
	Accounts.Watch(s, changed)
	Units.Watch(s, changed)
	Policies.Watch(s, changed)
	Attachments.Watch(s, changed)
	Profiles.Watch(s, changed)
	return d
}

// CacheStats tells how the cache of memberships does.
func (d *Directory) CacheStats() cache.Stats { return d.members.Stats() }

// Member returns the membership of an account, or nil if it is in no organization. One that was closed is told of in any case.
func (d *Directory) Member(ctx context.Context, account string) (*Member, error) {
	if len(account) != accountDigits {
		return nil, nil // a service's own, or a name that a caller made up: not worth keeping
	}
	return d.members.Get(ctx, account)
}

// load is the loader of the cache.
func (d *Directory) load(ctx context.Context, account string) (m *Member, err error) {
	err = d.store.View(ctx, func(r store.Reader) error {
		m, err = d.read(ctx, r, account)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loading the organization of account %s: %w", account, err)
	}
	return m, nil
}

func (d *Directory) read(ctx context.Context, r store.Reader, account string) (*Member, error) {
	a, err := Of(r, account)
	if errors.Is(err, store.ErrNotFound) {
		p, err := ProfileOf(r, account)
		if err != nil || p.Closed.IsZero() {
			return nil, err
		}
		return &Member{Status: Suspended}, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := a.Organization(r)
	if err != nil {
		return nil, err
	}
	chain, err := Chain(r, o, a.Parent)
	if err != nil {
		return nil, err
	}
	m := &Member{
		OrgID: o.ID, ManagementAccount: o.Management, Management: account == o.Management, Status: a.Status,
		Paths: []string{o.ID + "/" + strings.Join(chain, "/") + "/"},
	}
	if slices.Contains(o.Types, TagPolicy) {
		docs, updated, err := Inherited(r, o, a, TagPolicy)
		if err != nil {
			return nil, err
		}
		if !updated.IsZero() {
			effective, err := Effective(TagPolicy, docs)
			if err != nil {
				return nil, err
			}
			if m.Tags, err = compileTags(effective); err != nil {
				return nil, err
			}
		}
	}
	if m.Management {
		return m, nil
	}
	levels := append(chain, account)
	if m.SCP, err = d.levels(ctx, r, o, levels, ServiceControl, policy.SCP); err != nil {
		return nil, err
	}
	if m.RCP, err = d.levels(ctx, r, o, levels, ResourceControl, policy.RCP); err != nil {
		return nil, err
	}
	return m, nil
}

// levels compiles the policies of a type that are attached to each of the targets.
func (d *Directory) levels(ctx context.Context, r store.Reader, o *Organization, targets []string, policyType string, kind policy.Kind) ([][]*policy.Policy, error) {
	if !slices.Contains(o.Types, policyType) {
		return nil, nil
	}
	levels := make([][]*policy.Policy, len(targets))
	for i, target := range targets {
		docs, err := Attached(r, o, target, policyType)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			p, err := d.compiled.Get(ctx, document{kind, o.PolicyARN(d.partition, doc), doc.Content})
			if err != nil {
				return nil, fmt.Errorf("compiling policy %s: %w", doc.ID, err)
			}
			levels[i] = append(levels[i], p)
		}
	}
	return levels, nil
}

// Attached returns the policies of a type that are attached to a root, a unit or an account, in order of their IDs.
func Attached(r store.Reader, o *Organization, target, policyType string) ([]*Policy, error) {
	var found []*Policy
	for at, err := range Attachments.In(o.Management, "").Scan(r, store.Query{Prefix: store.Key{target, policyType}}) {
		if err != nil {
			return nil, err
		}
		p, err := Find(r, o, at.Policy)
		if err != nil {
			return nil, fmt.Errorf("reading policy %s: %w", at.Policy, err)
		}
		found = append(found, p)
	}
	return found, nil
}

// Find returns a policy of an organization or of AWS, or store.ErrNotFound.
func Find(r store.Reader, o *Organization, id string) (*Policy, error) {
	if p := Managed(id); p != nil {
		return p, nil
	}
	return Policies.In(o.Management, "").Get(r, id)
}
