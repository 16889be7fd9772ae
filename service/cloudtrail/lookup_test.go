package cloudtrail_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const other = "444455556666" // another account

func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}}`
}

func by(key types.LookupAttributeKey, value string) []types.LookupAttribute {
	return []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}}
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// names are the names of the events that are found, the newest first.
func names(t *testing.T, as aws.Config, in *cloudtrail.LookupEventsInput) (names string) {
	t.Helper()
	out, err := cloudtrail.NewFromConfig(as).LookupEvents(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range out.Events {
		if i > 0 {
			names += " "
		}
		names += *e.EventName
	}
	return names
}

// use makes a key and encrypts with it, as somebody.
func use(t *testing.T, as aws.Config) (keyARN string) {
	t.Helper()
	k := kms.NewFromConfig(as)
	key, err := k.CreateKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyMetadata.Arn, Plaintext: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	return *key.KeyMetadata.Arn
}

func TestLookupEvents(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
			ann := c.User(c.Account, "ann", allow(`["kms:*","cloudtrail:LookupEvents"]`))
			key := use(t, ann)
			use(t, c.Root(other))
			credentials, err := ann.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, by := range []types.LookupAttribute{
				{AttributeKey: types.LookupAttributeKeyEventSource, AttributeValue: aws.String("kms.amazonaws.com")},
				{AttributeKey: types.LookupAttributeKeyResourceName, AttributeValue: &key},
				{AttributeKey: types.LookupAttributeKeyResourceType, AttributeValue: aws.String("AWS::KMS::Key")},
			} {
				if got := names(t, ann, &cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{by}}); got != "Encrypt CreateKey" {
					t.Errorf("%s: %s", by.AttributeKey, got)
				}
			}
			for _, c := range []struct {
				key         types.LookupAttributeKey
				value, want string
			}{
				{types.LookupAttributeKeyReadOnly, "false", "CreateKey"},
				{types.LookupAttributeKeyEventName, "Encrypt", "Encrypt"},
				{types.LookupAttributeKeyEventName, "Decrypt", ""},
			} {
				if got := names(t, ann, &cloudtrail.LookupEventsInput{LookupAttributes: by(c.key, c.value)}); got != c.want {
					t.Errorf("%s %s: got %q, want %q", c.key, c.value, got, c.want)
				}
			}
			for key, value := range map[types.LookupAttributeKey]string{types.LookupAttributeKeyUsername: "ann", types.LookupAttributeKeyAccessKeyId: credentials.AccessKeyID} {
				var want []string
				for _, e := range c.Trail(c.Account) {
					if strings.Contains(string(e.Raw), `:"`+value+`"`) {
						want = append(want, e.EventName)
					}
				}
				slices.Reverse(want)
				got := names(t, ann, &cloudtrail.LookupEventsInput{LookupAttributes: by(key, value)})
				if got != strings.Join(want, " ") || !strings.HasSuffix(got, strings.Repeat("LookupEvents ", 6)+"Encrypt CreateKey") {
					t.Errorf("%s %s: got %q, want %q", key, value, got, want)
				}
			}
			out, err := cloudtrail.NewFromConfig(ann).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{LookupAttributes: by(types.LookupAttributeKeyReadOnly, "false")})
			if err != nil || len(out.Events) != 1 {
				t.Fatal(out, err)
			}
			e := out.Events[0]
			if *e.EventName != "CreateKey" || *e.ReadOnly != "false" || *e.EventSource != "kms.amazonaws.com" || *e.Username != "ann" || *e.AccessKeyId != credentials.AccessKeyID ||
				len(e.Resources) != 1 || *e.Resources[0].ResourceName != key || *e.Resources[0].ResourceType != "AWS::KMS::Key" || e.EventTime.IsZero() {
				t.Errorf("event %+v", e)
			}
			var record struct{ EventID, RecipientAccountID string }
			if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &record); err != nil || record.EventID != *e.EventId || record.RecipientAccountID != c.Account {
				t.Errorf("record %s: %v", *e.CloudTrailEvent, err)
			}
			if got := names(t, ann, &cloudtrail.LookupEventsInput{LookupAttributes: by(types.LookupAttributeKeyEventId, *e.EventId)}); got != "CreateKey" {
				t.Errorf("by its ID: %s", got)
			}
			if got := names(t, c.Root(other), &cloudtrail.LookupEventsInput{LookupAttributes: by(types.LookupAttributeKeyEventId, *e.EventId)}); got != "" {
				t.Errorf("another account finds %s", got)
			}
			elsewhere := ann.Copy()
			elsewhere.Region = "eu-west-1"
			if got := names(t, elsewhere, nil); got != "" {
				t.Errorf("another region shows %s", got)
			}
			all := c.Trail(c.Account)
			if last := all[len(all)-1]; last.EventName != "LookupEvents" || !last.ReadOnly || last.EventSource != "cloudtrail.amazonaws.com" {
				t.Errorf("the audit record is %s", last.Raw)
			}
		})
	}
}

func TestLookupEventsRefuses(t *testing.T) {
	c := cloudtest.Start(t)
	root := cloudtrail.NewFromConfig(c.Config())
	now := c.Now()
	two := append(by(types.LookupAttributeKeyEventName, "a"), by(types.LookupAttributeKeyEventName, "b")...)
	for name, tt := range map[string]struct {
		in   cloudtrail.LookupEventsInput
		want string
	}{
		"TwoAttributes":    {cloudtrail.LookupEventsInput{LookupAttributes: two}, "InvalidLookupAttributesException"},
		"UnknownAttribute": {cloudtrail.LookupEventsInput{LookupAttributes: by("Colour", "red")}, "InvalidLookupAttributesException"},
		"NoTruth":          {cloudtrail.LookupEventsInput{LookupAttributes: by(types.LookupAttributeKeyReadOnly, "maybe")}, "InvalidLookupAttributesException"},
		"TooFew":           {cloudtrail.LookupEventsInput{MaxResults: aws.Int32(0)}, "InvalidMaxResultsException"},
		"TooMany":          {cloudtrail.LookupEventsInput{MaxResults: aws.Int32(51)}, "InvalidMaxResultsException"},
		"EndsFirst":        {cloudtrail.LookupEventsInput{StartTime: &now, EndTime: aws.Time(now.Add(-time.Hour))}, "InvalidTimeRangeException"},
		"Token":            {cloudtrail.LookupEventsInput{NextToken: aws.String("made-up")}, "InvalidNextTokenException"},
		"Category":         {cloudtrail.LookupEventsInput{EventCategory: "lunch"}, "InvalidEventCategoryException"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := root.LookupEvents(t.Context(), &tt.in); code(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := root.ListDashboards(t.Context(), nil); code(err) != "NotImplemented" {
		t.Errorf("ListDashboards: %v", err)
	}
}

func TestPages(t *testing.T) {
	dir := t.TempDir()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	for range 4 {
		use(t, c.Config())
	}
	root := cloudtrail.NewFromConfig(c.Config())
	in := &cloudtrail.LookupEventsInput{MaxResults: aws.Int32(3), LookupAttributes: by(types.LookupAttributeKeyEventSource, "kms.amazonaws.com")}
	seen := make(map[string]bool)
	pages := 0
	for {
		out, err := root.LookupEvents(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			if seen[*e.EventId] {
				t.Errorf("%s is there twice", *e.EventName)
			}
			seen[*e.EventId] = true
		}
		pages++
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
		use(t, c.Config()) // what is newer is on no page that follows
		other := *in
		other.LookupAttributes = nil
		if _, err := root.LookupEvents(t.Context(), &other); code(err) != "InvalidNextTokenException" {
			t.Errorf("a token of another lookup: %v", err)
		}
	}
	if pages != 3 || len(seen) != 8 {
		t.Errorf("%d events on %d pages", len(seen), pages)
	}
	// What was altered is passed over; what was recorded since is found.
	if files, err := filepath.Glob(filepath.Join(dir, "audit", "seg-*.log")); err != nil || len(files) != 1 {
		t.Fatal(files, err)
	} else if f, err := os.OpenFile(files[0], os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	} else if _, err := f.WriteAt([]byte("xxxx"), 100); err != nil {
		t.Fatal(err)
	} else {
		f.Close()
	}
	use(t, c.Config())
	got := strings.Fields(names(t, c.Config(), &cloudtrail.LookupEventsInput{LookupAttributes: in.LookupAttributes}))
	if len(got) != 13 || got[0] != "Encrypt" || got[1] != "CreateKey" {
		t.Errorf("after an alteration there are %d: %v", len(got), got)
	}
}

// The event history goes back ninety days.
func TestNinetyDays(t *testing.T) {
	c := cloudtest.Start(t)
	use(t, c.Config())
	c.Advance(89 * 24 * time.Hour)
	in := &cloudtrail.LookupEventsInput{LookupAttributes: by(types.LookupAttributeKeyEventSource, "kms.amazonaws.com"), StartTime: aws.Time(c.Now().AddDate(-1, 0, 0))}
	if got := names(t, c.Config(), in); got != "Encrypt CreateKey" {
		t.Errorf("after 89 days: %s", got)
	}
	c.Advance(2 * 24 * time.Hour)
	if got := names(t, c.Config(), in); got != "" {
		t.Errorf("after 91 days: %s", got)
	}
}
