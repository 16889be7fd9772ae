package cloudtrail_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func TestTags(t *testing.T) {
	w := start(t)
	w.trail("some", func(in *cloudtrail.CreateTrailInput) { in.TagsList = []types.Tag{tag("b", "1")} })
	arn := w.arn("some")
	add := func(arn string, tags ...types.Tag) error {
		_, err := w.AddTags(t.Context(), &cloudtrail.AddTagsInput{ResourceId: &arn, TagsList: tags})
		return err
	}
	list := func() []types.Tag {
		t.Helper()
		return must(w.ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}}))(t).ResourceTagList[0].TagsList
	}
	if err := add(arn, tag("a", "2"), tag("b", "3")); err != nil {
		t.Fatal(err)
	}
	shape(t, list(), []types.Tag{tag("a", "2"), tag("b", "3")})
	must(w.RemoveTags(t.Context(), &cloudtrail.RemoveTagsInput{ResourceId: &arn, TagsList: []types.Tag{{Key: aws.String("b")}, {Key: aws.String("c")}}}))(t)
	shape(t, list(), []types.Tag{tag("a", "2")})
	fails(t, add(arn, tag("aws:x", "")), "InvalidTagParameterException", "")
	fails(t, add(arn, tag("x", "1"), tag("x", "2")), "InvalidTagParameterException", "")
	fails(t, add(arn, manyTags(50)...), "TagsLimitExceededException", "")
	fails(t, add("some", tag("x", "1")), "CloudTrailARNInvalidException", "")
	const at = "arn:aws:cloudtrail:us-east-1:111122223333:"
	for id, code := range map[string]string{
		at + "trail/none": "ResourceNotFoundException", at + "trail/a": "InvalidTrailNameException", at + "eventdatastore/x": "EventDataStoreNotFoundException",
		at + "channel/x": "ChannelNotFoundException", at + "dashboard/x": "ResourceNotFoundException", at + "lunch/x": "ResourceTypeNotSupportedException",
	} {
		fails(t, add(id, tag("x", "1")), code, "")
		_, err := w.RemoveTags(t.Context(), &cloudtrail.RemoveTagsInput{ResourceId: &id, TagsList: []types.Tag{tag("x", "1")}})
		fails(t, err, code, "")
		if code == "ChannelNotFoundException" {
			code = "ResourceNotFoundException"
		}
		_, err = w.ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn, id}})
		fails(t, err, code, "")
	}
	shape(t, list(), []types.Tag{tag("a", "2")})
	_, err := w.root(other).ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}})
	fails(t, err, "ResourceNotFoundException", "")
}

// Tags decide for whoever is allowed by them.
func TestTagConditions(t *testing.T) {
	w := start(t)
	w.trail("blue", func(in *cloudtrail.CreateTrailInput) { in.TagsList = []types.Tag{tag("team", "blue")} })
	w.trail("red", func(in *cloudtrail.CreateTrailInput) { in.TagsList = []types.Tag{tag("team", "red")} })
	ann := cloudtrail.NewFromConfig(w.User(w.Account, "ann", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["cloudtrail:StartLogging","cloudtrail:GetTrail"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}},
		{"Effect":"Allow","Action":["cloudtrail:CreateTrail","cloudtrail:AddTags"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"blue"},"ForAllValues:StringEquals":{"aws:TagKeys":"team"}}},
		{"Effect":"Allow","Action":"cloudtrail:RemoveTags","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"other"}}}]}`))
	if _, err := ann.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("blue")}); err != nil {
		t.Error(err)
	}
	_, err := ann.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("red")})
	fails(t, err, "AccessDeniedException", "")
	_, err = ann.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("none")})
	fails(t, err, "AccessDeniedException", "")
	create := func(name string, tags ...types.Tag) error {
		_, err := ann.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: aws.String(logs), TagsList: tags})
		return err
	}
	if err := create("blue2", tag("team", "blue")); err != nil {
		t.Error(err)
	}
	fails(t, create("red2", tag("team", "red")), "AccessDeniedException", "")
	fails(t, create("plain"), "AccessDeniedException", "")
	fails(t, create("more", tag("team", "blue"), tag("x", "y")), "AccessDeniedException", "")
	red := w.arn("red")
	if _, err := ann.AddTags(t.Context(), &cloudtrail.AddTagsInput{ResourceId: &red, TagsList: []types.Tag{tag("team", "blue")}}); err != nil {
		t.Error(err)
	}
	_, err = ann.RemoveTags(t.Context(), &cloudtrail.RemoveTagsInput{ResourceId: &red, TagsList: []types.Tag{tag("team", "blue")}})
	fails(t, err, "AccessDeniedException", "")
}
