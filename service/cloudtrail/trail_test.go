package cloudtrail_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-cloud/holdfast/cloud"
)

const elsewhere = "eu-west-1" // another region than the default one

// shape compares what is said of trails.
func shape(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(types.Trail{}, types.TrailInfo{}, types.Tag{}, types.EventSelector{}, types.DataResource{},
		types.AdvancedEventSelector{}, types.AdvancedFieldSelector{}, types.ResourceTag{})); d != "" {
		t.Error(d)
	}
}

// The life of a trail as Terraform leads it.
func TestTrail(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
			arn := w.arn("audit")
			created := must(w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{
				Name: aws.String("audit"), S3BucketName: aws.String(logs), S3KeyPrefix: aws.String("all"), EnableLogFileValidation: aws.Bool(true),
				TagsList: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
			}))(t)
			if *created.TrailARN != arn || *created.Name != "audit" || !*created.IncludeGlobalServiceEvents || *created.IsMultiRegionTrail || !*created.LogFileValidationEnabled || *created.IsOrganizationTrail {
				t.Errorf("created %+v", created)
			}
			want := types.Trail{
				Name: aws.String("audit"), TrailARN: &arn, HomeRegion: &w.Region, S3BucketName: aws.String(logs), S3KeyPrefix: aws.String("all"),
				IncludeGlobalServiceEvents: aws.Bool(true), IsMultiRegionTrail: aws.Bool(false), LogFileValidationEnabled: aws.Bool(true), IsOrganizationTrail: aws.Bool(false),
				HasCustomEventSelectors: aws.Bool(false), HasInsightSelectors: aws.Bool(false),
			}
			for _, id := range []string{"audit", arn} {
				shape(t, *must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: &id}))(t).Trail, want)
				shape(t, must(w.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{TrailNameList: []string{id}}))(t).TrailList, []types.Trail{want})
			}
			st := must(w.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: &arn}))(t)
			if *st.IsLogging || st.StartLoggingTime != nil || st.LatestDeliveryTime != nil {
				t.Errorf("the status of a new trail is %+v", st)
			}
			must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &arn}))(t)
			must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &arn}))(t)
			st = must(w.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("audit")}))(t)
			if !*st.IsLogging || st.StartLoggingTime == nil || st.StopLoggingTime != nil || *st.TimeLoggingStarted == "" || *st.TimeLoggingStopped != "" {
				t.Errorf("the status while it logs is %+v", st)
			}
			must(w.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: &arn}))(t)
			must(w.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: &arn}))(t)
			if st = must(w.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: &arn}))(t); *st.IsLogging || st.StopLoggingTime == nil {
				t.Errorf("the status afterwards is %+v", st)
			}
			w.bucket("other-logs", writable("other-logs"))
			updated := must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{
				Name: &arn, S3BucketName: aws.String("other-logs"), S3KeyPrefix: aws.String(""), IsMultiRegionTrail: aws.Bool(true), EnableLogFileValidation: aws.Bool(false),
			}))(t)
			if *updated.S3BucketName != "other-logs" || updated.S3KeyPrefix != nil || !*updated.IsMultiRegionTrail || *updated.LogFileValidationEnabled || *updated.TrailARN != arn {
				t.Errorf("updated %+v", updated)
			}
			want.S3BucketName, want.S3KeyPrefix, want.IsMultiRegionTrail, want.LogFileValidationEnabled = aws.String("other-logs"), nil, aws.Bool(true), aws.Bool(false)
			shape(t, *must(w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: &arn}))(t).Trail, want)
			must(w.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: &arn}))(t)
			_, err := w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("audit")})
			fails(t, err, "TrailNotFoundException", "Unknown trail: "+arn+" for the user: "+w.Account)
			w.trail("audit")
			tags := must(w.ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}}))(t)
			shape(t, tags.ResourceTagList, []types.ResourceTag{{ResourceId: &arn, TagsList: []types.Tag{}}})
		})
	}
}

func TestTrailNames(t *testing.T) {
	w := start(t)
	const chars = "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_)."
	for name, message := range map[string]string{
		"":                       "Trail name or ARN can not be blank.",
		"aa":                     "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters.",
		strings.Repeat("a", 129): "Trail name too long. Maximum allowed length: 128 characters. Specified name length: 129 characters.",
		"trail!":                 "Trail name must ends with a letter or number.",
		"my#trail":               chars,
		"my trail":               chars,
		"-trail":                 "Trail name must starts with a letter or number.",
		"my-_trail":              "Trail name or ARN cannot have adjacent periods (.), hyphens (-), or underscores (_).",
		"192.168.5.4":            "Trail name or ARN cannot be in IP address format.",
	} {
		_, err := w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: aws.String(logs)})
		fails(t, err, "InvalidTrailNameException", message)
		_, err = w.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: &name})
		fails(t, err, "InvalidTrailNameException", message)
	}
	for _, arn := range []string{"arn:aws:cloudtrail", "arn:aws:s3:us-east-1:111122223333:trail/abc", "arn:aws:cloudtrail:us-east-1:111122223333:channel/abc", "arn:aws:cloudtrail:us-east-1:111122223333:trail/a",
		"arn:aws-cn:cloudtrail:us-east-1:111122223333:trail/abc", "arn:aws:cloudtrail::111122223333:trail/abc"} {
		_, err := w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &arn})
		fails(t, err, "CloudTrailARNInvalidException", "")
	}
	w.trail("a.b_c-d")
	w.trail(strings.Repeat("a", 128))
}

func TestCreateTrailRefuses(t *testing.T) {
	w := start(t)
	w.bucket("closed", "")
	w.bucket("for-another", strings.ReplaceAll(writable("for-another"), `"StringEquals":{`, `"StringEquals":{"aws:SourceArn":"`+w.arn("another")+`",`))
	w.trail("taken")
	for name, c := range map[string]struct {
		in            cloudtrail.CreateTrailInput
		code, message string
	}{
		"TrailAlreadyExists":   {cloudtrail.CreateTrailInput{Name: aws.String("taken")}, "TrailAlreadyExistsException", "Trail taken already exists for customer: " + w.Account},
		"S3BucketDoesNotExist": {cloudtrail.CreateTrailInput{S3BucketName: aws.String("nobodys")}, "S3BucketDoesNotExistException", "S3 bucket nobodys does not exist!"},
		"NoBucketPolicy":       {cloudtrail.CreateTrailInput{S3BucketName: aws.String("closed")}, "InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: closed"},
		"OfAnotherTrail":       {cloudtrail.CreateTrailInput{S3BucketName: aws.String("for-another")}, "InsufficientS3BucketPolicyException", ""},
		"BucketName":           {cloudtrail.CreateTrailInput{S3BucketName: aws.String("Upper")}, "InvalidS3BucketNameException", ""},
		"ShortBucketName":      {cloudtrail.CreateTrailInput{S3BucketName: aws.String("a")}, "InvalidS3BucketNameException", ""},
		"Prefix":               {cloudtrail.CreateTrailInput{S3KeyPrefix: aws.String(strings.Repeat("p", 201))}, "InvalidS3PrefixException", ""},
		"NoGlobalEvents":       {cloudtrail.CreateTrailInput{IsMultiRegionTrail: aws.Bool(true), IncludeGlobalServiceEvents: aws.Bool(false)}, "InvalidParameterCombinationException", "Multi-Region trail must include global service events."},
		"ReservedTag":          {cloudtrail.CreateTrailInput{TagsList: []types.Tag{{Key: aws.String("aws:x")}}}, "InvalidTagParameterException", ""},
		"TagTwice":             {cloudtrail.CreateTrailInput{TagsList: []types.Tag{{Key: aws.String("x")}, {Key: aws.String("x")}}}, "InvalidTagParameterException", ""},
		"TooManyTags":          {cloudtrail.CreateTrailInput{TagsList: manyTags(51)}, "TagsLimitExceededException", ""},
		"NoOrganization":       {cloudtrail.CreateTrailInput{IsOrganizationTrail: aws.Bool(true)}, "OrganizationsNotInUseException", ""},
		"SNS":                  {cloudtrail.CreateTrailInput{SnsTopicName: aws.String("topic")}, "InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!"},
		"TopicName":            {cloudtrail.CreateTrailInput{SnsTopicName: aws.String("arn:aws:sqs:us-east-1:111122223333:q")}, "InvalidSnsTopicNameException", ""},
		"Logs":                 {cloudtrail.CreateTrailInput{CloudWatchLogsRoleArn: aws.String("arn:aws:iam::111122223333:role/r")}, "InvalidParameterCombinationException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.in.Name == nil {
				c.in.Name = aws.String("another-one")
			}
			if c.in.S3BucketName == nil {
				c.in.S3BucketName = aws.String(logs)
			}
			_, err := w.CreateTrail(t.Context(), &c.in)
			fails(t, err, c.code, c.message)
		})
	}
	if n := len(must(w.ListTrails(t.Context(), nil))(t).Trails); n != 1 {
		t.Errorf("there are %d trails", n)
	}
	all := w.Trail(w.Account)
	if last := all[len(all)-2]; last.EventName != "CreateTrail" || last.ErrorCode == "" || last.EventSource != "cloudtrail.amazonaws.com" || last.ReadOnly {
		t.Errorf("the record of a refusal is %s", last.Raw)
	}
	w.bucket("another", strings.ReplaceAll(writable("another"), `"StringEquals":{`, `"StringEquals":{"aws:SourceArn":"`+w.arn("another")+`",`))
	w.trail("another", func(in *cloudtrail.CreateTrailInput) { in.S3BucketName = aws.String("another") })
}

func manyTags(n int) (tags []types.Tag) {
	for i := range n {
		tags = append(tags, types.Tag{Key: aws.String(fmt.Sprint("k", i))})
	}
	return tags
}

// A region of an account has five trails, those counted that reach it from other regions.
func TestTrailQuota(t *testing.T) {
	w := start(t)
	for i := range 4 {
		w.trail(fmt.Sprint("one", i))
	}
	far := w.in(elsewhere)
	make := func(name string, multi bool) error {
		_, err := far.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: aws.String(logs), IsMultiRegionTrail: &multi})
		return err
	}
	if err := make("far", true); err != nil {
		t.Fatal(err)
	}
	_, err := w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("six"), S3BucketName: aws.String(logs)})
	fails(t, err, "MaximumNumberOfTrailsExceededException", "User: "+w.Account+" already has 5 trails in "+w.Region+".")
	fails(t, make("wide", true), "MaximumNumberOfTrailsExceededException", "User: "+w.Account+" already has 5 trails in "+w.Region+".")
	if err := make("narrow", false); err != nil {
		t.Error(err)
	}
	// The shadow of a trail takes its name, too.
	must(w.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: aws.String("one0")}))(t)
	_, err = w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("far"), S3BucketName: aws.String(logs)})
	fails(t, err, "TrailAlreadyExistsException", "")
	w.trail("narrow")
}

func TestRegions(t *testing.T) {
	w := start(t)
	far := w.in(elsewhere)
	w.trail("wide", multiRegion)
	w.trail("narrow")
	listed := func(c *cloudtrail.Client, in *cloudtrail.DescribeTrailsInput) (names []string) {
		for _, x := range must(c.DescribeTrails(t.Context(), in))(t).TrailList {
			names = append(names, *x.Name)
		}
		return names
	}
	for name, c := range map[string]struct {
		client *cloudtrail.Client
		in     cloudtrail.DescribeTrailsInput
		want   []string
	}{
		"Home":            {w.Client, cloudtrail.DescribeTrailsInput{}, []string{"narrow", "wide"}},
		"Elsewhere":       {far, cloudtrail.DescribeTrailsInput{}, []string{"wide"}},
		"NoShadows":       {far, cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(false)}, nil},
		"HomeNoShadows":   {w.Client, cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(false)}, []string{"narrow", "wide"}},
		"ByName":          {w.Client, cloudtrail.DescribeTrailsInput{TrailNameList: []string{"wide", "nobodys"}}, []string{"wide"}},
		"ByNameElsewhere": {far, cloudtrail.DescribeTrailsInput{TrailNameList: []string{"wide"}}, nil},
		"ByARN":           {far, cloudtrail.DescribeTrailsInput{TrailNameList: []string{w.arn("narrow")}}, []string{"narrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := listed(c.client, &c.in); !cmp.Equal(got, c.want) {
				t.Errorf("got %v", got)
			}
		})
	}
	_, err := w.DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{TrailNameList: []string{"a"}})
	fails(t, err, "InvalidTrailNameException", "")
	var names []string
	for _, x := range must(far.ListTrails(t.Context(), nil))(t).Trails {
		names = append(names, *x.TrailARN+" "+*x.HomeRegion)
	}
	if want := []string{w.arn("narrow") + " " + w.Region, w.arn("wide") + " " + w.Region}; !cmp.Equal(names, want) {
		t.Errorf("listed elsewhere: %v", names)
	}
	if got := must(far.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String(w.arn("narrow"))}))(t).Trail; *got.HomeRegion != w.Region {
		t.Errorf("by ARN from elsewhere: %+v", got)
	}
	_, err = far.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String("wide")})
	fails(t, err, "TrailNotFoundException", "")
	for _, id := range []string{"wide", w.arn("wide"), w.arn("narrow")} {
		_, err = far.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: &id})
		fails(t, err, "InvalidHomeRegionException", "")
		_, err = far.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: &id})
		fails(t, err, "InvalidHomeRegionException", "")
		_, err = far.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: &id})
		fails(t, err, "InvalidHomeRegionException", "")
		_, err = far.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: &id})
		fails(t, err, "InvalidHomeRegionException", "")
		_, err = far.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &id})
		fails(t, err, "InvalidHomeRegionException", "")
	}
	_, err = far.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("narrow")})
	fails(t, err, "TrailNotFoundException", "")
	// Of another account nothing is told, not even by ARN.
	_, err = w.root(other).GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: aws.String(w.arn("wide"))})
	fails(t, err, "TrailNotFoundException", "Unknown trail: "+w.arn("wide")+" for the user: "+other)
	_, err = w.root(other).DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: aws.String(w.arn("wide"))})
	fails(t, err, "TrailNotFoundException", "")
	if got := listed(w.root(other), nil); got != nil {
		t.Errorf("another account sees %v", got)
	}
}

func TestTrailKey(t *testing.T) {
	w := start(t)
	k := kms.NewFromConfig(w.Config())
	key := func(trailARN string) string {
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:DescribeKey","Resource":"*"},
			{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*",
			 "Condition":{"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":%q},"StringEquals":{"aws:SourceArn":%q}}}]}`, w.Account, trailARN, trailARN)
		return *must(k.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &policy}))(t).KeyMetadata.Arn
	}
	mine, others := key(w.arn("secret")), key(w.arn("another"))
	plain := *must(k.CreateKey(t.Context(), nil))(t).KeyMetadata.Arn
	disabled := key(w.arn("secret"))
	must(k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &disabled}))(t)
	must(k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/trail"), TargetKeyId: &mine}))(t)
	create := func(id string) (*cloudtrail.CreateTrailOutput, error) {
		return w.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("secret"), S3BucketName: aws.String(logs), KmsKeyId: &id})
	}
	for name, c := range map[string]struct{ id, code string }{
		"KmsKeyNotFound":          {"arn:aws:kms:" + w.Region + ":" + w.Account + ":key/12345678-1234-1234-1234-123456789012", "KmsKeyNotFoundException"},
		"NoAlias":                 {"alias/nobodys", "KmsKeyNotFoundException"},
		"NotOfKMS":                {"arn:aws:s3:::b", "InvalidKmsKeyIdException"},
		"PolicySaysNothing":       {plain, "InsufficientEncryptionPolicyException"},
		"PolicyNamesAnotherTrail": {others, "InsufficientEncryptionPolicyException"},
		"Disabled":                {disabled, "KmsException"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := create(c.id)
			fails(t, err, c.code, "")
		})
	}
	for _, id := range []string{mine, "alias/trail", mine[strings.LastIndexByte(mine, '/')+1:], "arn:aws:kms:" + w.Region + ":" + w.Account + ":alias/trail"} {
		out, err := create(id)
		if err != nil || *out.KmsKeyId != mine {
			t.Fatalf("%s: %+v %v", id, out, err)
		}
		must(w.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: aws.String("secret")}))(t)
	}
	w.trail("secret")
	out := must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: aws.String("secret"), KmsKeyId: &mine}))(t)
	if *out.KmsKeyId != mine {
		t.Errorf("updated %+v", out)
	}
	_, err := w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: aws.String("secret"), KmsKeyId: &others})
	fails(t, err, "InsufficientEncryptionPolicyException", "")
	if out = must(w.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: aws.String("secret"), KmsKeyId: aws.String("")}))(t); out.KmsKeyId != nil {
		t.Errorf("it still has a key: %+v", out)
	}
}

func TestTrailSurvives(t *testing.T) {
	dir := t.TempDir()
	var arn string
	t.Run("Before", func(t *testing.T) {
		w := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		arn = w.arn("kept")
		w.trail("kept", multiRegion, func(in *cloudtrail.CreateTrailInput) { in.TagsList = manyTags(2) })
		must(w.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("kept")}))(t)
		must(w.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &arn, EventSelectors: []types.EventSelector{{ReadWriteType: types.ReadWriteTypeWriteOnly}}}))(t)
	})
	c := startAgain(t, dir)
	far := c.in(elsewhere)
	got := must(far.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: &arn}))(t).Trail
	if !*got.IsMultiRegionTrail || !*got.HasCustomEventSelectors || *got.S3BucketName != logs {
		t.Errorf("after a restart: %+v", got)
	}
	if st := must(far.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: &arn}))(t); !*st.IsLogging {
		t.Error("it does not log any more")
	}
	if tags := must(far.ListTags(t.Context(), &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}}))(t).ResourceTagList; len(tags[0].TagsList) != 2 {
		t.Errorf("tags %v", tags)
	}
}
