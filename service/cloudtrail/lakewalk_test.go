package cloudtrail_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// lakeStage has a thing of every kind of CloudTrail Lake.
type lakeStage struct {
	*cloudtest.Cloud
	lake
	history, stopped, deleted, outer, channelARN string
	query                                        *string
}

func newLakeStage(t *testing.T) *lakeStage {
	c := cloudtest.Start(t)
	s := &lakeStage{Cloud: c, lake: lakeOf(t, c.Config())}
	s.history, s.outer, s.deleted = s.create("history"), s.create("outer", outside), s.create("deleted")
	s.stopped = s.create("stopped", func(in *cloudtrail.CreateEventDataStoreInput) { in.StartIngestion = aws.Bool(false) })
	s.channelARN = s.channel("walked", s.outer)
	must(s.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &s.deleted}))(t)
	s.query = must(s.StartQuery(t.Context(), s.statement()))(t).QueryId
	s.results(s.query, 1)
	return s
}

func (s *lakeStage) statement() *cloudtrail.StartQueryInput {
	return &cloudtrail.StartQueryInput{QueryStatement: aws.String("SELECT eventID FROM " + id(s.history))}
}

// lakeStep is an operation that is allowed with permission for just these resources, and how it ends then.
type lakeStep struct {
	resources []string
	call      func(*lakeStage, *testing.T, aws.Config) error
	code      string
}

// lakeSteps are the operations of CloudTrail Lake that are built.
func lakeSteps(s *lakeStage) map[string]lakeStep {
	anyStore, anyChannel := "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/*", "arn:aws:cloudtrail:us-east-1:111122223333:channel/*"
	at := func(resource, code string, call func(*cloudtrail.Client, *testing.T) error) lakeStep {
		return lakeStep{[]string{resource}, func(_ *lakeStage, t *testing.T, as aws.Config) error { return call(cloudtrail.NewFromConfig(as), t) }, code}
	}
	steps := map[string]lakeStep{
		"CreateEventDataStore": at(anyStore, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{Name: aws.String("made")})
			return err
		}),
		"UpdateEventDataStore": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.UpdateEventDataStore(t.Context(), &cloudtrail.UpdateEventDataStoreInput{EventDataStore: &s.history, Name: aws.String("renamed")})
			return err
		}),
		"GetEventDataStore": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.GetEventDataStore(t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: &s.history})
			return err
		}),
		"ListEventDataStores": at("*", "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.ListEventDataStores(t.Context(), nil)
			return err
		}),
		"DeleteEventDataStore": at(s.stopped, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &s.stopped})
			return err
		}),
		"RestoreEventDataStore": at(s.deleted, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.RestoreEventDataStore(t.Context(), &cloudtrail.RestoreEventDataStoreInput{EventDataStore: &s.deleted})
			return err
		}),
		"StartEventDataStoreIngestion": at(s.stopped, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.StartEventDataStoreIngestion(t.Context(), &cloudtrail.StartEventDataStoreIngestionInput{EventDataStore: &s.stopped})
			return err
		}),
		"StopEventDataStoreIngestion": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.StopEventDataStoreIngestion(t.Context(), &cloudtrail.StopEventDataStoreIngestionInput{EventDataStore: &s.history})
			return err
		}),
		"UpdateChannel": at(s.channelARN, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.UpdateChannel(t.Context(), &cloudtrail.UpdateChannelInput{Channel: &s.channelARN, Name: aws.String("renamed")})
			return err
		}),
		"GetChannel": at(s.channelARN, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.GetChannel(t.Context(), &cloudtrail.GetChannelInput{Channel: &s.channelARN})
			return err
		}),
		"ListChannels": at("*", "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.ListChannels(t.Context(), nil)
			return err
		}),
		"DeleteChannel": at(s.channelARN, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.DeleteChannel(t.Context(), &cloudtrail.DeleteChannelInput{Channel: &s.channelARN})
			return err
		}),
		"StartQuery": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.StartQuery(t.Context(), s.statement())
			return err
		}),
		"DescribeQuery": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: s.query})
			return err
		}),
		"GetQueryResults": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.GetQueryResults(t.Context(), &cloudtrail.GetQueryResultsInput{QueryId: s.query})
			return err
		}),
		"CancelQuery": at(s.history, "InactiveQueryException", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.CancelQuery(t.Context(), &cloudtrail.CancelQueryInput{QueryId: s.query})
			return err
		}),
		"ListQueries": at(s.history, "", func(c *cloudtrail.Client, t *testing.T) error {
			_, err := c.ListQueries(t.Context(), &cloudtrail.ListQueriesInput{EventDataStore: &s.history})
			return err
		}),
		"PutAuditEvents": {[]string{s.channelARN}, func(s *lakeStage, t *testing.T, as aws.Config) error {
			if a := put(t, as, s.channelARN, "", putEvent{"x", happened(s.Cloud, "Walk"), ""}); a.Error != "" {
				return errorCode(a.Error)
			}
			return nil
		}, ""},
	}
	create := at(anyChannel, "", func(c *cloudtrail.Client, t *testing.T) error {
		_, err := c.CreateChannel(t.Context(), &cloudtrail.CreateChannelInput{Name: aws.String("made"), Source: aws.String("Custom"), Destinations: to(s.outer)})
		return err
	})
	create.resources = append(create.resources, s.outer)
	steps["CreateChannel"] = create
	return steps
}

// errorCode is the code of an error as an error.
type errorCode string

func (e errorCode) Error() string { return string(e) }

// Every operation of the lake is allowed with just the permission that it needs, refused with less, and on record both times.
func TestLakeWalk(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(lakeSteps(new(lakeStage)))) {
		t.Run(name, func(t *testing.T) {
			s := newLakeStage(t)
			step := lakeSteps(s)[name]
			action := "cloudtrail:" + name
			if name == "PutAuditEvents" {
				action = "cloudtrail-data:" + name
			}
			policy := func(statement string) string { return `{"Version":"2012-10-17","Statement":` + statement + `}` }
			refused := map[string]string{"bob": `{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"}`}
			for i, r := range step.resources {
				if r != "*" {
					others := slices.Delete(slices.Clone(step.resources), i, i+1)
					refused["carl"+strings.Repeat("l", i)] = `{"Effect":"Allow","Action":"` + action + `","Resource":["` + strings.Join(append(others, r+"x"), `","`) + `"]}`
				}
			}
			for who, statement := range refused {
				if err := step.call(s, t, s.User(s.Account, who, policy(statement))); code(err) != "AccessDeniedException" {
					t.Errorf("%s: %v", who, err)
				}
				s.onRecord(name, who, "AccessDenied")
			}
			ann := s.User(s.Account, "ann", policy(`{"Effect":"Allow","Action":"`+action+`","Resource":["`+strings.Join(step.resources, `","`)+`"]}`))
			if err := step.call(s, t, ann); code(err) != step.code {
				t.Errorf("with permission: %v", err)
			}
			s.onRecord(name, "ann", step.code)
		})
	}
}

// onRecord checks the last record of an operation.
func (s *lakeStage) onRecord(name, who, code string) {
	s.t.Helper()
	var last cloudtest.Event
	for _, e := range s.Trail(s.Account) {
		if e.EventName == name {
			last = e
		}
	}
	if last.ErrorCode != code || !strings.HasSuffix(last.UserIdentity.ARN, "/"+who) {
		s.t.Errorf("the audit record of %s: %s", who, last.Raw)
	}
}

// A store in which nothing happens costs little: a pass every five minutes, and a commit for each.
func TestQuietLake(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	l.create("history")
	c.Advance(time.Hour)
	commits := metric(t, c, "holdfast_store_commits_total")
	c.Advance(2 * day)
	if n, passes := metric(t, c, "holdfast_store_commits_total")-commits, 2*24*12; n < passes || n > passes*11/10 {
		t.Errorf("2 days took %d commits for %d passes", n, passes)
	}
}
