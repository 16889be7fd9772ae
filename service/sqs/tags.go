package sqs

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
)

const maxTags = 50

// checkTags holds the tags of a request against what AWS lets tags be: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
func checkTags(tags map[string]string) error {
	for key, value := range tags {
		switch {
		case key == "" || utf8.RuneCountInString(key) > 128:
			return invalidValue(key, "Tag.Key", "Tag keys must be between 1 and 128 characters in length.")
		case utf8.RuneCountInString(value) > 256:
			return invalidValue(value, "Tag.Value", "Tag values must be between 0 and 256 characters in length.")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalidValue(key, "Tag.Key", "Tag keys must not begin with aws:, which is reserved.")
		}
	}
	if len(tags) > maxTags {
		return tooManyTags()
	}
	return nil
}

func tooManyTags() error { return invalid("Too many tags added. A queue can have at most 50 tags.") }

// TagQueue adds tags to a queue.
func (s *Service) TagQueue(c *call.Call, in *sqs.TagQueueRequest) (*sqs.TagQueueResponse, error) {
	q, err := s.findFor(c, in.QueueUrl, in.Tags)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, missing("Tags")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	tags := make(map[string]string)
	maps.Copy(tags, q.Tags)
	maps.Copy(tags, in.Tags)
	q.Tags = tags
	if len(q.Tags) > maxTags {
		return nil, tooManyTags()
	}
	return &sqs.TagQueueResponse{}, q.put()
}

// UntagQueue takes tags from a queue.
func (s *Service) UntagQueue(c *call.Call, in *sqs.UntagQueueRequest) (*sqs.UntagQueueResponse, error) {
	q, err := s.findFor(c, in.QueueUrl, nil, in.TagKeys...)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, invalid("Tag keys must be between 1 and 128 characters in length.")
	}
	q.Tags = maps.Clone(q.Tags)
	for _, key := range in.TagKeys {
		delete(q.Tags, key)
	}
	return &sqs.UntagQueueResponse{}, q.put()
}

// ListQueueTags lists the tags of a queue.
func (s *Service) ListQueueTags(c *call.Call, in *sqs.ListQueueTagsRequest) (*sqs.ListQueueTagsResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return &sqs.ListQueueTagsResult{Tags: q.Tags}, nil
}
