package cloudtrail

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxTrails is how many trails show in a region of an account: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html
const maxTrails = 5

// CreateTrail makes a trail. It does not log before StartLogging.
func (s *Service) CreateTrail(c *call.Call, in *cloudtrail.CreateTrailRequest) (*cloudtrail.CreateTrailResponse, error) {
	if err := checkName(optional.Value(in.Name)); err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.TagsList)
	if err != nil {
		return nil, err
	}
	t := &trailRecord{
		Account: c.Scope.Account, Region: c.Scope.Region, Name: optional.Value(in.Name), Created: c.Time, Bucket: optional.Value(in.S3BucketName), Prefix: optional.Value(in.S3KeyPrefix),
		MultiRegion: optional.Value(in.IsMultiRegionTrail), GlobalEvents: in.IncludeGlobalServiceEvents == nil || *in.IncludeGlobalServiceEvents,
		Validation: optional.Value(in.EnableLogFileValidation),
	}
	var o *org
	var problem error
	if optional.Value(in.IsOrganizationTrail) {
		// Whose trail it would be decides on its ARN. What keeps the caller from making one is told to those who may ask.
		if o, problem = forTrail(c); problem == nil {
			t.Account, t.Organization = o.Management, o.ID
		}
	}
	arn := t.arn(s.cfg.Partition)
	if err := s.ask(c, trailType, t.Account, arn, nil, tags, nil); err != nil {
		return nil, err
	}
	if problem != nil {
		return nil, problem
	}
	if t.Topic, err = topicARN(c, t, optional.Value(in.SnsTopicName)); err != nil {
		return nil, err
	}
	t.LogGroup, t.LogRole = optional.Value(in.CloudWatchLogsLogGroupArn), optional.Value(in.CloudWatchLogsRoleArn)
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := t.unique(c); err != nil {
		return nil, err
	}
	if t.Key, err = s.encryptionKey(c, arn, optional.Value(in.KmsKeyId)); err != nil {
		return nil, err
	}
	if err := s.reachAll(c, t); err != nil {
		return nil, err
	}
	if err := trailTable.In(t.Account, t.Region).Insert(c.Tx(), t); err != nil {
		return nil, err
	}
	if err := putTags(c.Tx(), t.Account, t.Region, arn, tags); err != nil {
		return nil, err
	}
	return &cloudtrail.CreateTrailResponse{
		Name: &t.Name, TrailARN: &arn, S3BucketName: &t.Bucket, S3KeyPrefix: some(t.Prefix), KmsKeyId: some(t.Key), IncludeGlobalServiceEvents: &t.GlobalEvents,
		IsMultiRegionTrail: &t.MultiRegion, LogFileValidationEnabled: &t.Validation, IsOrganizationTrail: new(t.Organization != ""),
		SnsTopicName: t.topicName(), SnsTopicARN: some(t.Topic), CloudWatchLogsLogGroupArn: some(t.LogGroup), CloudWatchLogsRoleArn: some(t.LogRole),
	}, nil
}

// check says what is wrong with what a trail is to be.
func (t *trailRecord) check() error {
	if err := checkBucket(t.Bucket); err != nil {
		return err
	}
	if err := checkPrefix(t.Prefix); err != nil {
		return err
	}
	if t.MultiRegion && !t.GlobalEvents {
		return &cloudtrail.InvalidParameterCombinationException{Message: "Multi-Region trail must include global service events."}
	}
	return nil
}

// unique refuses a new trail where one of its name shows already, or too many do.
func (t *trailRecord) unique(c *call.Call) error {
	all, err := visibleTo(c, t.Account)
	if err != nil {
		return err
	}
	everywhere, home := 0, map[string]int{t.Region: 0} // trails, by region: those that show in all of them, and others
	for _, other := range all {
		if other.MultiRegion {
			everywhere++
		} else {
			home[other.Region]++
		}
		if other.Name == t.Name && other.Account == t.Account && (other.Region == t.Region || other.MultiRegion) {
			return &cloudtrail.TrailAlreadyExistsException{Message: "Trail " + t.Name + " already exists for customer: " + t.Account}
		}
	}
	for region, n := range home {
		if n+everywhere >= maxTrails && (region == t.Region || t.MultiRegion) {
			return &cloudtrail.MaximumNumberOfTrailsExceededException{Message: fmt.Sprintf("User: %s already has %d trails in %s.", t.Account, maxTrails, region)}
		}
	}
	return nil
}

// UpdateTrail changes what the request names of a trail.
func (s *Service) UpdateTrail(c *call.Call, in *cloudtrail.UpdateTrailRequest) (*cloudtrail.UpdateTrailResponse, error) {
	t, err := s.change(c, in.Name)
	if err != nil {
		return nil, err
	}
	was, arn := *t, t.arn(s.cfg.Partition)
	set(&t.Bucket, in.S3BucketName)
	set(&t.Prefix, in.S3KeyPrefix)
	set(&t.MultiRegion, in.IsMultiRegionTrail)
	set(&t.GlobalEvents, in.IncludeGlobalServiceEvents)
	set(&t.Validation, in.EnableLogFileValidation)
	set(&t.LogGroup, in.CloudWatchLogsLogGroupArn)
	set(&t.LogRole, in.CloudWatchLogsRoleArn)
	if in.SnsTopicName != nil {
		if t.Topic, err = topicARN(c, t, *in.SnsTopicName); err != nil {
			return nil, err
		}
	}
	if in.IsOrganizationTrail != nil {
		if err := t.convert(c, *in.IsOrganizationTrail); err != nil {
			return nil, err
		}
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	if in.KmsKeyId != nil {
		if t.Key, err = s.encryptionKey(c, arn, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	if t.Bucket != was.Bucket || t.Prefix != was.Prefix || t.Key != was.Key || t.Organization != was.Organization {
		if err := s.reach(c, t); err != nil {
			return nil, err
		}
	}
	if t.Topic != was.Topic {
		if err := s.reachTopic(c, t); err != nil {
			return nil, err
		}
	}
	if t.LogGroup != was.LogGroup || t.LogRole != was.LogRole {
		if err := s.reachLogs(c, t); err != nil {
			return nil, err
		}
	}
	if err := s.retryDelivery(c, t); err != nil {
		return nil, err
	}
	if err := trailTable.In(t.Account, t.Region).Put(c.Tx(), t); err != nil {
		return nil, err
	}
	return &cloudtrail.UpdateTrailResponse{
		Name: &t.Name, TrailARN: &arn, S3BucketName: &t.Bucket, S3KeyPrefix: some(t.Prefix), KmsKeyId: some(t.Key), IncludeGlobalServiceEvents: &t.GlobalEvents,
		IsMultiRegionTrail: &t.MultiRegion, LogFileValidationEnabled: &t.Validation, IsOrganizationTrail: new(t.Organization != ""),
		SnsTopicName: t.topicName(), SnsTopicARN: some(t.Topic), CloudWatchLogsLogGroupArn: some(t.LogGroup), CloudWatchLogsRoleArn: some(t.LogRole),
	}, nil
}

// convert makes the trail one of the organization, or one of the management account alone.
func (t *trailRecord) convert(c *call.Call, shared bool) error {
	if shared == (t.Organization != "") {
		return nil
	}
	if t.Account != c.Scope.Account {
		return &cloudtrail.NotOrganizationMasterAccountException{Message: "Only the management account of the organization can convert its trails."}
	}
	if !shared {
		t.Organization = ""
		return nil
	}
	o, err := forTrail(c)
	if err != nil {
		return err
	}
	if o.Management != t.Account {
		return &cloudtrail.NotOrganizationMasterAccountException{Message: "Only the management account of the organization can convert its trails."}
	}
	t.Organization = o.ID
	return nil
}

// DeleteTrail removes a trail. What it logged is still delivered.
func (s *Service) DeleteTrail(c *call.Call, in *cloudtrail.DeleteTrailRequest) (*cloudtrail.DeleteTrailResponse, error) {
	t, err := s.change(c, in.Name)
	if err != nil {
		return nil, err
	}
	if err := s.endDelivery(c, t); err != nil {
		return nil, err
	}
	err = errors.Join(
		trailTable.In(t.Account, t.Region).Delete(c.Tx(), t.Name),
		putTags(c.Tx(), t.Account, t.Region, t.arn(s.cfg.Partition), nil),
		store.IgnoreNotFound(statusTable.In(t.Account, t.Region).Delete(c.Tx(), t.Name)),
	)
	return &cloudtrail.DeleteTrailResponse{}, err
}

// StartLogging has a trail log from now on.
func (s *Service) StartLogging(c *call.Call, in *cloudtrail.StartLoggingRequest) (*cloudtrail.StartLoggingResponse, error) {
	t, err := s.change(c, in.Name)
	if err != nil || t.Logging {
		return &cloudtrail.StartLoggingResponse{}, err
	}
	t.Logging, t.Started = true, c.Time
	if err := errors.Join(s.startDelivery(c, t), s.watch(c, t)); err != nil {
		return nil, err
	}
	return &cloudtrail.StartLoggingResponse{}, trailTable.In(t.Account, t.Region).Put(c.Tx(), t)
}

// StopLogging ends what StartLogging began.
func (s *Service) StopLogging(c *call.Call, in *cloudtrail.StopLoggingRequest) (*cloudtrail.StopLoggingResponse, error) {
	t, err := s.change(c, in.Name)
	if err != nil || !t.Logging {
		return &cloudtrail.StopLoggingResponse{}, err
	}
	t.Logging, t.Stopped = false, c.Time
	if err := s.stopDelivery(c, t); err != nil {
		return nil, err
	}
	return &cloudtrail.StopLoggingResponse{}, trailTable.In(t.Account, t.Region).Put(c.Tx(), t)
}

// set changes what a request gives.
func set[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}
