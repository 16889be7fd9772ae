package eventselect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/eventselect"
)

const record = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA","arn":"arn:aws:iam::111122223333:user/ann","accountId":"111122223333",` +
	`"accessKeyId":"AKIA","userName":"ann","sessionContext":{"attributes":{"arn":"no","mfaAuthenticated":"false"}}},"eventTime":"2026-11-26T22:43:38Z","eventSource":"s3.amazonaws.com",` +
	`"eventName":"PutObject","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.1","userAgent":"aws \"cli\"\\","errorCode":"AccessDenied","requestParameters":{"key":"a}]","eventName":"no","list":[1,{"x":null}]},` +
	`"responseElements":null,"requestID":"r","eventID":"e","readOnly":false,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::b/a"},{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}],` +
	`"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","vpcEndpointId":"vpce-1","eventCategory":"Data","sessionCredentialFromConsole":"true"}`

func TestEventOf(t *testing.T) {
	got, err := eventselect.EventOf([]byte(record))
	want := eventselect.Event{
		ID: "e", Account: "111122223333", Region: "eu-central-1", Category: "Data", Name: "PutObject", Source: "s3.amazonaws.com", Type: "AwsApiCall", Console: true,
		ErrorCode: "AccessDenied", UserARN: "arn:aws:iam::111122223333:user/ann", VPCEndpoint: "vpce-1",
		Resources: []eventselect.Resource{{"AWS::S3::Object", "arn:aws:s3:::b/a"}, {"AWS::S3::Bucket", "arn:aws:s3:::b"}},
	}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v %s", err, cmp.Diff(want, got))
	}
	t.Run("Escapes", func(t *testing.T) {
		got, err := eventselect.EventOf([]byte(` { "event\u004eame" : "a\"\u00e9\\" , "readOnly" : true, "userIdentity":null, "resources":null, "eventType":5 } `))
		if err != nil || got.Name != `a"é\` || !got.ReadOnly || got.Type != "" {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("KeepsNothing", func(t *testing.T) {
		b := []byte(`{"eventName":"GetObject"}`)
		got, err := eventselect.EventOf(b)
		clear(b)
		if err != nil || got.Name != "GetObject" {
			t.Errorf("%+v %v", got, err)
		}
	})
	for _, bad := range []string{
		"", " ", "null", "5", "[]", `"x"`, "{", "}", `{"eventName"}`, `{"eventName":}`, `{"eventName":"x"`, `{"eventName":"x",}`, `{"eventName":"x"}}`, `{"eventName":"\x"}`, `{"eventName":"x`,
		`{"resources":[}`, `{"resources":[{"ARN":"x"}`, `{"resources":[{"ARN":"x"} {}]}`, `{"userIdentity":{"arn":"x"}`, `{"a":{"b":[}`, `{"a":,"b":1}`, `{5:1}`,
	} {
		if e, err := eventselect.EventOf([]byte(bad)); err == nil {
			t.Errorf("%s: %+v", bad, e)
		}
	}
}

// text is a JSON value as a string, or "" for one of another kind.
func text(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// What is read of a record is what encoding/json reads, wherever that reads it.
func FuzzEventOf(fz *testing.F) {
	fz.Add([]byte(record))
	fz.Add([]byte(` { "event\u004eame" : "a\"\u00e9\\" , "readOnly" : true, "resources":[null,5,{"ARN":null}] } `))
	fz.Add([]byte(`{"readOnly":"true","userIdentity":{"arn":"a"},"userIdentity":{}}`))
	fz.Fuzz(func(t *testing.T, b []byte) {
		got, err := eventselect.EventOf(b)
		var top map[string]json.RawMessage
		if json.Unmarshal(b, &top) != nil || top == nil {
			return // it may be taken; it must not crash
		}
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if strings.Contains(string(b), `\u`) || strings.ContainsRune(string(b), '\ufffd') || !json.Valid(b) {
			return // encoding/json replaces what is no UTF-8
		}
		want := map[string]string{
			"eventID": got.ID, "recipientAccountId": got.Account, "awsRegion": got.Region, "eventCategory": got.Category, "eventName": got.Name, "eventSource": got.Source,
			"eventType": got.Type, "errorCode": got.ErrorCode, "vpcEndpointId": got.VPCEndpoint,
		}
		for k, v := range want {
			if w := text(top[k]); strings.ToValidUTF8(v, "\ufffd") != strings.ToValidUTF8(w, "\ufffd") && !strings.ContainsRune(w, '\ufffd') {
				t.Errorf("%s of %q: got %q, want %q", k, b, v, w)
			}
		}
		if ro := strings.Trim(string(top["readOnly"]), `"`); got.ReadOnly != (ro == "true") {
			t.Errorf("readOnly of %q: %v", b, got.ReadOnly)
		}
		m, err := eventselect.Compile([]eventselect.Selector{selector("eventCategory Equals Management")})
		if err != nil {
			t.Fatal(err)
		}
		if m.Match(&got) != (got.Category == "Management") {
			t.Errorf("match of %q", b)
		}
	})
}

func BenchmarkEventOf(b *testing.B) {
	raw := []byte(record)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventselect.EventOf(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	m, err := eventselect.Compile([]eventselect.Selector{
		selector("eventCategory Equals Management", "readOnly Equals false"),
		selector("eventCategory Equals Data", "resources.type Equals AWS::KMS::Key", "eventName Equals Decrypt"),
		selector("eventCategory Equals Data", "resources.type Equals AWS::S3::Object", "resources.ARN StartsWith arn:aws:s3:::a/ arn:aws:s3:::b/", "userIdentity.arn NotEndsWith scanner"),
	})
	if err != nil {
		b.Fatal(err)
	}
	e, err := eventselect.EventOf([]byte(record))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !m.Match(&e) {
			b.Fatal("no match")
		}
	}
}
