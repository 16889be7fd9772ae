package cloudtrail

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

// show is a trail as the API shows it.
func (s *Service) show(t *trailRecord) cloudtrail.Trail {
	return cloudtrail.Trail{
		Name: &t.Name, TrailARN: new(t.arn(s.cfg.Partition)), HomeRegion: &t.Region, S3BucketName: &t.Bucket, S3KeyPrefix: some(t.Prefix), KmsKeyId: some(t.Key),
		IncludeGlobalServiceEvents: &t.GlobalEvents, IsMultiRegionTrail: &t.MultiRegion, LogFileValidationEnabled: &t.Validation,
		IsOrganizationTrail: new(t.Organization != ""), HasCustomEventSelectors: new(t.custom()), HasInsightSelectors: new(len(t.Insights) > 0),
		SnsTopicName: t.topicName(), SnsTopicARN: some(t.Topic), CloudWatchLogsLogGroupArn: some(t.LogGroup), CloudWatchLogsRoleArn: some(t.LogRole),
	}
}

// custom reports whether the trail has other events than one that was never told which.
func (t *trailRecord) custom() bool {
	if t.Advanced != nil {
		return true
	}
	b := t.basic()
	return len(b) != 1 || !b[0].Management || b[0].ReadWrite != eventselect.All || len(b[0].Data) > 0 || len(b[0].Excluded) > 0
}

// GetTrail shows a trail.
func (s *Service) GetTrail(c *call.Call, in *cloudtrail.GetTrailRequest) (*cloudtrail.GetTrailResponse, error) {
	t, err := s.look(c, in.Name)
	if err != nil {
		return nil, err
	}
	return &cloudtrail.GetTrailResponse{Trail: new(s.show(t))}, nil
}

// DescribeTrails shows the trails of a region: those that have their home there, and unless they are left out, those that reach it from another one or from the organization.
// Those that are named by their ARNs may be anywhere.
func (s *Service) DescribeTrails(c *call.Call, in *cloudtrail.DescribeTrailsRequest) (*cloudtrail.DescribeTrailsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	all, err := visible(c)
	if err != nil {
		return nil, err
	}
	asked := make([]named, len(in.TrailNameList))
	for i, id := range in.TrailNameList {
		if asked[i], err = s.named(c, id); err != nil {
			return nil, err
		}
	}
	shadows := in.IncludeShadowTrails == nil || *in.IncludeShadowTrails
	wanted := func(t *trailRecord) bool {
		home := t.Account == c.Scope.Account && t.Region == c.Scope.Region
		if len(asked) == 0 {
			return home || shadows && (t.MultiRegion || t.Region == c.Scope.Region)
		}
		return slices.ContainsFunc(asked, func(n named) bool { return n.account == t.Account && n.region == t.Region && n.name == t.Name })
	}
	out := &cloudtrail.DescribeTrailsResponse{TrailList: []cloudtrail.Trail{}}
	for _, t := range all {
		if wanted(t) {
			out.TrailList = append(out.TrailList, s.show(t))
		}
	}
	return out, nil
}

// ListTrails lists the account's trails of all regions, and its organization's. There are few enough for one page.
func (s *Service) ListTrails(c *call.Call, _ *cloudtrail.ListTrailsRequest) (*cloudtrail.ListTrailsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	all, err := visible(c)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.ListTrailsResponse{Trails: make([]cloudtrail.TrailInfo, len(all))}
	for i, t := range all {
		out.Trails[i] = cloudtrail.TrailInfo{Name: &t.Name, TrailARN: new(t.arn(s.cfg.Partition)), HomeRegion: &t.Region}
	}
	return out, nil
}

// GetTrailStatus tells whether a trail logs, and how its delivery does.
func (s *Service) GetTrailStatus(c *call.Call, in *cloudtrail.GetTrailStatusRequest) (*cloudtrail.GetTrailStatusResponse, error) {
	t, err := s.look(c, in.Name)
	if err != nil {
		return nil, err
	}
	st, err := statusTable.In(t.Account, t.Region).Get(c.Tx(), t.Name)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if err != nil {
		st = &statusRecord{}
	}
	notify, err := waitsFor(c, t, topicLane)
	if err != nil {
		return nil, err
	}
	send, err := waitsFor(c, t, logsLane)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.GetTrailStatusResponse{
		LatestNotificationTime: at(st.Notified), LatestNotificationError: some(cmp.Or(notify, st.NotifyError)),
		LatestCloudWatchLogsDeliveryTime: at(st.Logged), LatestCloudWatchLogsDeliveryError: some(cmp.Or(send, st.LogError)),
		IsLogging: &t.Logging, StartLoggingTime: at(t.Started), StopLoggingTime: at(t.Stopped),
		LatestDeliveryTime: at(st.Delivered), LatestDeliveryError: some(st.Error), LatestDigestDeliveryTime: at(st.DigestDelivered), LatestDigestDeliveryError: some(st.DigestError),
		// These are not in use any more, and still answered.
		TimeLoggingStarted: new(said(t.Started)), TimeLoggingStopped: new(said(t.Stopped)), LatestDeliveryAttemptTime: new(said(st.Attempt)),
		LatestDeliveryAttemptSucceeded: new(said(st.Succeeded)), LatestNotificationAttemptTime: new(said(st.Notified)), LatestNotificationAttemptSucceeded: new(said(st.Notified)),
	}
	return out, nil
}

// at is nil for no time.
func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// said is a time in words, "" for none.
func said(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
