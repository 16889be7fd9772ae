package wire

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRouter(t *testing.T) {
	op := func(name, method, uri string, members ...Member) *Operation {
		s := structure(name+"Input", members...)
		return &Operation{Name: name, Method: method, URI: uri, NewInput: func() Shape { return &dyn{s, map[string]any{}} }}
	}
	need := func(l Location, name string) Member {
		return Member{Name: name, Target: scalar(String), Location: l, LocationName: name, Required: true}
	}
	r := NewRouter([]*Operation{
		op("ListBuckets", "GET", "/"),
		op("ListObjects", "GET", "/{Bucket}"),
		op("ListObjectsV2", "GET", "/{Bucket}?list-type=2"),
		op("GetBucketAcl", "GET", "/{Bucket}?acl"),
		op("GetObject", "GET", "/{Bucket}/{Key+}?x-id=GetObject"),
		op("GetObjectAcl", "GET", "/{Bucket}/{Key+}?acl"),
		op("ListParts", "GET", "/{Bucket}/{Key+}?x-id=ListParts", need(InQuery, "uploadId")),
		op("PutObject", "PUT", "/{Bucket}/{Key+}"),
		op("CopyObject", "PUT", "/{Bucket}/{Key+}", need(InHeader, "x-amz-copy-source")),
		op("UploadPart", "PUT", "/{Bucket}/{Key+}", need(InQuery, "partNumber"), need(InQuery, "uploadId")),
		op("UploadPartCopy", "PUT", "/{Bucket}/{Key+}", need(InHeader, "x-amz-copy-source"), need(InQuery, "partNumber"), need(InQuery, "uploadId")),
		op("SelectObject", "POST", "/{Bucket}/{Key+}?select&select-type=2"),
		op("ListFunctions", "GET", "/2015-03-31/functions/"),
		op("GetFunction", "GET", "/2015-03-31/functions/{Name}"),
		op("GetPolicy", "GET", "/2015-03-31/functions/{Name}/policy"),
		op("GetTail", "GET", "/paths/{Path+}/tail"),
		op("GetTailOf", "GET", "/paths/{Path+}/tail/{Of}"),
	})
	for _, test := range []struct {
		method, path, query string
		header              http.Header
		want                string
		labels              map[string]string
	}{
		{"GET", "/", "", nil, "ListBuckets", nil},
		{"GET", "/b", "", nil, "ListObjects", map[string]string{"Bucket": "b"}},
		{"GET", "/b/", "prefix=x", nil, "ListObjects", map[string]string{"Bucket": "b"}},
		{"GET", "/b", "list-type=2&prefix=acl", nil, "ListObjectsV2", map[string]string{"Bucket": "b"}},
		{"GET", "/b", "list-type=1", nil, "ListObjects", map[string]string{"Bucket": "b"}},
		{"GET", "/b", "acl=", nil, "GetBucketAcl", map[string]string{"Bucket": "b"}},
		{"GET", "/b/k", "", nil, "GetObject", map[string]string{"Bucket": "b", "Key": "k"}},
		{"GET", "/b/k/l%2Fm%20n/", "", nil, "GetObject", map[string]string{"Bucket": "b", "Key": "k/l/m n/"}},
		{"GET", "/b/k", "acl", nil, "GetObjectAcl", map[string]string{"Bucket": "b", "Key": "k"}},
		{"GET", "/b/k", "uploadId=u", nil, "ListParts", map[string]string{"Bucket": "b", "Key": "k"}},
		{"PUT", "/b/k", "", nil, "PutObject", map[string]string{"Bucket": "b", "Key": "k"}},
		{"PUT", "/b/k", "", http.Header{"X-Amz-Copy-Source": {"x"}}, "CopyObject", map[string]string{"Bucket": "b", "Key": "k"}},
		{"PUT", "/b/k", "partNumber=1&uploadId=u", nil, "UploadPart", map[string]string{"Bucket": "b", "Key": "k"}},
		{"PUT", "/b/k", "partNumber=1&uploadId=u", http.Header{"X-Amz-Copy-Source": {"x"}}, "UploadPartCopy", map[string]string{"Bucket": "b", "Key": "k"}},
		{"POST", "/b/k", "select&select-type=2", nil, "SelectObject", map[string]string{"Bucket": "b", "Key": "k"}},
		{"POST", "/b/k", "select", nil, "", nil},
		{"GET", "/2015-03-31/functions", "", nil, "ListFunctions", nil},
		{"GET", "/2015-03-31/functions/f%3A1", "", nil, "GetFunction", map[string]string{"Name": "f:1"}},
		{"GET", "/2015-03-31/functions/f/policy", "", nil, "GetPolicy", map[string]string{"Name": "f"}},
		{"GET", "/paths/a/b/tail", "", nil, "GetTail", map[string]string{"Path": "a/b"}},
		{"GET", "/paths/a/b/tail/c", "", nil, "GetTailOf", map[string]string{"Path": "a/b", "Of": "c"}},
		{"GET", "/b/%zz", "", nil, "", nil},
		{"DELETE", "/b", "", nil, "", nil},
		{"GET", "//k", "", nil, "", nil},
	} {
		got, labels := r.Match(test.method, test.path, test.query, test.header)
		name := ""
		if got != nil {
			name = got.Name
		}
		if name != test.want {
			t.Errorf("Match(%s %s?%s): %q, want %q", test.method, test.path, test.query, name, test.want)
			continue
		}
		if test.labels == nil {
			test.labels = map[string]string{}
		}
		if diff := cmp.Diff(test.labels, labels); got != nil && diff != "" {
			t.Errorf("Match(%s %s?%s): the labels: (-want +got)\n%s", test.method, test.path, test.query, diff)
		}
	}
}

// TestErrorTexts pins what errors look like on the wire.
func TestErrorTexts(t *testing.T) {
	op := testOperation(everything(), everything())
	s3 := *op.Service
	s3.ID = "S3"
	modeled := &failed{dyn{op.Errors[0], map[string]any{"message": "a<b", "Retry": int64(3)}}}
	plain := &Error{Code: "AccessDenied", Message: "no", Status: 403}
	const ns = ` xmlns="https://test.invalid/doc/2026-01-01/"`
	for _, test := range []struct {
		id   ProtocolID
		svc  *Service
		err  error
		want string
	}{
		{AWSJSON, op.Service, modeled, `{"__type":"TestCode","message":"a<b","Retry":3}`},
		{RESTJSON, op.Service, modeled, `{"message":"a<b","Retry":3}`},
		{RESTJSON, op.Service, plain, `{"message":"no"}`},
		{Query, op.Service, modeled, `<ErrorResponse` + ns + `><Error><Type>Sender</Type><Code>Test.Code</Code><Message>a&lt;b</Message><Retry>3</Retry></Error><RequestId>id</RequestId></ErrorResponse>`},
		{Query, op.Service, plain, `<ErrorResponse` + ns + `><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>id</RequestId></ErrorResponse>`},
		{EC2Query, op.Service, plain, xmlDeclaration + `<Response><Errors><Error><Code>AccessDenied</Code><Message>no</Message></Error></Errors><RequestID>id</RequestID></Response>`},
		{RESTXML, op.Service, modeled, xmlDeclaration + `<ErrorResponse` + ns + `><Error><Type>Sender</Type><Code>TestCode</Code><Message>a&lt;b</Message><Retry>3</Retry></Error><RequestId>id</RequestId></ErrorResponse>`},
		{RESTXML, &s3, plain, xmlDeclaration + `<Error><Code>AccessDenied</Code><Message>no</Message><RequestId>id</RequestId><HostId>id</HostId></Error>`},
		{RPCv2CBOR, op.Service, plain, "\xbf\x66__type\x6cAccessDenied\x67message\x62no\xff"},
	} {
		var resp Response
		For(test.id).EncodeError(test.svc, op, test.err, "id", &resp)
		if string(resp.Body) != test.want {
			t.Errorf("%s of %v: %s\nwant %s", test.id, test.err, resp.Body, test.want)
		}
	}
}

// TestUnreadable pins what each protocol answers to bodies that can not be read.
func TestUnreadable(t *testing.T) {
	op := testOperation(bound(everything()), everything())
	s3 := *op
	s3.Service = &Service{ID: "S3"}
	for _, test := range []struct {
		id         ProtocolID
		op         *Operation
		body, want string
	}{
		{AWSJSON, op, `{`, "SerializationException: "},
		{RESTJSON, op, `{`, "SerializationException: "},
		{RESTJSON, op, `{"Int":"1"}`, "SerializationException: STRING_VALUE can not be converted to an Integer"},
		{RESTXML, op, `<a>`, "MalformedInput: "},
		{RESTXML, &s3, `<a>`, "MalformedXML: The XML you provided was not well-formed or did not validate against our published schema"},
		{RESTXML, &s3, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, "MalformedXML: The XML you provided was not well-formed or did not validate against our published schema"},
		{RESTXML, &s3, `<a><Int>x</Int></a>`, "MalformedXML: The XML you provided was not well-formed or did not validate against our published schema"},
		{Query, op, `Int=x`, "MalformedInput: "},
		{Query, op, `%zz=x`, "MalformedQueryString: The query string is malformed"},
		{EC2Query, op, `Int=x`, "InvalidParameterValue: Value (x) for parameter int is invalid."},
		{RPCv2CBOR, op, "\xa1", "SerializationException: "},
		{RPCv2CBOR, op, "\xa1\x63Int\x61x", "SerializationException: STRING_VALUE can not be converted to an Integer"},
	} {
		header := http.Header{"Content-Type": {map[ProtocolID]string{AWSJSON: "application/x-amz-json-1.0", RESTJSON: "application/json", RESTXML: "application/xml",
			Query: "application/x-www-form-urlencoded", EC2Query: "application/x-www-form-urlencoded", RPCv2CBOR: "application/cbor"}[test.id]}}
		_, err := For(test.id).DecodeRequest(test.op, &Request{Method: "PUT", Path: "/fixed/a/x/b", Header: header, Body: []byte(test.body)})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s of %q: %v, want %s", test.id, test.body, err, test.want)
		}
	}
}
