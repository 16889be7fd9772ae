package logs

import (
	"errors"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// tagAction is what who makes a group with tags needs, too.
const tagAction = "logs:TagResource"

// CreateLogGroup makes a log group.
func (s *Service) CreateLogGroup(c *call.Call, in *logs.CreateLogGroupRequest) (*logs.CreateLogGroupResponse, error) {
	g, err := look(c, optional.Value(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: g.arn() + ":log-stream:", RequestTags: in.Tags}
	if err := s.authorize(g, c.Op.Action, r, ""); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := s.authorize(g, tagAction, &call.Resource{ARN: g.arn(), RequestTags: in.Tags}, ""); err != nil {
			return nil, err
		}
	}
	switch {
	case g.there:
		return nil, &logs.ResourceAlreadyExistsException{Message: "The specified log group already exists"}
	case strings.HasPrefix(g.Name, "aws/"):
		return nil, invalid("Log groups starting with AWS/ are reserved for AWS.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	g.Created, g.Class, g.Protected, g.Tags = c.Time, in.LogGroupClass, optional.Value(in.DeletionProtectionEnabled), in.Tags
	if g.Class == "" {
		g.Class = logs.LogGroupClassStandard
	}
	retention := 0
	if g.Class == logs.LogGroupClassDelivery {
		retention = deliveryRetention
	}
	if g.ID, err = randomID(c.Rand); err != nil {
		return nil, err
	}
	if in.KmsKeyId != nil {
		if err := s.encryptUnder(g, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	if err := g.retain(retention); err != nil {
		return nil, err
	}
	return &logs.CreateLogGroupResponse{}, groupTable.In(g.scope.Account, g.scope.Region).Insert(c.Tx(), g.groupRecord)
}

// DeleteLogGroup deletes a group. What was in it is removed bit by bit, and shows no more.
func (s *Service) DeleteLogGroup(c *call.Call, in *logs.DeleteLogGroupRequest) (*logs.DeleteLogGroupResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	if g.Protected {
		return nil, &logs.ValidationException{Message: "Log group cannot be deleted because deletion protection is enabled."}
	}
	err = errors.Join(
		groupTable.In(g.scope.Account, g.scope.Region).Delete(c.Tx(), g.Name),
		store.IgnoreNotFound(policyTable.In(g.scope.Account, g.scope.Region).Delete(c.Tx(), g.arn())),
		c.Cancel(g.scope, retentionTimer, g.Name),
		s.dropFilters(g),
		g.purge(""),
	)
	return &logs.DeleteLogGroupResponse{}, err
}

// PutLogGroupDeletionProtection protects a group from deletion, or does so no more.
func (s *Service) PutLogGroupDeletionProtection(c *call.Call, in *logs.PutLogGroupDeletionProtectionRequest) (*logs.PutLogGroupDeletionProtectionResponse, error) {
	g, err := s.find(identified(c, nil, in.LogGroupIdentifier))
	if err != nil {
		return nil, err
	}
	g.Protected = optional.Value(in.DeletionProtectionEnabled)
	return &logs.PutLogGroupDeletionProtectionResponse{}, g.save()
}

// retentions are the days that events may be kept: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var retentions = [...]int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// deliveryRetention is how long groups of the class DELIVERY keep events, in days.
const deliveryRetention = 1

// PutRetentionPolicy sets how long a group keeps events.
func (s *Service) PutRetentionPolicy(c *call.Call, in *logs.PutRetentionPolicyRequest) (*logs.PutRetentionPolicyResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	days := int(optional.Value(in.RetentionInDays))
	if !slices.Contains(retentions[:], days) {
		return nil, invalid("Invalid retention days: " + list(days) + ". Valid values are: " + list(retentions[:]...))
	}
	if g.Class == logs.LogGroupClassDelivery {
		return nil, &logs.InvalidParameterException{Message: "The retention of a log group of the class DELIVERY cannot be changed."}
	}
	if err := g.retain(days); err != nil {
		return nil, err
	}
	return &logs.PutRetentionPolicyResponse{}, g.save()
}

// DeleteRetentionPolicy has a group keep events for ever.
func (s *Service) DeleteRetentionPolicy(c *call.Call, in *logs.DeleteRetentionPolicyRequest) (*logs.DeleteRetentionPolicyResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	if g.Class == logs.LogGroupClassDelivery {
		return nil, &logs.InvalidParameterException{Message: "The retention of a log group of the class DELIVERY cannot be changed."}
	}
	if err := g.retain(0); err != nil {
		return nil, err
	}
	return &logs.DeleteRetentionPolicyResponse{}, g.save()
}

// maxListed is how many groups, streams or filters a page has unless fewer are asked for.
const maxListed = 50

// DescribeLogGroups lists groups by name.
func (s *Service) DescribeLogGroups(c *call.Call, in *logs.DescribeLogGroupsRequest) (*logs.DescribeLogGroupsResponse, error) {
	if err := askAll(c); err != nil {
		return nil, err
	}
	if err := unlinked(c, in.IncludeLinkedAccounts, in.AccountIdentifiers); err != nil {
		return nil, err
	}
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 0 {
		return s.describeNamed(c, in)
	}
	pattern := optional.Value(in.LogGroupNamePattern)
	records, next, err := groupTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(),
		store.Query{Prefix: store.Key{store.Begin(optional.Value(in.LogGroupNamePrefix))}, Limit: limitOf(in.Limit, maxListed)},
		optional.Value(in.NextToken), pattern+"\x00"+string(in.LogGroupClass),
		func(g *groupRecord) bool {
			return strings.Contains(g.Name, pattern) && (in.LogGroupClass == "" || in.LogGroupClass == g.Class)
		})
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.DescribeLogGroupsResponse{LogGroups: make([]logs.LogGroup, len(records)), NextToken: optional.NonZero(next)}
	for i, r := range records {
		g := &group{groupRecord: r, c: c, scope: c.Scope, there: true}
		if out.LogGroups[i], err = g.show(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describeNamed lists the groups that a request names; those that are not there are left out.
func (s *Service) describeNamed(c *call.Call, in *logs.DescribeLogGroupsRequest) (*logs.DescribeLogGroupsResponse, error) {
	if in.LogGroupNamePrefix != nil || in.LogGroupNamePattern != nil || in.LogGroupClass != "" {
		return nil, invalid("LogGroup identifiers and other filters are mutually exclusive parameters.")
	}
	out := &logs.DescribeLogGroupsResponse{LogGroups: []logs.LogGroup{}}
	for _, id := range in.LogGroupIdentifiers {
		g, err := identified(c, nil, &id)
		if err != nil {
			return nil, err
		}
		if !g.there {
			continue
		}
		shown, err := g.show()
		if err != nil {
			return nil, err
		}
		out.LogGroups = append(out.LogGroups, shown)
	}
	slices.SortFunc(out.LogGroups, func(a, b logs.LogGroup) int { return strings.Compare(*a.LogGroupName, *b.LogGroupName) })
	return out, nil
}

func (g *group) show() (logs.LogGroup, error) {
	size, err := g.size()
	return logs.LogGroup{
		LogGroupName: &g.Name, CreationTime: new(g.Created.UnixMilli()), RetentionInDays: optional.NonZero(int32(g.Retention)), MetricFilterCount: new(int32(g.Metrics)),
		Arn: new(g.arn() + ":*"), LogGroupArn: new(g.arn()), StoredBytes: &size, KmsKeyId: optional.NonZero(g.Key), LogGroupClass: g.Class, DeletionProtectionEnabled: &g.Protected,
	}, err
}

// unlinked refuses to look into other accounts: a monitoring account, which may, is not built.
func unlinked(c *call.Call, linked *bool, accounts []string) error {
	for _, a := range accounts {
		if a != c.Scope.Account && optional.Value(linked) {
			return &logs.AccessDeniedException{Message: "The account " + a + " is not linked to this account."}
		}
	}
	return nil
}

// limitOf is how many a page is to hold.
func limitOf(asked *int32, most int) int {
	if asked == nil {
		return most
	}
	return min(int(*asked), most)
}

// badToken makes an error of a listing's token.
func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return invalid("The specified nextToken is invalid.")
	}
	return err
}
