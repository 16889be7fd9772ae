package interop_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	sdkr53 "github.com/aws/aws-sdk-go-v2/service/route53"
	r53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	sdks3 "github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/route53"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/s3"
)

func TestRESTXML(t *testing.T) {
	var d double
	url := serve(t, wire.RESTXML, &d, route53.OpListHostedZones, route53.OpChangeResourceRecordSets, route53.OpGetHostedZone)
	client := sdkr53.NewFromConfig(wiretest.Client(url))

	t.Run("Body", func(t *testing.T) {
		d = double{
			want: &route53.ChangeResourceRecordSetsRequest{HostedZoneId: new("Z1"), ChangeBatch: &route53.ChangeBatch{Comment: new("<&>\""),
				Changes: []route53.Change{{Action: "UPSERT", ResourceRecordSet: &route53.ResourceRecordSet{Name: new("a."), Type: "TXT", TTL: new(int64(60)),
					ResourceRecords: []route53.ResourceRecord{{Value: new("x")}, {Value: new(" y ")}}}}}}},
			out: &route53.ChangeResourceRecordSetsResponse{ChangeInfo: &route53.ChangeInfo{Id: new("C1"), Status: "PENDING", SubmittedAt: &when}},
		}
		got, err := client.ChangeResourceRecordSets(t.Context(), &sdkr53.ChangeResourceRecordSetsInput{HostedZoneId: new("/hostedzone/Z1"), ChangeBatch: &r53types.ChangeBatch{Comment: new("<&>\""),
			Changes: []r53types.Change{{Action: "UPSERT", ResourceRecordSet: &r53types.ResourceRecordSet{Name: new("a."), Type: "TXT", TTL: new(int64(60)),
				ResourceRecords: []r53types.ResourceRecord{{Value: new("x")}, {Value: new(" y ")}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "SubmittedAt", when, *got.ChangeInfo.SubmittedAt)
		ours(t, wire.RESTXML, url, route53.OpChangeResourceRecordSets, &d)
	})
	t.Run("Lists", func(t *testing.T) {
		d = double{
			want: &route53.ListHostedZonesRequest{MaxItems: new("2"), Marker: new("m")},
			out: &route53.ListHostedZonesResponse{Marker: new("m"), IsTruncated: new(true), MaxItems: new("2"),
				HostedZones: []route53.HostedZone{{Id: new("Z1"), Name: new("a."), CallerReference: new("r")}, {Id: new("Z2"), Name: new("b."), CallerReference: new("r")}}},
		}
		got, err := client.ListHostedZones(t.Context(), &sdkr53.ListHostedZonesInput{MaxItems: new(int32(2)), Marker: new("m")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "HostedZones", "Z2", *got.HostedZones[1].Id)
		ours(t, wire.RESTXML, url, route53.OpListHostedZones, &d)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{want: &route53.GetHostedZoneRequest{Id: new("Z9")}, err: &route53.NoSuchHostedZone{Message: "no Z9"}}
		_, err := client.GetHostedZone(t.Context(), &sdkr53.GetHostedZoneInput{Id: new("Z9")})
		if e, ok := errors.AsType[*r53types.NoSuchHostedZone](err); !ok || e.ErrorMessage() != "no Z9" {
			t.Errorf("GetHostedZone: %v, want NoSuchHostedZone", err)
		}
		ours(t, wire.RESTXML, url, route53.OpGetHostedZone, &d)
	})
}

func TestS3(t *testing.T) {
	var d double
	stream := "stream of \x00\xff bytes"
	url := wiretest.Serve(t, wire.For(wire.RESTXML), func(op *wire.Operation, in wire.Shape) (wire.Shape, error) {
		switch in := in.(type) {
		case *s3.PutObjectRequest:
			b, err := io.ReadAll(in.Body)
			if err != nil {
				return nil, err
			}
			same(t, "the stream", stream, string(b))
			same(t, "Key", "a b/ü+/%2F", *in.Key)
			same(t, "Metadata", map[string]string{"x-y": "z", "a": "b"}, in.Metadata)
			same(t, "ContentType", "text/x", *in.ContentType)
			same(t, "ContentLength", int64(len(stream)), *in.ContentLength)
		case *s3.GetObjectRequest:
			if d.err == nil {
				return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(stream)), ETag: new(`"e"`), ContentType: new("text/x"),
					LastModified: new(when.Truncate(1e9)), Metadata: map[string]string{"k": "v"}, ContentLength: new(int64(len(stream)))}, nil
			}
		default:
			if d.want != nil {
				same[wire.Shape](t, op.Name, d.want, in)
			}
		}
		return d.out, d.err
	}, s3.OpPutObject, s3.OpGetObject, s3.OpHeadObject, s3.OpCopyObject, s3.OpListObjectsV2, s3.OpPutBucketTagging, s3.OpGetBucketAcl, s3.OpDeleteObjects, s3.OpCreateBucket, s3.OpDeleteObject)
	client := sdks3.NewFromConfig(wiretest.Client(url), func(o *sdks3.Options) { o.UsePathStyle = true })

	t.Run("StreamIn", func(t *testing.T) {
		d = double{out: &s3.PutObjectOutput{ETag: new(`"e"`), ServerSideEncryption: "aws:kms", BucketKeyEnabled: new(true)}}
		got, err := client.PutObject(t.Context(), &sdks3.PutObjectInput{Bucket: new("bucket"), Key: new("a b/ü+/%2F"), Body: strings.NewReader(stream),
			ContentType: new("text/x"), Metadata: map[string]string{"x-y": "z", "a": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "ETag", `"e"`, *got.ETag)
		same(t, "BucketKeyEnabled", true, *got.BucketKeyEnabled)
	})
	t.Run("StreamOut", func(t *testing.T) {
		d = double{}
		got, err := client.GetObject(t.Context(), &sdks3.GetObjectInput{Bucket: new("bucket"), Key: new("k")})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the stream", stream, string(b))
		same(t, "LastModified", when.Truncate(1e9), *got.LastModified)
		same(t, "Metadata", map[string]string{"k": "v"}, got.Metadata)
	})
	t.Run("FlattenedLists", func(t *testing.T) {
		d = double{
			want: &s3.ListObjectsV2Request{Bucket: new("bucket"), Prefix: new("p/"), MaxKeys: new(int32(2))},
			out: &s3.ListObjectsV2Output{Name: new("bucket"), IsTruncated: new(true), KeyCount: new(int32(2)),
				Contents:       []s3.Object{{Key: new("p/a"), Size: new(int64(5)), LastModified: &when, ETag: new(`"e"`)}, {Key: new("p/b")}},
				CommonPrefixes: []s3.CommonPrefix{{Prefix: new("p/c/")}}},
		}
		got, err := client.ListObjectsV2(t.Context(), &sdks3.ListObjectsV2Input{Bucket: new("bucket"), Prefix: new("p/"), MaxKeys: new(int32(2))})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Contents", "p/b", *got.Contents[1].Key)
		same(t, "LastModified", when, *got.Contents[0].LastModified)
		same(t, "CommonPrefixes", "p/c/", *got.CommonPrefixes[0].Prefix)
		ours(t, wire.RESTXML, url, s3.OpListObjectsV2, &d)
	})
	t.Run("PayloadStructure", func(t *testing.T) {
		d = double{out: s3.OpPutBucketTagging.NewOutput()}
		d.want = nil
		if _, err := client.PutBucketTagging(t.Context(), &sdks3.PutBucketTaggingInput{Bucket: new("bucket"), Tagging: &s3types.Tagging{TagSet: []s3types.Tag{{Key: new("a"), Value: new("b")}}}}); err != nil {
			t.Fatal(err)
		}
		d.want = &s3.PutBucketTaggingRequest{Bucket: new("bucket"), Tagging: &s3.Tagging{TagSet: []s3.Tag{{Key: new("a"), Value: new("b")}}}}
		ours(t, wire.RESTXML, url, s3.OpPutBucketTagging, &d)
	})
	t.Run("EmptyPayload", func(t *testing.T) {
		d = double{want: &s3.CreateBucketRequest{Bucket: new("bucket")}, out: &s3.CreateBucketOutput{Location: new("/bucket")}}
		got, err := client.CreateBucket(t.Context(), &sdks3.CreateBucketInput{Bucket: new("bucket")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Location", "/bucket", *got.Location)
		ours(t, wire.RESTXML, url, s3.OpCreateBucket, &d)
	})
	t.Run("Attributes", func(t *testing.T) {
		d = double{
			want: &s3.GetBucketAclRequest{Bucket: new("bucket")},
			out: &s3.GetBucketAclOutput{Owner: &s3.Owner{ID: new("o")}, Grants: []s3.Grant{
				{Grantee: &s3.Grantee{ID: new("o"), Type: "CanonicalUser", URI: new("u")}, Permission: "READ"}}},
		}
		got, err := client.GetBucketAcl(t.Context(), &sdks3.GetBucketAclInput{Bucket: new("bucket")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Grantee.Type", s3types.TypeCanonicalUser, got.Grants[0].Grantee.Type)
		same(t, "Grantee.URI", "u", *got.Grants[0].Grantee.URI)
		ours(t, wire.RESTXML, url, s3.OpGetBucketAcl, &d)
	})
	t.Run("ToldApartByHeader", func(t *testing.T) {
		d = double{out: &s3.CopyObjectOutput{CopyObjectResult: &s3.CopyObjectResult{ETag: new(`"e"`), LastModified: &when}, VersionId: new("v")}}
		got, err := client.CopyObject(t.Context(), &sdks3.CopyObjectInput{Bucket: new("bucket"), Key: new("k"), CopySource: new("b/s")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "ETag", `"e"`, *got.CopyObjectResult.ETag)
		same(t, "VersionId", "v", *got.VersionId)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{err: &s3.NoSuchKey{Message: "The specified key does not exist."}}
		_, err := client.GetObject(t.Context(), &sdks3.GetObjectInput{Bucket: new("bucket"), Key: new("k")})
		if e, ok := errors.AsType[*s3types.NoSuchKey](err); !ok || e.ErrorMessage() != "The specified key does not exist." {
			t.Errorf("GetObject: %v, want NoSuchKey", err)
		}
	})
	t.Run("PlainError", func(t *testing.T) {
		d = double{err: &wire.Error{Code: "AccessDenied", Message: "Access Denied", Status: 403}}
		_, err := client.ListObjectsV2(t.Context(), &sdks3.ListObjectsV2Input{Bucket: new("bucket")})
		isError(t, err, "AccessDenied", "Access Denied")
	})
	t.Run("NoBody", func(t *testing.T) {
		d = double{out: &s3.DeleteObjectOutput{DeleteMarker: new(true)}}
		got, err := client.DeleteObject(t.Context(), &sdks3.DeleteObjectInput{Bucket: new("bucket"), Key: new("k")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "DeleteMarker", true, *got.DeleteMarker)
	})
	t.Run("Head", func(t *testing.T) {
		d = double{out: &s3.HeadObjectOutput{ContentLength: new(int64(5)), ETag: new(`"e"`), LastModified: new(when.Truncate(1e9))}}
		got, err := client.HeadObject(t.Context(), &sdks3.HeadObjectInput{Bucket: new("bucket"), Key: new("k")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "ContentLength", int64(5), *got.ContentLength)
	})
}
