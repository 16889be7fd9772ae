package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
)

// exportPatience is how long one file may take.
const exportPatience = 10 * time.Minute

// exporter copies the files of trails from a bucket into a directory, each digest with its object's metadata beside it.
type exporter struct {
	client *kmsclient.Client
	bucket string
	to     *os.Root
	err    io.Writer
	files  int
	bytes  int64
}

func exportTrail(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "trail export", "--bucket NAME --to DIR [flags]")
	bucket := f.String("bucket", "", "`name` of the bucket that the trail delivers to")
	prefix := f.String("prefix", "", "take only files whose keys begin with this `text`")
	to := f.String("to", "", "`directory` to write to, which must be empty or not exist")
	var c connection
	c.register(f, "S3", "the bucket (default that of the AWS configuration, or us-east-1)")
	if err := f.parse(args); err != nil {
		return err
	}
	if *bucket == "" || *to == "" {
		return fmt.Errorf("%w: --bucket and --to are needed", errUsage)
	}
	client, err := c.client(ctx, e, kmsclient.Config{Patience: exportPatience}, "AWS_ENDPOINT_URL_S3")
	if err != nil {
		return err
	}
	root, err := emptyDir(*to)
	if err != nil {
		return err
	}
	defer root.Close()
	x := &exporter{client: client, bucket: *bucket, to: root, err: e.err}
	if err := x.all(ctx, *prefix); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s: %d files with %.1f MiB of bucket %s, not yet checked: run holdfast trail verify.\n", *to, x.files, float64(x.bytes)/(1<<20), *bucket)
	return err
}

// emptyDir opens a directory with nothing in it: what an earlier export left behind would be taken for files of the bucket.
func emptyDir(dir string) (*os.Root, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("%s is not empty, and files there would be taken for files of the bucket", dir)
	}
	return os.OpenRoot(dir)
}

// all copies every file of a trail whose key begins with prefix.
func (x *exporter) all(ctx context.Context, prefix string) error {
	in := &s3.ListObjectsV2Request{Bucket: new(x.bucket), Prefix: new(prefix)}
	for {
		t, err := x.client.Transport(ctx)
		if err != nil {
			return err
		}
		page, err := s3.Client{Transport: t}.ListObjectsV2(&call.Call{Context: ctx}, in)
		if err != nil {
			return fmt.Errorf("listing the bucket %s: %w", x.bucket, err)
		}
		for _, o := range page.Contents {
			if o.Key == nil || !ofTrail(*o.Key) {
				continue
			}
			if err := x.one(ctx, *o.Key); err != nil {
				return fmt.Errorf("copying %q: %w", *o.Key, err)
			}
		}
		if page.IsTruncated == nil || !*page.IsTruncated || page.NextContinuationToken == nil {
			return nil
		}
		in.ContinuationToken = page.NextContinuationToken
	}
}

// ofTrail tells whether a key is one below AWSLogs/, where all files of trails are. Folders are no files.
func ofTrail(key string) bool {
	return (strings.HasPrefix(key, "AWSLogs/") || strings.Contains(key, "/AWSLogs/")) && !strings.HasSuffix(key, "/")
}

// one copies a file. A key that is no path, or one where metadata belongs, is none that a trail gave: it is told, and left out.
func (x *exporter) one(ctx context.Context, key string) error {
	if !fs.ValidPath(key) || strings.Contains(key, `\`) || strings.HasSuffix(key, verify.Metadata) {
		_, err := fmt.Fprintf(x.err, "ADDED     %q is no file of a trail, and was left out.\n", key)
		return err
	}
	t, err := x.client.Transport(ctx)
	if err != nil {
		return err
	}
	out, err := s3.Client{Transport: t}.GetObject(&call.Call{Context: ctx}, &s3.GetObjectRequest{Bucket: new(x.bucket), Key: new(key)})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if err := x.write(key, out.Body); err != nil {
		return err
	}
	x.files++
	if !strings.Contains(key, "/CloudTrail-Digest/") {
		return nil
	}
	metadata, err := json.Marshal(out.Metadata)
	if err != nil {
		return err
	}
	return x.write(key+verify.Metadata, bytes.NewReader(append(metadata, '\n')))
}

func (x *exporter) write(name string, from io.Reader) (err error) {
	if err := x.to.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := x.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, from)
	x.bytes += n
	return err
}

// firstKeys is before the first public key of any trail.
var firstKeys = time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)

// trailKeys saves the public keys of regions, as aws cloudtrail list-public-keys prints them, one answer a line.
func trailKeys(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "trail keys", "--to FILE [flags]")
	to := f.String("to", "", "`file` to write, which must not exist, or - for the standard output")
	var c connection
	c.register(f, "CLOUDTRAIL", "the keys; several are parted by commas (default that of the AWS configuration, or us-east-1)")
	if err := f.parse(args); err != nil {
		return err
	}
	if *to == "" {
		return fmt.Errorf("%w: --to is missing", errUsage)
	}
	var answers bytes.Buffer
	for region := range strings.SplitSeq(c.region, ",") {
		one := c
		one.region = region
		client, err := one.client(ctx, e, kmsclient.Config{}, "AWS_ENDPOINT_URL_CLOUDTRAIL")
		if err != nil {
			return err
		}
		if err := keysOf(ctx, client, &answers); err != nil {
			return fmt.Errorf("asking for the public keys of %s: %w", client.Region(), err)
		}
	}
	if *to == standard {
		_, err := e.out.Write(answers.Bytes())
		return err
	}
	err := durable.CreateFile(*to, answers.Bytes())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, and saved keys are not replaced", *to)
	}
	return err
}

func keysOf(ctx context.Context, client *kmsclient.Client, out io.Writer) error {
	t, err := client.Transport(ctx)
	if err != nil {
		return err
	}
	in := &cloudtrail.ListPublicKeysRequest{StartTime: new(firstKeys)}
	for {
		page, err := cloudtrail.Client{Transport: t}.ListPublicKeys(&call.Call{Context: ctx}, in)
		if err != nil {
			return err
		}
		answer := struct{ PublicKeyList []cloudtrail.PublicKey }{page.PublicKeyList}
		if err := json.NewEncoder(out).Encode(answer); err != nil {
			return err
		}
		if page.NextToken == nil {
			return nil
		}
		in.NextToken = page.NextToken
	}
}
