package cloudtrail

import (
	"errors"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
)

func TestCovers(t *testing.T) {
	own := trailRecord{Account: "1", Region: "r"}
	wide := trailRecord{Account: "1", Region: "r", MultiRegion: true, GlobalEvents: true}
	shared := trailRecord{Account: "1", Region: "r", GlobalEvents: true, Organization: "o"}
	for name, c := range map[string]struct {
		trail                *trailRecord
		account, org, region string
		global, want         bool
	}{
		"Own":             {&own, "1", "", "r", false, true},
		"OtherRegion":     {&own, "1", "", "s", false, false},
		"OtherAccount":    {&own, "2", "", "r", false, false},
		"NoGlobalEvents":  {&own, "1", "", "r", true, false},
		"AllRegions":      {&wide, "1", "", "s", false, true},
		"GlobalEvents":    {&wide, "1", "", "s", true, true},
		"Member":          {&shared, "2", "o", "r", false, true},
		"MemberElsewhere": {&shared, "2", "o", "s", false, false},
		"Stranger":        {&shared, "2", "p", "r", false, false},
		"InNone":          {&shared, "2", "", "r", false, false},
		"Management":      {&shared, "1", "", "r", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.trail.covers(c.account, c.org, c.region, c.global); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestResourcePolicyParse(t *testing.T) {
	const at = "arn:aws:cloudtrail:us-east-1:111122223333:"
	channel, lake := thing{kind: aChannel, arn: at + "channel/c"}, thing{kind: aStore, arn: at + "eventdatastore/e"}
	statement := func(rest string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},` + rest + `}]}`
	}
	for name, c := range map[string]struct {
		of       thing
		document string
		ok       bool
	}{
		"Channel":      {channel, statement(`"Action":"cloudtrail-data:PutAuditEvents","Resource":"` + channel.arn + `"`), true},
		"Store":        {lake, statement(`"Action":["cloudtrail:StartQuery","cloudtrail:GetQueryResults"],"Resource":"` + lake.arn + `"`), true},
		"NoJSON":       {channel, `{`, false},
		"OtherAction":  {channel, statement(`"Action":"cloudtrail:StartQuery","Resource":"` + channel.arn + `"`), false},
		"OtherService": {lake, statement(`"Action":"kms:Decrypt","Resource":"` + lake.arn + `"`), false},
		"OtherThing":   {channel, statement(`"Action":"cloudtrail-data:PutAuditEvents","Resource":"` + lake.arn + `"`), false},
		"AnyThing":     {channel, statement(`"Action":"cloudtrail-data:PutAuditEvents","Resource":"*"`), false},
		"NotAction":    {channel, statement(`"NotAction":"cloudtrail-data:x","Resource":"` + channel.arn + `"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.of.parse(c.document)
			_, refused := errors.AsType[*cloudtrail.ResourcePolicyNotValidException](err)
			if c.ok && (err != nil || p == nil) || !c.ok && !refused {
				t.Errorf("got %v", err)
			}
		})
	}
}
