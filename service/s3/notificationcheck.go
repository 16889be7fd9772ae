package s3

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	maxDestinations  = 100  // https://docs.aws.amazon.com/general/latest/gr/s3.html#limits_s3
	maxRuleValue     = 1024 // bytes
	maxConfiguration = 255  // characters of an ID
)

// knownEvents are the events that a configuration may name. Those of what this S3 does not have never happen.
var knownEvents = []s3.Event{
	s3.EventS3ReducedRedundancyLostObject, s3.EventS3ObjectCreated, s3.EventS3ObjectCreatedPut, s3.EventS3ObjectCreatedPost, s3.EventS3ObjectCreatedCopy,
	s3.EventS3ObjectCreatedCompleteMultipartUpload, s3.EventS3ObjectRemoved, s3.EventS3ObjectRemovedDelete, s3.EventS3ObjectRemovedDeleteMarkerCreated,
	s3.EventS3ObjectRestore, s3.EventS3ObjectRestorePost, s3.EventS3ObjectRestoreCompleted, s3.EventS3ObjectRestoreDelete, s3.EventS3Replication,
	s3.EventS3ReplicationOperationFailedReplication, s3.EventS3ReplicationOperationNotTracked, s3.EventS3ReplicationOperationMissedThreshold,
	s3.EventS3ReplicationOperationReplicatedAfterThreshold, s3.EventS3LifecycleTransition, s3.EventS3IntelligentTiering, s3.EventS3ObjectAclPut,
	s3.EventS3LifecycleExpiration, s3.EventS3LifecycleExpirationDelete, s3.EventS3LifecycleExpirationDeleteMarkerCreated, s3.EventS3ObjectTagging,
	s3.EventS3ObjectTaggingPut, s3.EventS3ObjectTaggingDelete, s3.EventS3ObjectAnnotation, s3.EventS3ObjectAnnotationPut, s3.EventS3ObjectAnnotationDelete,
}

// notificationsOf checks a configuration as far as it can be without asking anybody, and returns nil for one that tells nobody.
func (b *bucket) notificationsOf(in *s3.NotificationConfiguration) (*notifications, error) {
	if in == nil {
		return nil, malformedXML()
	}
	n := &notifications{EventBridge: in.EventBridgeConfiguration != nil}
	for _, q := range in.QueueConfigurations {
		if err := b.add(n, "Queue", "sqs", q.Id, q.QueueArn, q.Events, q.Filter); err != nil {
			return nil, err
		}
	}
	for _, t := range in.TopicConfigurations {
		if err := b.add(n, "Topic", "sns", t.Id, t.TopicArn, t.Events, t.Filter); err != nil {
			return nil, err
		}
	}
	for _, f := range in.LambdaFunctionConfigurations {
		if err := b.add(n, "CloudFunction", "lambda", f.Id, f.LambdaFunctionArn, f.Events, f.Filter); err != nil {
			return nil, err
		}
	}
	if len(n.Destinations) > maxDestinations {
		return nil, malformedXML()
	}
	if err := n.distinct(); err != nil {
		return nil, err
	}
	if !n.EventBridge && len(n.Destinations) == 0 {
		return nil, nil
	}
	return n, nil
}

func malformedXML() error {
	return fault("MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema")
}

// add checks a destination, which is a kind of thing of a service, and adds it.
func (b *bucket) add(n *notifications, kind, service string, id, destinationARN *string, events []s3.Event, filter *s3.NotificationConfigurationFilter) error {
	d := destination{ID: optional.Value(id), ARN: optional.Value(destinationARN), Events: events}
	switch {
	case len(d.ID) > maxConfiguration:
		return badArgument("ID", d.ID, "ID length should not exceed 255 characters.")
	case len(events) == 0:
		return malformedXML()
	case d.ID == "":
		d.ID = newConfigurationID()
	}
	a, err := arn.Parse(d.ARN)
	if err != nil {
		return badArgument(kind, d.ARN, "The ARN could not be parsed")
	}
	switch {
	case a.Service != service || a.Partition != b.c.Scope.Partition:
		return badArgument(kind, d.ARN, "The ARN is not a valid "+strings.ToLower(kind)+" ARN")
	case a.Region != b.Region:
		return badArgument(kind, d.ARN, "The notification destination service region is not valid for the bucket location constraint")
	case strings.HasSuffix(a.Resource, ".fifo"):
		return unreachable([]refused{{d.ARN, "FIFO " + strings.ToLower(kind) + "s are not supported"}})
	}
	for _, e := range events {
		if !slices.Contains(knownEvents, e) {
			return badArgument("Event", string(e), "A specified event is not supported for notifications.")
		}
	}
	if d.Rules, err = rulesOf(filter); err != nil {
		return err
	}
	n.Destinations = append(n.Destinations, d)
	return nil
}

// rulesOf checks the rules of a filter. Case does not matter in their names.
func rulesOf(filter *s3.NotificationConfigurationFilter) (rules []filterRule, err error) {
	if filter == nil || filter.Key == nil {
		return nil, nil
	}
	for _, r := range filter.Key.FilterRules {
		name := ""
		switch {
		case strings.EqualFold(string(r.Name), prefixRule):
			name = prefixRule
		case strings.EqualFold(string(r.Name), suffixRule):
			name = suffixRule
		default:
			return nil, badArgument("FilterRule.Name", string(r.Name), "filter rule name must be either prefix or suffix")
		}
		value := optional.Value(r.Value)
		switch {
		case slices.ContainsFunc(rules, func(x filterRule) bool { return x.Name == name }):
			return nil, badArgument("FilterRule.Name", string(r.Name), "Cannot specify more than one "+strings.ToLower(name)+" rule in a filter.")
		case len(value) > maxRuleValue:
			return nil, badArgument("FilterRule.Value", value, "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")
		}
		rules = append(rules, filterRule{name, value})
	}
	return rules, nil
}

// distinct refuses configurations of which two would tell of one event.
func (n *notifications) distinct() error {
	for i := range n.Destinations {
		x := &n.Destinations[i]
		for j := range i {
			y := &n.Destinations[j]
			switch {
			case x.ID == y.ID:
				return badArgument("ID", x.ID, "Same ID used for multiple configurations. IDs must be unique")
			case !commonEvent(x, y) || !x.overlaps(y):
			case len(x.Rules) == 0 && len(y.Rules) == 0:
				return badRequestArgument("Configurations overlap. Configurations on the same bucket cannot share a common event type.")
			default:
				return badRequestArgument("Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.")
			}
		}
	}
	return nil
}

func badRequestArgument(message string) error { return fault("InvalidArgument", 400, message) }

func commonEvent(x, y *destination) bool {
	return slices.ContainsFunc(x.Events, func(e s3.Event) bool {
		return slices.ContainsFunc(y.Events, func(f s3.Event) bool { return covers(e, f) || covers(f, e) })
	})
}

// overlaps reports whether a key could be one that both are told of.
func (d *destination) overlaps(o *destination) bool {
	p, q, s, t := d.rule(prefixRule), o.rule(prefixRule), d.rule(suffixRule), o.rule(suffixRule)
	return (strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) && (strings.HasSuffix(s, t) || strings.HasSuffix(t, s))
}

// refused is a destination that cannot be used, and why.
type refused struct{ arn, why string }

// unreachable is S3's error about destinations that cannot be used.
func unreachable(all []refused) error {
	var details []wire.Detail
	for i, r := range all {
		n := strconv.Itoa(i + 1)
		details = append(details, detail("ArgumentName"+n, r.arn), detail("ArgumentValue"+n, r.why))
	}
	return fault("InvalidArgument", 400, "Unable to validate the following destination configurations", details...)
}
