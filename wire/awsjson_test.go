package wire_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/wire"
)

func jsonRequest(body string) *wire.Request {
	return &wire.Request{
		Method: "POST", Path: "/", Body: []byte(body),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
	}
}

func TestAWSJSONDecode(t *testing.T) {
	p := wire.For(wire.AWSJSON)
	tests := map[string]struct {
		body string
		want *kms.EncryptRequest
		err  string // message, or "-" for none
	}{
		"OK":             {`{"KeyId":"a","Plaintext":"aGk=","EncryptionContext":{"k":"v"},"GrantTokens":["t","u"],"DryRun":true}`, &kms.EncryptRequest{KeyId: new("a"), Plaintext: []byte("hi"), EncryptionContext: map[string]string{"k": "v"}, GrantTokens: []string{"t", "u"}, DryRun: new(true)}, ""},
		"Spaces":         {" {\n\t\"KeyId\" : \"a\" , \"Unknown\" : [ 1 , { \"x\" : null } ] }\r\n", &kms.EncryptRequest{KeyId: new("a")}, ""},
		"Escapes":        {`{"KeyId":"\u0041\n\"\\\/\ud83d\ude00é","Plaintext":"\/\/8="}`, &kms.EncryptRequest{KeyId: new("A\n\"\\/😀é"), Plaintext: []byte{255, 255}}, ""},
		"Null":           {`{"KeyId":null,"Plaintext":null}`, &kms.EncryptRequest{}, ""},
		"LastWins":       {`{"KeyId":"a","KeyId":"b"}`, &kms.EncryptRequest{KeyId: new("b")}, ""},
		"EscapedName":    {`{"Key\u0049d":"a"}`, &kms.EncryptRequest{KeyId: new("a")}, ""},
		"NoBody":         {``, nil, "-"},
		"NoJSON":         {`hello`, nil, "-"},
		"Trailing":       {`{} {}`, nil, "-"},
		"TrailingComma":  {`{"KeyId":"a",}`, nil, "-"},
		"MissingComma":   {`{"KeyId":"a" "Plaintext":""}`, nil, "-"},
		"Unclosed":       {`{"KeyId":"a"`, nil, "-"},
		"BadUTF8":        {"{\"KeyId\":\"\xff\"}", nil, "-"},
		"HalfPair":       {`{"KeyId":"\ud83d"}`, nil, "-"},
		"ControlByte":    {"{\"KeyId\":\"\n\"}", nil, "-"},
		"LeadingZero":    {`{"Unknown":01}`, nil, "-"},
		"BadBase64":      {`{"Plaintext":"aGk"}`, nil, "-"},
		"Deep":           {`{"Unknown":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, nil, "-"},
		"TopLevelList":   {`[]`, nil, "Start of list found where not expected"},
		"TopLevelNumber": {`1`, nil, "Expected null"},
		"NumberForText":  {`{"KeyId":1}`, nil, "NUMBER_VALUE can not be converted to a String"},
		"TrueForText":    {`{"KeyId":true}`, nil, "TRUE_VALUE can not be converted to a String"},
		"ObjectForText":  {`{"KeyId":{}}`, nil, "Start of structure or map found where not expected."},
		"ListForText":    {`{"KeyId":[]}`, nil, "Start of list found where not expected"},
		"TextForList":    {`{"GrantTokens":"a"}`, nil, "Expected list or null"},
		"TextForMap":     {`{"EncryptionContext":"a"}`, nil, "Expected map or null"},
		"TextForBool":    {`{"DryRun":"true"}`, nil, "STRING_VALUE can not be converted to a Boolean"},
		"NumberForBlob":  {`{"Plaintext":1}`, nil, "NUMBER_VALUE can not be converted to a Blob"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := p.DecodeRequest(kms.OpEncrypt, jsonRequest(test.body))
			if test.err != "" {
				e, ok := errors.AsType[*wire.Error](err)
				if !ok || e.Code != "SerializationException" || e.Message != strings.Trim(test.err, "-") {
					t.Fatalf("DecodeRequest(%s): %v, want SerializationException: %s", test.body, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("DecodeRequest(%s): %v", test.body, err)
			}
			if diff := cmp.Diff(wire.Shape(test.want), got); diff != "" {
				t.Errorf("DecodeRequest(%s): (-want +got)\n%s", test.body, diff)
			}
		})
	}

	t.Run("WrongContentType", func(t *testing.T) {
		req := jsonRequest("{}")
		req.Header.Set("Content-Type", "text/plain")
		_, err := p.DecodeRequest(kms.OpEncrypt, req)
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != "UnknownOperationException" || e.Status != 404 {
			t.Errorf("DecodeRequest of text/plain: %v, want UnknownOperationException", err)
		}
	})
}

func TestAWSJSONNumbers(t *testing.T) {
	p := wire.For(wire.AWSJSON)
	for text, want := range map[string]int32{"0": 0, "-7": -7, "1e2": 100, "1.9": 1, "2147483647": 2147483647} {
		got, err := p.DecodeRequest(kms.OpListKeys, jsonRequest(`{"Limit":`+text+`}`))
		if err != nil {
			t.Errorf("Limit %s: %v", text, err)
		} else if n := got.(*kms.ListKeysRequest).Limit; n == nil || *n != want {
			t.Errorf("Limit %s: %v, want %d", text, n, want)
		}
	}
	for _, text := range []string{"2147483648", "1e10", "-", "1.", ".5", "1e", "+1", `"1"`, "0x10", "NaN"} {
		if got, err := p.DecodeRequest(kms.OpListKeys, jsonRequest(`{"Limit":`+text+`}`)); err == nil {
			t.Errorf("Limit %s: %+v, want an error", text, got)
		}
	}
}

func TestAWSJSONEncode(t *testing.T) {
	p := wire.For(wire.AWSJSON)
	var resp wire.Response
	p.EncodeResponse(kms.OpEncrypt, &kms.EncryptResponse{CiphertextBlob: []byte("hi"), KeyId: new("a\"\\\n\x01é\xff"), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, "id-1", &resp)
	want := wire.Response{
		Status: 200,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Requestid": {"id-1"}},
		Body:   []byte(`{"CiphertextBlob":"aGk=","KeyId":"a\"\\\n\u0001é` + "\uFFFD" + `","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`),
	}
	if diff := cmp.Diff(want, resp); diff != "" {
		t.Errorf("EncodeResponse: (-want +got)\n%s", diff)
	}

	for name, test := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"Modeled":   {&kms.NotFoundException{Message: "gone"}, 400, `{"__type":"NotFoundException","message":"gone"}`},
		"NoMessage": {&kms.InvalidCiphertextException{}, 400, `{"__type":"InvalidCiphertextException"}`},
		"Plain":     {&wire.Error{Code: "AccessDeniedException", Message: "no", Status: 400}, 400, `{"__type":"AccessDeniedException","message":"no"}`},
		"Capital":   {&wire.Error{Code: "SerializationException", Message: "no", Status: 400}, 400, `{"__type":"SerializationException","Message":"no"}`},
		"Unmodeled": {errors.New("secret"), 500, `{"__type":"InternalFailure"}`},
	} {
		t.Run(name, func(t *testing.T) {
			p.EncodeError(kms.Service, kms.OpEncrypt, test.err, "id-2", &resp)
			if resp.Status != test.status || string(resp.Body) != test.body {
				t.Errorf("EncodeError(%v): %d %s, want %d %s", test.err, resp.Status, resp.Body, test.status, test.body)
			}
		})
	}
}

// BenchmarkEncrypt is what the wire adds to the hottest call: a request read and its response written.
func BenchmarkEncrypt(b *testing.B) {
	p := wire.For(wire.AWSJSON)
	req := jsonRequest(`{"KeyId":"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`)
	out := &kms.EncryptResponse{CiphertextBlob: make([]byte, 184), KeyId: new("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}
	var resp wire.Response
	b.ReportAllocs()
	for b.Loop() {
		in, err := p.DecodeRequest(kms.OpEncrypt, req)
		if err != nil {
			b.Fatal(err)
		}
		if err := wire.Validate(in); err != nil {
			b.Fatal(err)
		}
		p.EncodeResponse(kms.OpEncrypt, out, "1234abcd-12ab-34cd-56ef-1234567890ab", &resp)
	}
}
