package s3_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// allow is an identity policy for one action on a resource.
func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`
}

func inRegion(cfg aws.Config, region string) aws.Config {
	cfg.Region = region
	return cfg
}

func TestCreateBucket(t *testing.T) {
	h := start(t)
	create := func(cfg aws.Config, name, constraint string) error {
		in := &s3.CreateBucketInput{Bucket: &name}
		if constraint != "" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(constraint)}
		}
		_, err := client(cfg).CreateBucket(t.Context(), in)
		return err
	}
	frankfurt := inRegion(h.Config(), "eu-central-1")
	for _, c := range []struct {
		name       string
		cfg        aws.Config
		bucket     string
		constraint string
		code       string
		status     int
	}{
		{"InRegion", frankfurt, "in-frankfurt", "eu-central-1", "", 0},
		{"FromFirstRegion", h.Config(), "in-ireland", "EU", "", 0},
		{"AgainInFirstRegion", h.Config(), bucketName, "", "", 0},
		{"AgainElsewhere", frankfurt, "in-frankfurt", "eu-central-1", "BucketAlreadyOwnedByYou", 409},
		{"Taken", h.Root(other), bucketName, "", "BucketAlreadyExists", 409},
		{"NoConstraint", frankfurt, "new", "", "IllegalLocationConstraintException", 400},
		{"OtherConstraint", frankfurt, "new", "eu-west-1", "IllegalLocationConstraintException", 400},
		{"NoRegion", h.Config(), "new", "atlantis", "InvalidLocationConstraint", 400},
		{"Short", h.Config(), "ab", "", "InvalidBucketName", 400},
		{"Capital", h.Config(), "Bucket", "", "InvalidBucketName", 400},
		{"Address", h.Config(), "192.168.5.4", "", "InvalidBucketName", 400},
		{"Dots", h.Config(), "a..b", "", "InvalidBucketName", 400},
		{"Reserved", h.Config(), "xn--bucket", "", "InvalidBucketName", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := create(c.cfg, c.bucket, c.constraint)
			if c.code == "" && err != nil {
				t.Error(err)
			} else if c.code != "" {
				wantCode(t, err, c.code, c.status)
			}
		})
	}
	t.Run("ACL", func(t *testing.T) {
		_, err := h.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("new"), ACL: types.BucketCannedACLPublicRead})
		wantCode(t, err, "InvalidBucketAclWithObjectOwnership", 400)
	})
	t.Run("ListBuckets", func(t *testing.T) {
		var names []string
		in := &s3.ListBucketsInput{MaxBuckets: aws.Int32(2)}
		for {
			out := must(h.ListBuckets(t.Context(), in))(t)
			for _, b := range out.Buckets {
				names = append(names, *b.Name+" "+*b.BucketRegion)
			}
			if in.ContinuationToken = out.ContinuationToken; out.ContinuationToken == nil {
				break
			}
		}
		if d := cmp.Diff([]string{"in-frankfurt eu-central-1", "in-ireland eu-west-1", bucketName + " us-east-1"}, names); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if out := must(client(h.Root(other)).ListBuckets(t.Context(), &s3.ListBucketsInput{}))(t); len(out.Buckets) > 0 {
			t.Errorf("another account sees %d buckets", len(out.Buckets))
		}
		out := must(h.ListBuckets(t.Context(), &s3.ListBucketsInput{Prefix: aws.String("in-"), BucketRegion: aws.String("eu-west-1")}))(t)
		if len(out.Buckets) != 1 || *out.Buckets[0].Name != "in-ireland" {
			t.Errorf("of a prefix and a region: %d buckets", len(out.Buckets))
		}
	})
	t.Run("Location", func(t *testing.T) {
		out := must(client(frankfurt).GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String("in-frankfurt")}))(t)
		if out.LocationConstraint != "eu-central-1" {
			t.Errorf("GetBucketLocation = %q", out.LocationConstraint)
		}
		if out := must(h.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String(bucketName)}))(t); out.LocationConstraint != "" {
			t.Errorf("GetBucketLocation of the first region = %q", out.LocationConstraint)
		}
		if out := must(client(frankfurt).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("in-frankfurt")}))(t); *out.BucketRegion != "eu-central-1" {
			t.Errorf("HeadBucket = %q", *out.BucketRegion)
		}
	})
	t.Run("FromElsewhere", func(t *testing.T) {
		_, err := h.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("in-frankfurt")})
		wantText(t, err, "AuthorizationHeaderMalformed", 400, "expecting 'eu-central-1'")
	})
}

func TestDeleteBucket(t *testing.T) {
	h := start(t)
	h.put("k", "x")
	remove := func(name string) error {
		_, err := h.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name})
		return err
	}
	wantCode(t, remove(bucketName), "BucketNotEmpty", 409)
	wantCode(t, remove("no-such-bucket"), "NoSuchBucket", 404)
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
	if err := remove(bucketName); err != nil {
		t.Fatal(err)
	}
	_, err := h.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucketName)})
	wantCode(t, err, "NotFound", 404)
	// The name is free.
	must(client(h.Root(other)).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}))(t)
}

// Operations that are known and not built answer by name, also where they share a path with one that is.
func TestNotBuilt(t *testing.T) {
	h := start(t)
	h.put("k", "x")
	bucket, key, id := aws.String(bucketName), aws.String("k"), aws.String("id")
	for name, call := range map[string]func() error{
		"CopyObject": func() error {
			_, err := h.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: bucket, Key: key, CopySource: aws.String(bucketName + "/k")})
			return err
		},
		"UploadPart": func() error {
			_, err := h.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: id, PartNumber: aws.Int32(1)})
			return err
		},
		"CreateMultipartUpload": func() error {
			_, err := h.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
			return err
		},
		"AbortMultipartUpload": func() error {
			_, err := h.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: id})
			return err
		},
		"ListParts": func() error {
			_, err := h.ListParts(t.Context(), &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: id})
			return err
		},
		"GetBucketVersioning": func() error {
			_, err := h.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: bucket})
			return err
		},
		"GetObjectTagging": func() error {
			_, err := h.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: bucket, Key: key})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantText(t, call(), "NotImplemented", 501, "s3:"+name) })
	}
}
