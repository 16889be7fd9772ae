package cloudwatch_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// CloudWatch is spoken to in three protocols. The SDK for Go has CBOR; others send forms, or JSON.
func TestProtocols(t *testing.T) {
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Clock, cfg.Dev = clock.NewFrozen(noon), true })
	post := func(body []byte, headers ...string) string {
		t.Helper()
		r, err := http.NewRequest("POST", c.URL+"/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		signed := "host;x-amz-date"
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i] == "X-Amz-Target" {
				signed += ";x-amz-target"
			}
		}
		r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
		// In dev mode nobody holds the signature of an unknown key against anything.
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=222233334444/"+time.Now().UTC().Format("20060102")+"/us-east-1/monitoring/aws4_request, SignedHeaders="+signed+", Signature="+strings.Repeat("0", 64))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const form, json = "application/x-www-form-urlencoded; charset=utf-8", "application/x-amz-json-1.0"
	put := "Action=PutMetricData&Version=2010-08-01&Namespace=Test&MetricData.member.1.MetricName=m&MetricData.member.1.Value=3&MetricData.member.1.Timestamp=2026-11-27T12%3A00%3A00Z" +
		"&MetricData.member.1.Dimensions.member.1.Name=Queue&MetricData.member.1.Dimensions.member.1.Value=one"
	if got := post([]byte(put), "Content-Type", form); !strings.Contains(got, "<PutMetricDataResponse") {
		t.Errorf("PutMetricData in a form: %s", got)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, put)
	z.Close()
	if got := post(packed.Bytes(), "Content-Type", form, "Content-Encoding", "gzip"); !strings.Contains(got, "<PutMetricDataResponse") {
		t.Errorf("PutMetricData in a compressed form: %s", got)
	}
	if got := post([]byte("Action=GetMetricStatistics&Version=2010-08-01&Namespace=Test&MetricName=m&StartTime=2026-11-27T12%3A00%3A00Z&EndTime=2026-11-27T13%3A00%3A00Z&Period=60"+
		"&Statistics.member.1=Sum&Dimensions.member.1.Name=Queue&Dimensions.member.1.Value=one"), "Content-Type", form); !strings.Contains(got, "<Sum>6") {
		t.Errorf("GetMetricStatistics in a form: %s", got)
	}
	if got := post([]byte(`{"Namespace":"Test","MetricName":"m","StartTime":1795780800,"EndTime":1795784400,"Period":60,"Statistics":["Sum"],"Dimensions":[{"Name":"Queue","Value":"one"}]}`),
		"Content-Type", json, "X-Amz-Target", "GraniteServiceVersion20100801.GetMetricStatistics"); !strings.Contains(got, `"Sum":6`) {
		t.Errorf("GetMetricStatistics in JSON: %s", got)
	}
	if got := post([]byte("Action=SetAlarmState&Version=2010-08-01&AlarmName=a&StateValue=OK&StateReason=x"), "Content-Type", form); !strings.Contains(got, "<Code>ResourceNotFound</Code>") {
		t.Errorf("SetAlarmState of no alarm: %s", got)
	}
	if got := post([]byte("Action=SetAlarmState&Version=2010-08-01&AlarmName=a&StateValue=INVALID&StateReason=x"), "Content-Type", form); !strings.Contains(got, "<Code>ValidationError</Code>") ||
		!strings.Contains(got, "failed to satisfy constraint: Member must satisfy enum value set") {
		t.Errorf("SetAlarmState to no state: %s", got)
	}
}
