package eventselect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/eventselect"
)

func buckets(n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("arn:aws:s3:::b%d/", i))
	}
	return values
}

// partitions are values that each stand for a whole service, as far as they are looked at.
func partitions(n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("arn:aws-%d:s3", i))
	}
	return values
}

func objects(values ...string) []eventselect.DataResource {
	return []eventselect.DataResource{{Type: "AWS::S3::Object", Values: values}}
}

func TestCheckBasic(t *testing.T) {
	management := eventselect.BasicSelector{Management: true}
	for name, c := range map[string]struct {
		selectors []eventselect.BasicSelector
		want      string
	}{
		"OK":             {[]eventselect.BasicSelector{management, {ReadWrite: "ReadOnly", Data: objects("arn:aws:s3", "arn:aws:s3:::b/p"), Management: true, Excluded: []string{"kms.amazonaws.com"}}}, ""},
		"OK/All":         {[]eventselect.BasicSelector{{Data: []eventselect.DataResource{{"AWS::S3::Object", []string{"arn:aws:s3:::"}}, {"AWS::Lambda::Function", []string{"arn:aws:lambda"}}, {"AWS::DynamoDB::Table", []string{"arn:aws:dynamodb"}}}}}, ""},
		"OK/Most":        {[]eventselect.BasicSelector{{Data: objects(buckets(200)...)}, {Data: objects(buckets(50)...)}}, ""},
		"None":           {nil, "1 to 5"},
		"Six":            {[]eventselect.BasicSelector{management, management, management, management, management, management}, "1 to 5"},
		"ReadWrite":      {[]eventselect.BasicSelector{{ReadWrite: "read-only", Management: true}}, "read-only for ReadWriteType"},
		"Nothing":        {[]eventselect.BasicSelector{{}}, "has to include"},
		"Excluded":       {[]eventselect.BasicSelector{{Management: true, Excluded: []string{"s3.amazonaws.com"}}}, "ExcludeManagementEventSources is invalid"},
		"ExcludedNone":   {[]eventselect.BasicSelector{{Data: objects("arn:aws:s3"), Excluded: []string{"kms.amazonaws.com"}}}, "needs IncludeManagementEvents"},
		"Type":           {[]eventselect.BasicSelector{{Data: []eventselect.DataResource{{"AWS::KMS::Key", []string{"arn:aws:kms"}}}}}, "AWS::KMS::Key for DataResources.Type is invalid"},
		"NoValues":       {[]eventselect.BasicSelector{{Data: objects()}}, "is empty"},
		"Wildcard":       {[]eventselect.BasicSelector{{Data: objects("arn:aws:s3:::*")}}, "arn:aws:s3:::* for DataResources.Values is invalid"},
		"NoSlash":        {[]eventselect.BasicSelector{{Data: objects("arn:aws:s3:::b")}}, "is invalid"},
		"WrongService":   {[]eventselect.BasicSelector{{Data: objects("arn:aws:lambda")}}, "is invalid"},
		"FunctionPrefix": {[]eventselect.BasicSelector{{Data: []eventselect.DataResource{{"AWS::Lambda::Function", []string{"arn:aws:lambda:us-east-1:111122223333:function:"}}}}}, "is invalid"},
		"Table":          {[]eventselect.BasicSelector{{Data: []eventselect.DataResource{{"AWS::DynamoDB::Table", []string{"arn:aws:dynamodb:us-east-1:111122223333:table/t", "arn:aws:dynamodb:us-east-1:111122223333:index/t"}}}}}, "index/t for DataResources.Values is invalid"},
		"TooManyValues":  {[]eventselect.BasicSelector{{Data: objects(partitions(501)...)}}, "more than 500 values"},
		"Twice":          {[]eventselect.BasicSelector{{Data: objects("arn:aws:s3:::b/", "arn:aws:s3:::b/")}}, "twice"},
		"TooMany":        {[]eventselect.BasicSelector{{Data: objects(buckets(200)...)}, {Data: objects(buckets(51)...)}}, "at most 250"},
	} {
		t.Run(name, func(t *testing.T) {
			err := eventselect.CheckBasic(c.selectors)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			if _, err := eventselect.Compile(eventselect.Basic(c.selectors)); err != nil {
				t.Errorf("its translation: %v", err)
			}
			if err := eventselect.CheckTrail(eventselect.Basic(c.selectors)); err != nil {
				t.Errorf("its translation for a trail: %v", err)
			}
		})
	}
}

func TestBasic(t *testing.T) {
	call := func(source, name string, readOnly bool) eventselect.Event {
		return eventselect.Event{Category: "Management", Source: source, Name: name, ReadOnly: readOnly}
	}
	data := func(resource, arn string, readOnly bool) eventselect.Event {
		return eventselect.Event{Category: "Data", ReadOnly: readOnly, Resources: []eventselect.Resource{{Type: "Other", ARN: arn}, {Type: resource, ARN: arn}}}
	}
	function := "arn:aws:lambda:us-west-2:111122223333:function:helloworld"
	for name, c := range map[string]struct {
		selector eventselect.BasicSelector
		event    eventselect.Event
		want     bool
	}{
		"All":               {eventselect.BasicSelector{Management: true}, call("s3.amazonaws.com", "GetBucketPolicy", true), true},
		"Reads":             {eventselect.BasicSelector{Management: true, ReadWrite: "ReadOnly"}, call("s3.amazonaws.com", "GetBucketPolicy", true), true},
		"NoWrites":          {eventselect.BasicSelector{Management: true, ReadWrite: "ReadOnly"}, call("s3.amazonaws.com", "CreateBucket", false), false},
		"Writes":            {eventselect.BasicSelector{Management: true, ReadWrite: "WriteOnly"}, call("s3.amazonaws.com", "CreateBucket", false), true},
		"NoReads":           {eventselect.BasicSelector{Management: true, ReadWrite: "WriteOnly"}, call("s3.amazonaws.com", "GetBucketPolicy", true), false},
		"Excluded":          {eventselect.BasicSelector{Management: true, Excluded: []string{"kms.amazonaws.com"}}, call("kms.amazonaws.com", "Decrypt", true), false},
		"NotExcluded":       {eventselect.BasicSelector{Management: true, Excluded: []string{"kms.amazonaws.com"}}, call("s3.amazonaws.com", "CreateBucket", false), true},
		"NoData":            {eventselect.BasicSelector{Management: true}, data("AWS::S3::Object", "arn:aws:s3:::b/o", true), false},
		"AllObjects":        {eventselect.BasicSelector{Data: objects("arn:aws:s3")}, data("AWS::S3::Object", "arn:aws:s3:::b/o", true), true},
		"NoManagement":      {eventselect.BasicSelector{Data: objects("arn:aws:s3")}, call("s3.amazonaws.com", "CreateBucket", false), false},
		"Bucket":            {eventselect.BasicSelector{Data: objects("arn:aws:s3:::b/")}, data("AWS::S3::Object", "arn:aws:s3:::b/o", true), true},
		"OtherBucket":       {eventselect.BasicSelector{Data: objects("arn:aws:s3:::b/")}, data("AWS::S3::Object", "arn:aws:s3:::b2/o", true), false},
		"Prefix":            {eventselect.BasicSelector{Data: objects("arn:aws:s3:::b/p")}, data("AWS::S3::Object", "arn:aws:s3:::b/path", true), true},
		"OtherPrefix":       {eventselect.BasicSelector{Data: objects("arn:aws:s3:::b/p")}, data("AWS::S3::Object", "arn:aws:s3:::b/q", true), false},
		"OtherType":         {eventselect.BasicSelector{Data: objects("arn:aws:s3")}, data("AWS::S3::Bucket", "arn:aws:s3:::b", true), false},
		"ObjectWrites":      {eventselect.BasicSelector{ReadWrite: "WriteOnly", Data: objects("arn:aws:s3")}, data("AWS::S3::Object", "arn:aws:s3:::b/o", true), false},
		"Function":          {eventselect.BasicSelector{Data: []eventselect.DataResource{{"AWS::Lambda::Function", []string{function}}}}, data("AWS::Lambda::Function", function, false), true},
		"FunctionsAreExact": {eventselect.BasicSelector{Data: []eventselect.DataResource{{"AWS::Lambda::Function", []string{function}}}}, data("AWS::Lambda::Function", function+"2", false), false},
		"AllFunctions":      {eventselect.BasicSelector{Data: []eventselect.DataResource{{"AWS::Lambda::Function", []string{"arn:aws:lambda"}}}}, data("AWS::Lambda::Function", function+"2", false), true},
	} {
		t.Run(name, func(t *testing.T) {
			selectors := []eventselect.BasicSelector{c.selector}
			if err := eventselect.CheckBasic(selectors); err != nil {
				t.Fatal(err)
			}
			m, err := eventselect.Compile(eventselect.Basic(selectors))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Match(&c.event); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
