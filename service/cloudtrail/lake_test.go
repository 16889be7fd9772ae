package cloudtrail_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const day = 24 * time.Hour

// lake is CloudTrail Lake as somebody uses it.
type lake struct {
	*cloudtrail.Client
	t *testing.T
}

func lakeOf(t *testing.T, as aws.Config) lake { return lake{cloudtrail.NewFromConfig(as), t} }

// create makes an event data store that can be deleted, changed by options, and returns its ARN.
func (l lake) create(name string, options ...func(*cloudtrail.CreateEventDataStoreInput)) string {
	l.t.Helper()
	in := &cloudtrail.CreateEventDataStoreInput{Name: &name, TerminationProtectionEnabled: aws.Bool(false)}
	for _, o := range options {
		o(in)
	}
	out, err := l.CreateEventDataStore(l.t.Context(), in)
	if err != nil {
		l.t.Fatalf("making %s: %v", name, err)
	}
	return *out.EventDataStoreArn
}

func (l lake) get(arn string) *cloudtrail.GetEventDataStoreOutput {
	l.t.Helper()
	out, err := l.GetEventDataStore(l.t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: &arn})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// id is the last part of an ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// ask answers a query, and returns the rows as text: fields joined by bars.
func (l lake) ask(format string, args ...any) []string {
	l.t.Helper()
	status, rows, message := l.query(fmt.Sprintf(format, args...))
	if status != types.QueryStatusFinished {
		l.t.Fatalf("%s: %s, %s", fmt.Sprintf(format, args...), status, message)
	}
	return rows
}

func (l lake) query(statement string) (types.QueryStatus, []string, string) {
	l.t.Helper()
	q, err := l.StartQuery(l.t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement})
	if err != nil {
		l.t.Fatalf("%s: %v", statement, err)
	}
	return l.results(q.QueryId, 1000)
}

// results waits for a query's end.
func (l lake) results(query *string, page int32) (types.QueryStatus, []string, string) {
	l.t.Helper()
	for {
		out, err := l.DescribeQuery(l.t.Context(), &cloudtrail.DescribeQueryInput{QueryId: query})
		if err != nil {
			l.t.Fatal(err)
		}
		if out.QueryStatus != types.QueryStatusQueued && out.QueryStatus != types.QueryStatusRunning {
			break
		}
	}
	rows := []string{}
	in := &cloudtrail.GetQueryResultsInput{QueryId: query, MaxQueryResults: &page}
	for {
		out, err := l.GetQueryResults(l.t.Context(), in)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, row := range out.QueryResultRows {
			var fields []string
			for _, f := range row {
				for _, v := range f {
					fields = append(fields, v)
				}
			}
			rows = append(rows, strings.Join(fields, "|"))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return out.QueryStatus, rows, aws.ToString(out.ErrorMessage)
		}
	}
}

func TestEventDataStore(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	made, err := l.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{
		Name: aws.String("history"), TagsList: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := *made.EventDataStoreArn
	if made.Status != types.EventDataStoreStatusCreated || *made.RetentionPeriod != 366 || !*made.MultiRegionEnabled || *made.OrganizationEnabled || !*made.TerminationProtectionEnabled ||
		made.BillingMode != types.BillingModeExtendableRetentionPricing || len(made.TagsList) != 1 || !strings.HasPrefix(arn, "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/") {
		t.Errorf("made %+v", made)
	}
	got := l.get(id(arn))
	if got.Status != types.EventDataStoreStatusEnabled || *got.Name != "history" || *got.EventDataStoreArn != arn || len(got.AdvancedEventSelectors) != 1 ||
		*got.AdvancedEventSelectors[0].Name != "Default management events" {
		t.Errorf("got %+v", got)
	}
	if list, err := l.ListEventDataStores(t.Context(), nil); err != nil || len(list.EventDataStores) != 1 || *list.EventDataStores[0].Name != "history" {
		t.Errorf("listed %+v, %v", list, err)
	}
	up, err := l.UpdateEventDataStore(t.Context(), &cloudtrail.UpdateEventDataStoreInput{
		EventDataStore: &arn, Name: aws.String("short"), RetentionPeriod: aws.Int32(7), MultiRegionEnabled: aws.Bool(false),
	})
	if err != nil || *up.Name != "short" || *up.RetentionPeriod != 7 || *up.MultiRegionEnabled {
		t.Errorf("updated %+v, %v", up, err)
	}
	del := &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &arn}
	if _, err := l.DeleteEventDataStore(t.Context(), del); code(err) != "EventDataStoreTerminationProtectedException" {
		t.Errorf("deleting what is protected: %v", err)
	}
	if _, err := l.UpdateEventDataStore(t.Context(), &cloudtrail.UpdateEventDataStoreInput{EventDataStore: &arn, TerminationProtectionEnabled: aws.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteEventDataStore(t.Context(), del); err != nil {
		t.Fatal(err)
	}
	if got := l.get(arn); got.Status != types.EventDataStoreStatusPendingDeletion {
		t.Errorf("deleted: %s", got.Status)
	}
	if _, err := l.DeleteEventDataStore(t.Context(), del); code(err) != "InactiveEventDataStoreException" {
		t.Errorf("deleting twice: %v", err)
	}
	c.Advance(6 * day)
	if back, err := l.RestoreEventDataStore(t.Context(), &cloudtrail.RestoreEventDataStoreInput{EventDataStore: &arn}); err != nil || back.Status != types.EventDataStoreStatusEnabled {
		t.Errorf("restored %+v, %v", back, err)
	}
	if _, err := l.RestoreEventDataStore(t.Context(), &cloudtrail.RestoreEventDataStoreInput{EventDataStore: &arn}); code(err) != "InvalidEventDataStoreStatusException" {
		t.Errorf("restoring twice: %v", err)
	}
	if _, err := l.DeleteEventDataStore(t.Context(), del); err != nil {
		t.Fatal(err)
	}
	c.Advance(7*day + time.Minute)
	if _, err := l.GetEventDataStore(t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: &arn}); code(err) != "EventDataStoreNotFoundException" {
		t.Errorf("after seven days: %v", err)
	}
	l.create("short") // the name is free again
}

func TestEventDataStoreRefuses(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	there := l.create("there")
	selectors := func(category ...string) []types.AdvancedEventSelector {
		var out []types.AdvancedEventSelector
		for _, k := range category {
			out = append(out, types.AdvancedEventSelector{FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{k}}}})
		}
		return out
	}
	for name, tt := range map[string]struct {
		in   cloudtrail.CreateEventDataStoreInput
		want string
	}{
		"NameTaken":        {cloudtrail.CreateEventDataStoreInput{Name: aws.String("there")}, "EventDataStoreAlreadyExistsException"},
		"RetentionShort":   {cloudtrail.CreateEventDataStoreInput{RetentionPeriod: aws.Int32(6)}, "InvalidParameterException"},
		"RetentionLong":    {cloudtrail.CreateEventDataStoreInput{RetentionPeriod: aws.Int32(3654)}, "InvalidParameterException"},
		"NameShort":        {cloudtrail.CreateEventDataStoreInput{Name: aws.String("ab")}, "InvalidParameterException"},
		"KeyMalformed":     {cloudtrail.CreateEventDataStoreInput{KmsKeyId: aws.String("no key")}, "InvalidKmsKeyIdException"},
		"RetentionByMode":  {cloudtrail.CreateEventDataStoreInput{RetentionPeriod: aws.Int32(2558), BillingMode: types.BillingModeFixedRetentionPricing}, "InvalidParameterException"},
		"UnknownCategory":  {cloudtrail.CreateEventDataStoreInput{AdvancedEventSelectors: selectors("Lunch")}, "InvalidEventSelectorsException"},
		"NoCategory":       {cloudtrail.CreateEventDataStoreInput{AdvancedEventSelectors: []types.AdvancedEventSelector{{FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("readOnly"), Equals: []string{"true"}}}}}}, "InvalidEventSelectorsException"},
		"TwoCategories":    {cloudtrail.CreateEventDataStoreInput{AdvancedEventSelectors: selectors("Management", "ActivityAuditLog")}, "InvalidEventSelectorsException"},
		"Configuration":    {cloudtrail.CreateEventDataStoreInput{AdvancedEventSelectors: selectors("ConfigurationItem")}, "NotImplemented"},
		"Insights":         {cloudtrail.CreateEventDataStoreInput{AdvancedEventSelectors: selectors("Insight")}, "NotImplemented"},
		"ReservedTag":      {cloudtrail.CreateEventDataStoreInput{TagsList: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}}, "InvalidTagParameterException"},
		"NoSuchKey":        {cloudtrail.CreateEventDataStoreInput{KmsKeyId: aws.String("alias/none")}, "InsufficientEncryptionPolicyException"},
		"KeyElsewhere":     {cloudtrail.CreateEventDataStoreInput{KmsKeyId: aws.String("arn:aws:kms:eu-west-1:111122223333:key/x")}, "InvalidKmsKeyIdException"},
		"NoOrganization":   {cloudtrail.CreateEventDataStoreInput{OrganizationEnabled: aws.Bool(true)}, "OrganizationsNotInUseException"},
		"OrganizationKind": {cloudtrail.CreateEventDataStoreInput{OrganizationEnabled: aws.Bool(true), AdvancedEventSelectors: selectors("ActivityAuditLog")}, "InvalidParameterException"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.in.Name == nil {
				tt.in.Name = aws.String("other")
			}
			if _, err := l.CreateEventDataStore(t.Context(), &tt.in); code(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	update := func(in cloudtrail.UpdateEventDataStoreInput) string {
		in.EventDataStore = &there
		_, err := l.UpdateEventDataStore(t.Context(), &in)
		return code(err)
	}
	got := []string{
		update(cloudtrail.UpdateEventDataStoreInput{BillingMode: types.BillingModeFixedRetentionPricing}),
		update(cloudtrail.UpdateEventDataStoreInput{AdvancedEventSelectors: selectors("ActivityAuditLog")}),
		update(cloudtrail.UpdateEventDataStoreInput{OrganizationEnabled: aws.Bool(true)}),
	}
	if d := cmp.Diff([]string{"InvalidParameterException", "InvalidEventSelectorsException", "OrganizationsNotInUseException"}, got); d != "" {
		t.Errorf("updates:\n%s", d)
	}
	for arn, want := range map[string]string{
		"nothing": "EventDataStoreARNInvalidException", "no thing": "EventDataStoreARNInvalidException",
		"arn:aws:cloudtrail:us-east-1:111122223333:trail/x":                                             "EventDataStoreARNInvalidException",
		"arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/00000000-0000-4000-8000-000000000000": "EventDataStoreNotFoundException",
		"00000000-0000-4000-8000-000000000000":                                                          "EventDataStoreNotFoundException",
	} {
		if _, err := l.GetEventDataStore(t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: &arn}); code(err) != want {
			t.Errorf("%s: %v", arn, err)
		}
	}
	audit := l.create("audit", func(in *cloudtrail.CreateEventDataStoreInput) {
		in.AdvancedEventSelectors = selectors("ActivityAuditLog")
	})
	if _, err := l.StopEventDataStoreIngestion(t.Context(), &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &audit}); code(err) != "InvalidEventDataStoreCategoryException" {
		t.Errorf("stopping what takes events from outside: %v", err)
	}
	if _, err := l.StartEventDataStoreIngestion(t.Context(), &cloudtrail.StartEventDataStoreIngestionInput{EventDataStore: &there}); code(err) != "InvalidEventDataStoreStatusException" {
		t.Errorf("starting twice: %v", err)
	}
	for i := range 8 {
		l.create(fmt.Sprintf("more-%d", i))
	}
	if _, err := l.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{Name: aws.String("eleventh")}); code(err) != "EventDataStoreMaxLimitExceededException" {
		t.Errorf("an eleventh: %v", err)
	}
	if _, err := lakeOf(t, c.Root(other)).GetEventDataStore(t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: &there}); code(err) != "AccessDeniedException" {
		t.Errorf("another account: %v", err)
	}
}

// What an event data store takes is asked for by queries, and goes when it is too old.
func TestIngestion(t *testing.T) {
	c := cloudtest.Start(t)
	root := c.Config()
	l := lakeOf(t, root)
	use(t, root) // before there is a store
	store := l.create("history", func(in *cloudtrail.CreateEventDataStoreInput) { in.RetentionPeriod = aws.Int32(7) })
	use(t, root)
	use(t, c.Root(other))
	elsewhere := root.Copy()
	elsewhere.Region = "eu-west-1"
	use(t, elsewhere)
	c.Advance(6 * time.Minute)
	events := func() []string {
		t.Helper()
		return l.ask("SELECT awsRegion, eventName FROM %s WHERE eventSource = 'kms.amazonaws.com' ORDER BY eventTime, eventName DESC, awsRegion", id(store))
	}
	want := []string{"eu-west-1|CreateKey", "us-east-1|CreateKey", "eu-west-1|Encrypt", "us-east-1|Encrypt"}
	sorted := func(s []string) []string { return slicesSorted(s) }
	if d := cmp.Diff(sorted(want), sorted(events())); d != "" {
		t.Errorf("events:\n%s", d)
	}
	if _, err := l.StopEventDataStoreIngestion(t.Context(), &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &store}); err != nil {
		t.Fatal(err)
	}
	use(t, root)
	c.Advance(time.Hour)
	if d := cmp.Diff(sorted(want), sorted(events())); d != "" {
		t.Errorf("after it stopped:\n%s", d)
	}
	if _, err := l.StartEventDataStoreIngestion(t.Context(), &cloudtrail.StartEventDataStoreIngestionInput{EventDataStore: &store}); err != nil {
		t.Fatal(err)
	}
	use(t, root)
	c.Advance(6 * time.Minute)
	want = append(want, "us-east-1|CreateKey", "us-east-1|Encrypt")
	if d := cmp.Diff(sorted(want), sorted(events())); d != "" {
		t.Errorf("after it began again:\n%s", d)
	}
	c.Advance(8 * day)
	if got := events(); len(got) != 0 {
		t.Errorf("after eight days: %v", got)
	}
}

func slicesSorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// The management account's store has the events of members.
func TestOrganizationEventDataStore(t *testing.T) {
	w := start(t)
	w.organize()
	member := w.member("sales")
	l := lakeOf(t, w.Config())
	store := l.create("all", func(in *cloudtrail.CreateEventDataStoreInput) { in.OrganizationEnabled = aws.Bool(true) })
	use(t, w.Root(member))
	use(t, w.Root(other))
	w.Advance(6 * time.Minute)
	if got := l.ask("SELECT DISTINCT recipientAccountId FROM %s WHERE eventSource = 'kms.amazonaws.com'", id(store)); len(got) != 1 || got[0] != member {
		t.Errorf("accounts %v, want %s", got, member)
	}
	if _, err := lakeOf(t, w.Root(member)).CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{
		Name: aws.String("mine"), OrganizationEnabled: aws.Bool(true),
	}); code(err) != "NotOrganizationMasterAccountException" {
		t.Errorf("a member: %v", err)
	}
}
