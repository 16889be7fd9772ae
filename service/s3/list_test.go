package s3_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// listed puts keys, and common prefixes with an arrow, into one list.
func listed(contents []types.Object, prefixes []types.CommonPrefix) (out []string) {
	for _, o := range contents {
		out = append(out, *o.Key)
	}
	for _, p := range prefixes {
		out = append(out, "> "+*p.Prefix)
	}
	return out
}

func TestList(t *testing.T) {
	h := start(t)
	all := []string{"a", "a b+c", "b/", "b/1", "b/2", "b/c/3", "c/1", "c//2", "d", "é"}
	for _, k := range all {
		h.put(k, k)
	}
	slices.Sort(all)
	for _, c := range []struct {
		name string
		in   s3.ListObjectsV2Input
		want []string
	}{
		{"All", s3.ListObjectsV2Input{}, all},
		{"Prefix", s3.ListObjectsV2Input{Prefix: aws.String("b/")}, []string{"b/", "b/1", "b/2", "b/c/3"}},
		{"Delimiter", s3.ListObjectsV2Input{Delimiter: aws.String("/")}, []string{"a", "a b+c", "d", "é", "> b/", "> c/"}},
		{"Both", s3.ListObjectsV2Input{Prefix: aws.String("b/"), Delimiter: aws.String("/")}, []string{"b/", "b/1", "b/2", "> b/c/"}},
		{"StartAfter", s3.ListObjectsV2Input{StartAfter: aws.String("b/2")}, []string{"b/c/3", "c//2", "c/1", "d", "é"}},
		{"StartAfterInAPrefix", s3.ListObjectsV2Input{StartAfter: aws.String("b/1"), Delimiter: aws.String("/")}, []string{"d", "é", "> c/"}},
		{"StartBeforePrefix", s3.ListObjectsV2Input{StartAfter: aws.String("a"), Prefix: aws.String("c")}, []string{"c//2", "c/1"}},
		{"URL", s3.ListObjectsV2Input{EncodingType: types.EncodingTypeUrl, Prefix: aws.String("a ")}, []string{"a+b%2Bc"}},
		{"Nothing", s3.ListObjectsV2Input{Prefix: aws.String("zz")}, nil},
		{"None", s3.ListObjectsV2Input{MaxKeys: aws.Int32(0)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Bucket = aws.String(bucketName)
			out := must(h.ListObjectsV2(t.Context(), &c.in))(t)
			if d := cmp.Diff(c.want, listed(out.Contents, out.CommonPrefixes)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if int(*out.KeyCount) != len(c.want) {
				t.Errorf("KeyCount is %d", *out.KeyCount)
			}
			// The same, a key a page.
			if c.name == "None" {
				return
			}
			var paged []string
			c.in.MaxKeys = aws.Int32(1)
			for {
				out := must(h.ListObjectsV2(t.Context(), &c.in))(t)
				paged = append(paged, listed(out.Contents, out.CommonPrefixes)...)
				if len(out.Contents)+len(out.CommonPrefixes) > 1 || len(paged) > 20 {
					t.Fatalf("%d keys on a page, %d in all", len(out.Contents)+len(out.CommonPrefixes), len(paged))
				}
				if c.in.ContinuationToken = out.NextContinuationToken; !*out.IsTruncated {
					break
				}
			}
			slices.SortFunc(paged, prefixesLast)
			if d := cmp.Diff(c.want, paged); d != "" {
				t.Errorf("in pages (-want +got):\n%s", d)
			}
			// And as it was before.
			old := s3.ListObjectsInput{Bucket: c.in.Bucket, Prefix: c.in.Prefix, Delimiter: c.in.Delimiter, Marker: c.in.StartAfter, EncodingType: c.in.EncodingType}
			v1 := must(h.ListObjects(t.Context(), &old))(t)
			if d := cmp.Diff(c.want, listed(v1.Contents, v1.CommonPrefixes)); d != "" {
				t.Errorf("ListObjects (-want +got):\n%s", d)
			}
		})
	}
	t.Run("ListObjectsInPages", func(t *testing.T) {
		in := s3.ListObjectsInput{Bucket: aws.String(bucketName), Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)}
		var paged []string
		for range 20 {
			out := must(h.ListObjects(t.Context(), &in))(t)
			paged = append(paged, listed(out.Contents, out.CommonPrefixes)...)
			if in.Marker = out.NextMarker; !*out.IsTruncated {
				break
			}
		}
		if d := cmp.Diff([]string{"a", "a b+c", "> b/", "> c/", "d", "é"}, paged); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
	t.Run("BadToken", func(t *testing.T) {
		_, err := h.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), ContinuationToken: aws.String("x")})
		wantCode(t, err, "InvalidArgument", 400)
	})
	t.Run("NoSuchBucket", func(t *testing.T) {
		_, err := h.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("no-such-bucket")})
		wantCode(t, err, "NoSuchBucket", 404)
	})
}

func prefixesLast(a, b string) int {
	if p, q := strings.HasPrefix(a, "> "), strings.HasPrefix(b, "> "); p != q {
		if p {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

func TestListConditions(t *testing.T) {
	h := start(t)
	h.put("mine/1", "x")
	u := client(h.User(home, "u", fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::%s",
		"Condition":{"StringLike":{"s3:prefix":"mine/*"},"NumericLessThanEquals":{"s3:max-keys":"10"},"StringEquals":{"s3:delimiter":"/"}}}}`, bucketName)))
	list := func(prefix string, most int32, delimiter string) error {
		_, err := u.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix, MaxKeys: &most, Delimiter: &delimiter})
		return err
	}
	if err := list("mine/", 10, "/"); err != nil {
		t.Error(err)
	}
	wantCode(t, list("yours/", 10, "/"), "AccessDenied", 403)
	wantCode(t, list("mine/", 11, "/"), "AccessDenied", 403)
	wantCode(t, list("mine/", 10, "-"), "AccessDenied", 403)
}

// Listings of random keys are what a naive reading of S3's documentation gives, however they are paged.
func TestListRandom(t *testing.T) {
	h := start(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	word := func(most int) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteString([]string{"a", "b", "/", "//", "\u00e9", "\U0010FFFF", "\x01"}[r.IntN(7)])
		}
		return b.String()
	}
	var keys []string
	for range 60 {
		if k := word(6); k != "" && !slices.Contains(keys, k) {
			h.put(k, "x")
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for range 60 {
		prefix, delimiter, limit := word(2), []string{"", "/", "a", "//", "\u00e9"}[r.IntN(5)], 1+r.IntN(7)
		var want []string
		for _, k := range keys {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			if head, _, found := strings.Cut(rest, delimiter); delimiter != "" && found {
				k = "> " + prefix + head + delimiter
			}
			if !slices.Contains(want, k) {
				want = append(want, k)
			}
		}
		in := &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix, Delimiter: &delimiter, MaxKeys: aws.Int32(int32(limit)), EncodingType: types.EncodingTypeUrl}
		var got []string
		for {
			out := must(h.ListObjectsV2(t.Context(), in))(t)
			page := listed(out.Contents, out.CommonPrefixes)
			for i, k := range page {
				k, isPrefix := strings.CutPrefix(k, "> ")
				k = must(url.QueryUnescape(k))(t)
				if isPrefix {
					k = "> " + k
				}
				page[i] = k
			}
			slices.SortFunc(page, func(a, b string) int {
				return strings.Compare(strings.TrimPrefix(a, "> "), strings.TrimPrefix(b, "> "))
			})
			got = append(got, page...)
			if in.ContinuationToken = out.NextContinuationToken; !*out.IsTruncated {
				break
			}
			if len(page) != limit || len(got) > len(keys) {
				t.Fatalf("seed %d: a page of %d that goes on holds %q", seed, limit, page)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: prefix %q, delimiter %q, pages of %d (-want +got):\n%s", seed, prefix, delimiter, limit, d)
		}
	}
}
