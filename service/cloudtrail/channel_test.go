package cloudtrail_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// outside makes an event data store for events from outside.
func outside(in *cloudtrail.CreateEventDataStoreInput) {
	in.AdvancedEventSelectors = []types.AdvancedEventSelector{{FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{"ActivityAuditLog"}}}}}
}

func to(stores ...string) (d []types.Destination) {
	for i := range stores {
		d = append(d, types.Destination{Type: types.DestinationTypeEventDataStore, Location: &stores[i]})
	}
	return d
}

// channel makes a channel and returns its ARN.
func (l lake) channel(name string, stores ...string) string {
	l.t.Helper()
	out, err := l.CreateChannel(l.t.Context(), &cloudtrail.CreateChannelInput{Name: &name, Source: aws.String("Custom"), Destinations: to(stores...)})
	if err != nil {
		l.t.Fatal(err)
	}
	return *out.ChannelArn
}

// putEvent is an entry of PutAuditEvents.
type putEvent struct {
	ID       string `json:"id"`
	Data     string `json:"eventData"`
	Checksum string `json:"eventDataChecksum,omitempty"`
}

// putAnswer is the answer: codes of the errors of the events that were not taken by their IDs, and the IDs that the others got.
type putAnswer struct {
	Failed     map[string]string
	Successful map[string]string
	Error      string // code
}

// put sends PutAuditEvents as somebody. The SDK's client of the service is a module of its own, so the request is made by hand.
func put(t *testing.T, as aws.Config, channel, externalID string, events ...putEvent) (a putAnswer) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"auditEvents": events})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"channelArn": {channel}}
	if externalID != "" {
		query.Set("externalId", externalID)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, *as.BaseEndpoint+"/PutAuditEvents?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	who, err := as.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), who, req, hex.EncodeToString(sum[:]), "cloudtrail-data", as.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Failed, Successful                  []struct{ ID, ErrorCode, EventID string }
		Code, Type, Message, ErrorMessageIs string
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		kind, _, _ := strings.Cut(res.Header.Get("X-Amzn-Errortype"), ":")
		return putAnswer{Error: kind}
	}
	a.Failed, a.Successful = make(map[string]string), make(map[string]string)
	for _, f := range out.Failed {
		a.Failed[f.ID] = f.ErrorCode
	}
	for _, s := range out.Successful {
		a.Successful[s.ID] = s.EventID
	}
	return a
}

// happened is an event from outside, changed by pairs of old and new text.
func happened(c *cloudtest.Cloud, name string, changes ...string) string {
	text := fmt.Sprintf(`{"version":"1","userIdentity":{"type":"staff","principalId":"ann","details":{"desk":7}},"eventSource":"shop.example","eventName":"%s",
		"eventTime":"%s","UID":"u-1","requestParameters":{"cart":"42"},"recipientAccountId":"%s"}`, name, c.Now().UTC().Format(time.RFC3339), c.Account)
	return strings.NewReplacer(changes...).Replace(text)
}

func TestChannel(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store, second := l.create("store", outside), l.create("second", outside)
	channel := l.channel("shop", store)
	if !strings.HasPrefix(channel, "arn:aws:cloudtrail:us-east-1:111122223333:channel/") {
		t.Error(channel)
	}
	if list, err := l.ListChannels(t.Context(), nil); err != nil || len(list.Channels) != 1 || *list.Channels[0].Name != "shop" {
		t.Errorf("listed %+v, %v", list, err)
	}
	up, err := l.UpdateChannel(t.Context(), &cloudtrail.UpdateChannelInput{Channel: &channel, Name: aws.String("market"), Destinations: to(store, second)})
	if err != nil || *up.Name != "market" || len(up.Destinations) != 2 {
		t.Errorf("updated %+v, %v", up, err)
	}
	management := l.create("management")
	refuse := func(in cloudtrail.CreateChannelInput) string {
		if in.Name == nil {
			in.Name = aws.String("new")
		}
		if in.Source == nil {
			in.Source = aws.String("Custom")
		}
		_, err := l.CreateChannel(t.Context(), &in)
		return code(err)
	}
	got := []string{
		refuse(cloudtrail.CreateChannelInput{Name: aws.String("market"), Destinations: to(store)}),
		refuse(cloudtrail.CreateChannelInput{Source: aws.String("Nightly"), Destinations: to(store)}),
		refuse(cloudtrail.CreateChannelInput{Destinations: to(management)}),
		refuse(cloudtrail.CreateChannelInput{Destinations: to("00000000-0000-4000-8000-000000000000")}),
		refuse(cloudtrail.CreateChannelInput{Destinations: to("x.y")}),
		refuse(cloudtrail.CreateChannelInput{Destinations: to(store, store)}),
	}
	want := []string{"ChannelAlreadyExistsException", "InvalidSourceException", "InvalidEventDataStoreCategoryException", "EventDataStoreNotFoundException",
		"EventDataStoreARNInvalidException", "InvalidParameterException"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("refusals:\n%s", d)
	}
	if _, err := l.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &second}); code(err) != "ChannelExistsForEDSException" {
		t.Errorf("deleting a destination: %v", err)
	}
	if _, err := l.DeleteChannel(t.Context(), &cloudtrail.DeleteChannelInput{Channel: &channel}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.GetChannel(t.Context(), &cloudtrail.GetChannelInput{Channel: &channel}); code(err) != "ChannelNotFoundException" {
		t.Errorf("a deleted channel: %v", err)
	}
	if _, err := l.GetChannel(t.Context(), &cloudtrail.GetChannelInput{Channel: aws.String("abc")}); code(err) != "ChannelARNInvalidException" {
		t.Errorf("no ARN: %v", err)
	}
	if _, err := l.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: &second}); err != nil {
		t.Fatal(err)
	}
	if got := refuse(cloudtrail.CreateChannelInput{Destinations: to(second)}); got != "InactiveEventDataStoreException" {
		t.Errorf("to a deleted store: %s", got)
	}
}

func TestPutAuditEvents(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
			root := c.Config()
			l := lakeOf(t, root)
			store := l.create("store", outside)
			channel := l.channel("shop", store)
			buy := happened(c, "Buy")
			sum := sha256.Sum256([]byte(buy))
			checksum := base64.StdEncoding.EncodeToString(sum[:])
			a := put(t, root, channel, "",
				putEvent{"good", buy, checksum}, putEvent{"plain", happened(c, "Sell"), ""},
				putEvent{"sum", buy, base64.StdEncoding.EncodeToString(make([]byte, 32))},
				putEvent{"json", "{", ""}, putEvent{"list", "[]", ""}, putEvent{"type", happened(c, "x", `"UID":"u-1"`, `"UID":1`), ""},
				putEvent{"nobody", happened(c, "x", `"userIdentity"`, `"user"`), ""}, putEvent{"nameless", happened(c, "", "", ""), ""},
				putEvent{"long", happened(c, strings.Repeat("x", 1025)), ""}, putEvent{"account", happened(c, "x", c.Account, other), ""},
				putEvent{"time", happened(c, "x", `"eventTime":"2`, `"eventTime":"yesterday `), ""}, putEvent{"future", happened(c, "x", `"eventTime":"2`, `"eventTime":"9`), ""},
				putEvent{"object", happened(c, "x", `{"cart":"42"}`, `"cart"`), ""}, putEvent{"large", happened(c, "x", "42", strings.Repeat("4", 101<<10)), ""},
			)
			want := map[string]string{
				"sum": "InvalidChecksum", "json": "InvalidData", "list": "InvalidData", "type": "InvalidData", "nobody": "FieldNotFound", "nameless": "FieldNotFound",
				"long": "FieldTooLong", "account": "InvalidRecipient", "time": "InvalidData", "future": "InvalidData", "object": "InvalidData", "large": "FieldTooLong",
			}
			if d := cmp.Diff(want, a.Failed); d != "" || len(a.Successful) != 2 || a.Error != "" {
				t.Errorf("answer %+v\n%s", a, d)
			}
			if a := put(t, root, channel, "", putEvent{"one", buy, ""}, putEvent{"one", buy, ""}); a.Error != "DuplicatedAuditEventId" {
				t.Errorf("one ID twice: %+v", a)
			}
			if a := put(t, root, "nothing", "", putEvent{"one", buy, ""}); a.Error != "InvalidChannelARN" {
				t.Errorf("no ARN: %+v", a)
			}
			if a := put(t, root, "arn:aws:cloudtrail:us-east-1:111122223333:channel/00000000-0000-4000-8000-000000000000", "", putEvent{"one", buy, ""}); a.Error != "ChannelNotFound" {
				t.Errorf("no channel: %+v", a)
			}
			ask := func() []string {
				return l.ask("SELECT eventID, eventCategory, eventData.eventName, eventData.userIdentity.principalId FROM %s ORDER BY eventData.eventName", id(store))
			}
			found := []string{a.Successful["good"] + "|ActivityAuditLog|Buy|ann", a.Successful["plain"] + "|ActivityAuditLog|Sell|ann"}
			if d := cmp.Diff(found, ask()); d != "" {
				t.Errorf("at once:\n%s", d)
			}
			c.Advance(6 * time.Minute)
			if d := cmp.Diff(found, ask()); d != "" {
				t.Errorf("in a segment:\n%s", d)
			}
			got, err := l.GetChannel(t.Context(), &cloudtrail.GetChannelInput{Channel: &channel})
			if err != nil || got.IngestionStatus.LatestIngestionSuccessTime == nil || *got.IngestionStatus.LatestIngestionErrorCode != "FieldTooLong" {
				t.Errorf("status %+v, %v", got.IngestionStatus, err)
			}
		})
	}
}

// Other accounts need the channel's policy, which may ask for an external ID.
func TestPutAuditEventsFromAnotherAccount(t *testing.T) {
	c := cloudtest.Start(t)
	l := lakeOf(t, c.Config())
	store := l.create("store", outside)
	channel := l.channel("shop", store)
	partner := c.Root(other)
	event := putEvent{"one", happened(c, "Buy"), ""}
	if a := put(t, partner, channel, "", event); a.Error != "ChannelInsufficientPermission" {
		t.Errorf("without a policy: %+v", a)
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"cloudtrail-data:PutAuditEvents","Resource":"%s",
		"Condition":{"StringEquals":{"cloudtrail:ExternalId":"secret-7"}}}]}`, other, channel)
	if _, err := l.PutResourcePolicy(t.Context(), &cloudtrail.PutResourcePolicyInput{ResourceArn: &channel, ResourcePolicy: &policy}); err != nil {
		t.Fatal(err)
	}
	if a := put(t, partner, channel, "wrong", event); a.Error != "ChannelInsufficientPermission" {
		t.Errorf("with another external ID: %+v", a)
	}
	if a := put(t, partner, channel, "secret-7", event); len(a.Successful) != 1 {
		t.Errorf("with the external ID: %+v", a)
	}
	if got := l.ask("SELECT eventData.eventName, recipientAccountId FROM %s", id(store)); len(got) != 1 || got[0] != "Buy|"+c.Account {
		t.Errorf("found %v", got)
	}
}
