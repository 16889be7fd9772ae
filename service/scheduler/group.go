package scheduler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// defaultGroup is there without a record, until it is tagged or another one is made.
	defaultGroup = "default"

	groupType = "AWS::Scheduler::ScheduleGroup"

	// maxGroups is the quota of groups in a region, with the default one: https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html
	maxGroups = 500

	// deletedAtOnce is how many schedules of a group are deleted in one transaction.
	deletedAtOnce = 200
)

// findGroup returns a group of the caller's account, or nil. The default group is always there.
func findGroup(c *call.Call, name string) (*groupRecord, error) {
	g, err := groupTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	switch {
	case errors.Is(err, store.ErrNotFound) && name == defaultGroup:
		return &groupRecord{Name: defaultGroup}, nil
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("loading group %s: %w", name, err)
	}
	return g, nil
}

// group finds and authorizes a group of the caller's account.
func (s *Service) group(c *call.Call, name string) (*groupRecord, error) {
	g, err := findGroup(c, name)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(groupResource(groupARN(c.Scope, name), g)); err != nil {
		return nil, err
	}
	if g == nil {
		return nil, noGroup(name)
	}
	return g, nil
}

// groupResource is a group as permission is asked for it; g is nil where none is there.
func groupResource(arn string, g *groupRecord) *call.Resource {
	r := &call.Resource{ARN: arn, Type: groupType}
	if g != nil {
		r.Tags = g.Tags
	}
	return r
}

func noGroup(name string) error { return notFound("Schedule group %s does not exist.", name) }

// CreateScheduleGroup makes a group.
func (s *Service) CreateScheduleGroup(c *call.Call, in *scheduler.CreateScheduleGroupInput) (*scheduler.CreateScheduleGroupOutput, error) {
	name := *in.Name
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r := groupResource(groupARN(c.Scope, name), nil)
	r.RequestTags = tags
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	out := &scheduler.CreateScheduleGroupOutput{ScheduleGroupArn: &r.ARN}
	there, err := findGroup(c, name)
	if err != nil {
		return nil, err
	}
	if there != nil {
		if same, err := s.askedBefore(there.Asked, r.ARN, in.ClientToken, in); err != nil || same && !there.Deleting {
			return out, err
		}
		return nil, conflict("Schedule group %s already exists.", name)
	}
	rows := groupTable.In(c.Scope.Account, c.Scope.Region)
	// The default group has a record where others have, so that a listing finds it.
	d, err := findGroup(c, defaultGroup)
	if err != nil {
		return nil, err
	}
	if err := rows.Put(c.Tx(), d); err != nil {
		return nil, err
	}
	if n, err := rows.Count(c.Tx(), store.Query{Limit: maxGroups}); err != nil || n == maxGroups {
		if err == nil {
			err = &scheduler.ServiceQuotaExceededException{Message: fmt.Sprintf("The account has %d schedule groups in the region, which is the most that it may have.", n)}
		}
		return nil, err
	}
	g := &groupRecord{Name: name, Created: c.Time, Modified: c.Time, Tags: tags}
	if g.Asked, err = s.asking(r.ARN, in.ClientToken, in); err != nil {
		return nil, err
	}
	return out, rows.Insert(c.Tx(), g)
}

// GetScheduleGroup tells of a group.
func (s *Service) GetScheduleGroup(c *call.Call, in *scheduler.GetScheduleGroupInput) (*scheduler.GetScheduleGroupOutput, error) {
	g, err := s.group(c, *in.Name)
	if err != nil {
		return nil, err
	}
	return &scheduler.GetScheduleGroupOutput{
		Arn: new(g.arn(c.Scope)), CreationDate: optional.NonZero(g.Created), LastModificationDate: optional.NonZero(g.Modified), Name: &g.Name, State: g.state(),
	}, nil
}

func (g *groupRecord) state() scheduler.ScheduleGroupState {
	if g.Deleting {
		return scheduler.ScheduleGroupStateDeleting
	}
	return scheduler.ScheduleGroupStateActive
}

// ListScheduleGroups lists the groups of an account in a region by their names.
func (s *Service) ListScheduleGroups(c *call.Call, in *scheduler.ListScheduleGroupsInput) (*scheduler.ListScheduleGroupsOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	prefix := optional.Value(in.NamePrefix)
	records, next, err := page(c, groupTable, store.Query{Prefix: store.Key{store.Begin(prefix)}}, in.NextToken, in.MaxResults, "", nil)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 && in.NextToken == nil && strings.HasPrefix(defaultGroup, prefix) {
		records = []*groupRecord{{Name: defaultGroup}}
	}
	out := &scheduler.ListScheduleGroupsOutput{ScheduleGroups: []scheduler.ScheduleGroupSummary{}, NextToken: next}
	for _, g := range records {
		out.ScheduleGroups = append(out.ScheduleGroups, scheduler.ScheduleGroupSummary{
			Arn: new(g.arn(c.Scope)), CreationDate: optional.NonZero(g.Created), LastModificationDate: optional.NonZero(g.Modified), Name: &g.Name, State: g.state(),
		})
	}
	return out, nil
}

// DeleteScheduleGroup begins to delete a group and its schedules.
func (s *Service) DeleteScheduleGroup(c *call.Call, in *scheduler.DeleteScheduleGroupInput) (*scheduler.DeleteScheduleGroupOutput, error) {
	name := *in.Name
	g, err := s.group(c, name)
	switch {
	case isNotFound(err):
		if before, lookup := deletedBefore(c, "group", name, in.ClientToken); lookup != nil || before {
			return &scheduler.DeleteScheduleGroupOutput{}, lookup
		}
		return nil, err
	case err != nil:
		return nil, err
	case name == defaultGroup:
		return nil, invalid("The default schedule group cannot be deleted.")
	case g.Deleting:
		if before, err := deletedBefore(c, "group", name, in.ClientToken); err != nil || before {
			return &scheduler.DeleteScheduleGroupOutput{}, err
		}
		return nil, beingDeleted(name)
	}
	g.Deleting, g.Modified = true, c.Time
	if err := groupTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), g); err != nil {
		return nil, err
	}
	if err := rememberDeleted(c, "group", name, in.ClientToken); err != nil {
		return nil, err
	}
	return &scheduler.DeleteScheduleGroupOutput{}, c.At(c.Time, c.Scope, groupTimer, name, nil)
}

func beingDeleted(group string) error { return conflict("Schedule group %s is being deleted.", group) }

// deleteSchedules deletes some schedules of a group, until there are none, and then the group.
func (s *Service) deleteSchedules(c *call.Call, group string, _ []byte) error {
	rows := scheduleTable.In(c.Scope.Account, c.Scope.Region)
	n := 0
	for r, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{group}, Limit: deletedAtOnce}) {
		if err != nil {
			return fmt.Errorf("deleting the schedules of group %s: %w", group, err)
		}
		if err := remove(c, r); err != nil {
			return err
		}
		n++
	}
	if n == deletedAtOnce {
		return c.At(c.Time, c.Scope, groupTimer, group, nil)
	}
	err := groupTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), group)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// page returns the next records of a listing. See store.Rows.Page for filters and keep.
func page[R any](c *call.Call, t *store.Table[R], q store.Query, token *string, limit *int32, filters string, keep func(*R) bool) ([]*R, *string, error) {
	q.Limit = 100
	if limit != nil {
		q.Limit = int(*limit)
	}
	records, next, err := t.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(token), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, nil, invalid("Invalid NextToken.")
	}
	return records, optional.NonZero(next), err
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*scheduler.ResourceNotFoundException](err)
	return ok
}
