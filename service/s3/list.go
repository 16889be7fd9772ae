package s3

import (
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// maxKeys is how many keys and common prefixes a page holds at most.
const maxKeys = 1000

// listing is a page of a listing of keys: those that begin with a prefix, those among them that go on past a delimiter rolled up into common prefixes.
type listing struct {
	prefix, delimiter string
	after             string // keys up to it, and what is rolled up into it, have been listed
	limit             int

	objects   []*objectRecord
	prefixes  []string
	last      string // of objects and prefixes
	truncated bool
}

// read fills a page. It passes over all that is rolled up into one prefix in one step.
func (l *listing) read(b *bucket) error {
	if l.limit == 0 {
		return nil
	}
	from := l.start()
	for {
		next, done, err := l.run(b, from)
		if done || err != nil {
			return err
		}
		from = next
	}
}

// start is the first key that may belong to the page.
func (l *listing) start() string {
	if l.after == "" || l.after < l.prefix {
		return l.prefix
	}
	if common, ok := l.rollUp(l.after); ok && common == l.after {
		return behind(common)
	}
	return l.after + "\x00"
}

// run lists from a key on, up to the first common prefix, behind which the next run begins.
func (l *listing) run(b *bucket, from string) (next string, done bool, err error) {
	for o, err := range b.objects().Scan(b.c.Tx(), store.Query{Prefix: store.Key{b.Name}, From: store.Key{from}}) {
		if err != nil {
			return "", false, err
		}
		if !strings.HasPrefix(o.Key, l.prefix) {
			return "", true, nil
		}
		common, rolled := l.rollUp(o.Key)
		if rolled && common <= l.after {
			return behind(common), false, nil // listed on a page before, with a delimiter or a marker in its midst
		}
		if len(l.objects)+len(l.prefixes) == l.limit {
			l.truncated = true
			return "", true, nil
		}
		if rolled {
			l.prefixes, l.last = append(l.prefixes, common), common
			return behind(common), false, nil
		}
		l.objects, l.last = append(l.objects, o), o.Key
	}
	return "", true, nil
}

// rollUp gives the common prefix that a key is rolled up into, if it is.
func (l *listing) rollUp(key string) (string, bool) {
	if l.delimiter == "" || !strings.HasPrefix(key, l.prefix) {
		return "", false
	}
	i := strings.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(l.prefix)+i+len(l.delimiter)], true
}

// behind is the first string after all keys that begin with a prefix.
func behind(prefix string) string {
	if end := store.PrefixEnd([]byte(prefix)); end != nil {
		return string(end)
	}
	return "\xff" // keys are UTF-8, in which there is no such byte
}

// list authorizes a listing and reads it.
func (s *Service) list(c *call.Call, name, owner *string, l *listing, limit *int32) (*bucket, error) {
	b, err := s.find(c, name, owner)
	if err != nil {
		return nil, err
	}
	l.limit = maxKeys
	if limit != nil {
		if *limit < 0 {
			return nil, badArgument("max-keys", "", "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		l.limit = min(maxKeys, int(*limit))
		b.with("s3:max-keys", strconv.Itoa(int(*limit)))
	}
	b.with("s3:delimiter", l.delimiter)
	b.keys.Set("s3:prefix", l.prefix)
	if err := b.authorize(); err != nil {
		return nil, err
	}
	return b, l.read(b)
}

// encoder writes keys as a listing is asked to.
func encoder(kind s3.EncodingType) (func(string) *string, error) {
	switch kind {
	case "":
		return func(s string) *string { return &s }, nil
	case s3.EncodingTypeUrl:
		return func(s string) *string { return new(urlEncode(s)) }, nil
	}
	return nil, badArgument("encoding-type", string(kind), "Invalid Encoding Method specified in Request")
}

// urlEncode writes a key as S3 does in listings: as a form, but with slashes and asterisks as they are.
func urlEncode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_./*", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func (l *listing) contents(b *bucket, encode func(string) *string, withOwner bool) []s3.Object {
	var out []s3.Object
	for _, o := range l.objects {
		x := s3.Object{
			Key: encode(o.Key), LastModified: &o.Modified, ETag: new(o.etag()), Size: &o.Size, StorageClass: s3.ObjectStorageClassStandard,
			ChecksumAlgorithm: []s3.ChecksumAlgorithm{s3.ChecksumAlgorithm(o.Checksum.Algorithm)}, ChecksumType: s3.ChecksumTypeFullObject,
		}
		if withOwner {
			x.Owner = owner(b.Account)
		}
		out = append(out, x)
	}
	return out
}

func (l *listing) commonPrefixes(encode func(string) *string) []s3.CommonPrefix {
	var out []s3.CommonPrefix
	for _, p := range l.prefixes {
		out = append(out, s3.CommonPrefix{Prefix: encode(p)})
	}
	return out
}

// ListObjectsV2 lists a bucket's objects by key.
func (s *Service) ListObjectsV2(c *call.Call, in *s3.ListObjectsV2Request) (*s3.ListObjectsV2Output, error) {
	l := &listing{prefix: optional.Value(in.Prefix), delimiter: optional.Value(in.Delimiter), after: optional.Value(in.StartAfter)}
	place := "objects " + optional.Value(in.Bucket)
	if in.ContinuationToken != nil {
		position, err := pagetoken.Decode(place, *in.ContinuationToken)
		if err != nil {
			return nil, badToken()
		}
		l.after = string(position)
	}
	encode, err := encoder(in.EncodingType)
	if err != nil {
		return nil, err
	}
	b, err := s.list(c, in.Bucket, in.ExpectedBucketOwner, l, in.MaxKeys)
	if err != nil {
		return nil, err
	}
	out := &s3.ListObjectsV2Output{
		Name: &b.Name, Prefix: encode(l.prefix), MaxKeys: new(int32(l.limit)), EncodingType: in.EncodingType, ContinuationToken: in.ContinuationToken,
		IsTruncated: &l.truncated, KeyCount: new(int32(len(l.objects) + len(l.prefixes))),
		Contents: l.contents(b, encode, optional.Value(in.FetchOwner)), CommonPrefixes: l.commonPrefixes(encode),
	}
	if in.Delimiter != nil {
		out.Delimiter = encode(l.delimiter)
	}
	if in.StartAfter != nil {
		out.StartAfter = encode(*in.StartAfter)
	}
	if l.truncated {
		out.NextContinuationToken = new(pagetoken.Encode(place, []byte(l.last)))
	}
	return out, nil
}

// ListObjects is the listing as it was before ListObjectsV2.
func (s *Service) ListObjects(c *call.Call, in *s3.ListObjectsRequest) (*s3.ListObjectsOutput, error) {
	l := &listing{prefix: optional.Value(in.Prefix), delimiter: optional.Value(in.Delimiter), after: optional.Value(in.Marker)}
	encode, err := encoder(in.EncodingType)
	if err != nil {
		return nil, err
	}
	b, err := s.list(c, in.Bucket, in.ExpectedBucketOwner, l, in.MaxKeys)
	if err != nil {
		return nil, err
	}
	out := &s3.ListObjectsOutput{
		Name: &b.Name, Prefix: encode(l.prefix), Marker: encode(optional.Value(in.Marker)), MaxKeys: new(int32(l.limit)), EncodingType: in.EncodingType,
		IsTruncated: &l.truncated, Contents: l.contents(b, encode, true), CommonPrefixes: l.commonPrefixes(encode),
	}
	if in.Delimiter != nil {
		out.Delimiter = encode(l.delimiter)
		if l.truncated {
			out.NextMarker = encode(l.last) // without a delimiter, the last key is where to go on
		}
	}
	return out, nil
}
