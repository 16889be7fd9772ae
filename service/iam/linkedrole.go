package iam

import (
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// linked is what a service's linked role is made of.
type linked struct {
	service string // that may assume the role, without the partition's domain
	name    string // of the role, after AWSServiceRoleFor
	policy  string // AWS's managed policy that the role has; empty if it is not among ours
	suffix  bool   // there can be several, told apart by a suffix
}

// linkedRoles are the service-linked roles that there can be:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
var linkedRoles = [...]linked{
	{service: "access-analyzer", name: "AccessAnalyzer", policy: "AccessAnalyzerServiceRolePolicy"},
	{service: "acm", name: "CertificateManager", policy: "CertificateManagerServiceRolePolicy"},
	{service: "agentless.inspector2", name: "AmazonInspector2Agentless", policy: "AmazonInspector2AgentlessServiceRolePolicy"},
	{service: "apidestinations.events", name: "AmazonEventBridgeApiDestinations", policy: "AmazonEventBridgeApiDestinationsServiceRolePolicy"},
	{service: "appsync", name: "AppSync", policy: "AWSAppSyncServiceRolePolicy"},
	{service: "autoscaling", name: "AutoScaling", suffix: true},
	{service: "batch", name: "Batch"},
	{service: "cks.kms", name: "KeyManagementServiceCustomKeyStores", policy: "AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy"},
	{service: "cloudhsm", name: "CloudHSM", policy: "CloudHSMServiceRolePolicy"},
	{service: "cloudtrail", name: "CloudTrail", policy: "CloudTrailServiceRolePolicy"},
	{service: "cognito-idp", name: "AmazonCognitoIdp", policy: "AmazonCognitoIdpServiceRolePolicy"},
	{service: "config", name: "Config", policy: "AWSConfigServiceRolePolicy"},
	{service: "config-conforms", name: "ConfigConforms", policy: "ConfigConformsServiceRolePolicy"},
	{service: "delivery.logs", name: "LogDelivery", policy: "AWSServiceRoleForLogDeliveryPolicy"},
	{service: "detective", name: "Detective", policy: "AmazonDetectiveServiceLinkedRolePolicy"},
	{service: "ecs", name: "ECS"},
	{service: "eks", name: "AmazonEKS"},
	{service: "eks-nodegroup", name: "AmazonEKSNodegroup"},
	{service: "elasticache", name: "ElastiCache"},
	{service: "elasticloadbalancing", name: "ElasticLoadBalancing", policy: "AWSElasticLoadBalancingServiceRolePolicy"},
	{service: "email.cognito-idp", name: "AmazonCognitoIdpEmailService", policy: "AmazonCognitoIdpEmailServiceRolePolicy"},
	{service: "event-processor.health", name: "Health_EventProcessor", policy: "AWSHealth_EventProcessorServiceRolePolicy"},
	{service: "events", name: "CloudWatchEvents", policy: "CloudWatchEventsServiceRolePolicy"},
	{service: "fms", name: "FMS", policy: "FMSServiceRolePolicy"},
	{service: "guardduty", name: "AmazonGuardDuty", policy: "AmazonGuardDutyServiceRolePolicy"},
	{service: "inspector2", name: "AmazonInspector2", policy: "AmazonInspector2ServiceRolePolicy"},
	{service: "kinesisreplication.dynamodb", name: "DynamoDBKinesisDataStreamsReplication", policy: "DynamoDBKinesisReplicationServiceRolePolicy"},
	{service: "logger.cloudfront", name: "CloudFrontLogger", policy: "AWSCloudFrontLogger"},
	{service: "macie", name: "AmazonMacie", policy: "AmazonMacieServiceRolePolicy"},
	{service: "malware-protection.guardduty", name: "AmazonGuardDutyMalwareProtection", policy: "AmazonGuardDutyMalwareProtectionServiceRolePolicy"},
	{service: "mrk.kms", name: "KeyManagementServiceMultiRegionKeys", policy: "AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy"},
	{service: "opensearchservice", name: "AmazonOpenSearchService"},
	{service: "ops.apigateway", name: "APIGateway", policy: "APIGatewayServiceRolePolicy"},
	{service: "organizations", name: "Organizations", policy: "AWSOrganizationsServiceTrustPolicy"},
	{service: "pullthroughcache.ecr", name: "ECRPullThroughCache", policy: "AWSECRPullThroughCache_ServiceRolePolicy"},
	{service: "rds", name: "RDS", policy: "AmazonRDSServiceRolePolicy"},
	{service: "remediation.config", name: "ConfigRemediation", policy: "AWSConfigRemediationServiceRolePolicy"},
	{service: "replication.dynamodb", name: "DynamoDBReplication", policy: "DynamoDBReplicationServiceRolePolicy"},
	{service: "replication.ecr", name: "ECRReplication", policy: "ECRReplicationServiceRolePolicy"},
	{service: "replicator.lambda", name: "LambdaReplicator", policy: "AWSLambdaReplicator"},
	{service: "route53resolver", name: "Route53Resolver", policy: "Route53ResolverServiceRolePolicy"},
	{service: "securityhub", name: "SecurityHub", policy: "AWSSecurityHubServiceRolePolicy"},
	{service: "shield", name: "AWSShield", policy: "AWSShieldServiceRolePolicy"},
	{service: "spot", name: "EC2Spot"},
	{service: "spotfleet", name: "EC2SpotFleet"},
	{service: "ssm", name: "AmazonSSM", policy: "AmazonSSMServiceRolePolicy"},
	{service: "storage-lens.s3", name: "S3StorageLens", policy: "S3StorageLensServiceRolePolicy"},
	{service: "wafv2", name: "WAFV2Logging", policy: "WAFV2LoggingServiceRolePolicy"},
}

const (
	linkedPath   = "/aws-service-role/"
	linkedPrefix = "AWSServiceRoleFor"

	// maxRoleName is how long a name may be that the other operations take.
	maxRoleName = 64
)

// linkedTo is the condition key of who may make which roles.
func linkedTo(service string) conditions { return conditions{"iam:awsservicename": service} }

// CreateServiceLinkedRole makes the role with which a service acts in the account.
func (s *Service) CreateServiceLinkedRole(c *call.Call, in *iam.CreateServiceLinkedRoleRequest) (*iam.CreateServiceLinkedRoleResponse, error) {
	service := *in.AWSServiceName
	short, whole := strings.CutSuffix(service, ".amazonaws.com")
	i := slices.IndexFunc(linkedRoles[:], func(l linked) bool { return l.service == short })
	r := &identity.Role{
		Account: c.Scope.Account, Path: linkedPath + service + "/", ID: identity.NewID("AROA"), Description: optional.Value(in.Description), MaxSession: defaultSession,
		LinkedService: service, Created: c.Time,
	}
	if whole && i >= 0 {
		r.Name = linkedPrefix + linkedRoles[i].name
	}
	if in.CustomSuffix != nil {
		r.Name += "_" + *in.CustomSuffix
	}
	if err := s.authorize(c, &call.Resource{ARN: r.ARN(s.cfg.Partition), Type: roleType, Conditions: linkedTo(service)}); err != nil {
		return nil, err
	}
	switch {
	case !whole || i < 0:
		return nil, invalid("Service-linked roles are not supported for %s.", service)
	case in.CustomSuffix != nil && !linkedRoles[i].suffix:
		return nil, invalid("Custom suffix is not allowed for %s", service)
	case len(r.Name) > maxRoleName:
		return nil, invalid("Service role name %s is longer than %d characters.", r.Name, maxRoleName)
	}
	if name := linkedRoles[i].policy; name != "" {
		r.Attached = []string{"arn:" + s.cfg.Partition + ":iam::aws:policy" + linkedPath + name}
	}
	r.Trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
	if _, err := parseDocument(r.Trust, policy.Trust); err != nil {
		return nil, err
	}
	err := insertRole(c, r)
	if _, taken := errors.AsType[*iam.EntityAlreadyExistsException](err); taken {
		return nil, invalid("Service role name %s has been taken in this account, please try a different suffix.", r.Name)
	}
	if err != nil {
		return nil, err
	}
	shown, err := s.roleShape(c, r, roleMade)
	if err != nil {
		return nil, err
	}
	return &iam.CreateServiceLinkedRoleResponse{Role: shown}, nil
}

// deletion remembers that a service-linked role was deleted.
type deletion struct {
	Account string
	ID      string // task/aws-service-role/service/role/...
	Created time.Time
}

// Stored as (see store.Table):
//
//	iam / account // deletion / ID → deletion
var deletions = store.NewTable("iam", "deletion", func(d *deletion) store.Key { return store.Key{d.ID} })

// DeleteServiceLinkedRole deletes a service-linked role. The task is done when it is answered.
func (s *Service) DeleteServiceLinkedRole(c *call.Call, in *iam.DeleteServiceLinkedRoleRequest) (*iam.DeleteServiceLinkedRoleResponse, error) {
	r, err := roles(c).Get(c.Tx(), *in.RoleName)
	there := err == nil && r.LinkedService != ""
	if missing(err) {
		r = &identity.Role{Account: c.Scope.Account, Name: *in.RoleName, Path: linkedPath}
	} else if err != nil {
		return nil, err
	}
	resource := &call.Resource{ARN: r.ARN(s.cfg.Partition), Type: roleType, Tags: r.Tags, Conditions: own(r.Tags, "", linkedTo(r.LinkedService))}
	if err := s.authorize(c, resource); err != nil {
		return nil, err
	}
	if !there {
		return nil, noSuch("role", *in.RoleName)
	}
	var random [16]byte
	if _, err := io.ReadFull(c.Rand, random[:]); err != nil {
		return nil, err
	}
	task := &deletion{c.Scope.Account, "task" + r.Path + r.Name + "/" + hex.EncodeToString(random[:]), c.Time}
	if err := deletions.In(c.Scope.Account, "").Put(c.Tx(), task); err != nil {
		return nil, err
	}
	return &iam.DeleteServiceLinkedRoleResponse{DeletionTaskId: &task.ID}, removeRole(c, r)
}

// GetServiceLinkedRoleDeletionStatus tells that a task has succeeded.
func (s *Service) GetServiceLinkedRoleDeletionStatus(c *call.Call, in *iam.GetServiceLinkedRoleDeletionStatusRequest) (*iam.GetServiceLinkedRoleDeletionStatusResponse, error) {
	// task/aws-service-role/service/role/number
	parts := strings.Split(*in.DeletionTaskId, "/")
	r := &identity.Role{Account: c.Scope.Account, Name: "*"}
	wellFormed := len(parts) == 5 && parts[0] == "task" && "/"+parts[1]+"/" == linkedPath
	if wellFormed {
		r.Name, r.Path, r.LinkedService = parts[3], linkedPath+parts[2]+"/", parts[2]
	}
	if err := s.authorize(c, &call.Resource{ARN: r.ARN(s.cfg.Partition), Type: roleType, Conditions: linkedTo(r.LinkedService)}); err != nil {
		return nil, err
	}
	if !wellFormed {
		return nil, invalid("Deletion Task Id: %s is not valid.", *in.DeletionTaskId)
	}
	_, err := deletions.In(c.Scope.Account, "").Get(c.Tx(), *in.DeletionTaskId)
	if missing(err) {
		return nil, &iam.NoSuchEntityException{Message: "Deletion Task Id: " + *in.DeletionTaskId + " doesn't exist."}
	}
	if err != nil {
		return nil, err
	}
	return &iam.GetServiceLinkedRoleDeletionStatusResponse{Status: iam.DeletionTaskStatusTypeSucceeded}, nil
}
