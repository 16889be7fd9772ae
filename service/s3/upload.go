package s3

import (
	"context"
	"crypto/fips140"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// upload is a body that was taken in. It stands in the body's place in the request, so that a call that is run again finds it.
type upload struct {
	blob     string // where the bytes are
	size     int64
	etag     string
	checksum checksum
	key      objectKey // what the bytes are encrypted with, besides the blob store's own key; empty where a key of KMS is not asked for
}

// Read and Close make an upload a body, of which nothing is left to read.
func (*upload) Read([]byte) (int, error) { return 0, io.EOF }
func (*upload) Close() error             { return nil }

// again reports whether a call that failed so is run again, with the upload that it has taken in.
func again(err error) bool { return errors.Is(err, call.ErrAgain) || errors.Is(err, store.ErrConflict) }

// take reads the body of a request into the blob store, where nothing appears unless all of it is as the caller says.
func (s *Service) take(ctx context.Context, in *s3.PutObjectRequest, withKey bool) (*upload, error) {
	r, err := newIntake(in)
	if err != nil {
		return nil, err
	}
	up := &upload{blob: newBlob()}
	var bytes blob.Store = s.cfg.Blob
	if withKey {
		up.key = newObjectKey()
		bytes = blob.Seal(bytes, up.key)
	}
	if _, err := bytes.Put(ctx, up.blob, r); err != nil {
		if r.failed != nil {
			return nil, r.failed
		}
		return nil, fmt.Errorf("storing an object's bytes: %w", err)
	}
	up.size, up.checksum = r.size, r.checksum()
	if r.md5 != nil && !withKey {
		up.etag = hex.EncodeToString(r.md5.Sum(nil))
	} else {
		// Not a digest of the bytes, and no client may take it for one:
		// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
		var opaque [md5.Size]byte
		rand.Read(opaque[:])
		up.etag = hex.EncodeToString(opaque[:])
	}
	return up, nil
}

// intake reads a body and holds it against what the request says of it. It gives io.EOF only if all is right.
type intake struct {
	src       io.Reader
	size      int64
	announced int64 // -1 if the request does not say

	md5       hash.Hash // nil in FIPS mode, which has none
	wantMD5   string    // in hexadecimal digits
	algorithm string
	sum       hash.Hash
	wantSum   string // in Base64; "" if the request does not say

	failed error // what Read failed with
}

// streamed is a body as the door gives it: it may have come in chunks, which are verified while it is read, with headers behind them.
type streamed interface {
	Chunked() bool
	DecodedLength() int64
	Announced() []string
}

func newIntake(in *s3.PutObjectRequest) (*intake, error) {
	r := &intake{src: in.Body, announced: -1}
	if r.src == nil {
		r.src = strings.NewReader("")
	}
	var trailers []string
	body, ok := in.Body.(streamed)
	chunked := ok && body.Chunked()
	if chunked {
		trailers, r.announced = body.Announced(), body.DecodedLength()
	} else if in.ContentLength != nil {
		r.announced = *in.ContentLength
	}
	if r.announced > maxObject {
		return nil, tooLarge(r.announced)
	}
	if !fips140.Enabled() {
		r.md5 = md5.New()
	}
	if in.ContentMD5 != nil {
		want, err := base64.StdEncoding.DecodeString(*in.ContentMD5)
		if err != nil || len(want) != md5.Size {
			return nil, fault("InvalidDigest", 400, "The Content-MD5 you specified was invalid.", detail("Content-MD5", *in.ContentMD5))
		}
		if r.md5 == nil {
			return nil, notImplemented("Content-MD5")
		}
		r.wantMD5 = hex.EncodeToString(want)
	}
	var err error
	r.algorithm, r.wantSum, err = wantedChecksum(in, trailers)
	if err != nil {
		return nil, err
	}
	r.sum = newSum(r.algorithm)
	return r, nil
}

// Read implements io.Reader.
func (r *intake) Read(p []byte) (int, error) {
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.src.Read(p)
	r.size += int64(n)
	if r.size > maxObject {
		r.failed = tooLarge(r.size)
		return 0, r.failed
	}
	if r.md5 != nil {
		r.md5.Write(p[:n])
	}
	r.sum.Write(p[:n])
	switch {
	case err == io.EOF:
		err = r.verify()
	case err != nil:
		err = brokenOff(err)
	}
	if err != io.EOF {
		r.failed = err
	}
	return n, err
}

// brokenOff is what the caller hears of a body that could not be read to its end.
func brokenOff(err error) error {
	if _, ok := errors.AsType[*sigv4.Error](err); ok {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault("RequestTimeout", 400,
			"Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.")
	}
	return incomplete()
}

// verify says io.EOF if the body is as the request says.
func (r *intake) verify() error {
	switch {
	case r.announced >= 0 && r.size != r.announced:
		return incomplete()
	case r.wantMD5 != "" && hex.EncodeToString(r.md5.Sum(nil)) != r.wantMD5:
		return badDigest("Content-MD5")
	case r.wantSum != "" && r.checksum().Value != r.wantSum:
		return badDigest(r.algorithm)
	}
	return io.EOF
}

func (r *intake) checksum() checksum {
	return checksum{r.algorithm, base64.StdEncoding.EncodeToString(r.sum.Sum(nil))}
}

func incomplete() error {
	return fault("IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

func badDigest(what string) error {
	return fault("BadDigest", 400, "The "+what+" you specified did not match the calculated checksum.")
}

func tooLarge(size int64) error {
	return fault("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size",
		wire.Detail{Name: "ProposedSize", Value: fmt.Sprint(size)}, wire.Detail{Name: "MaxSizeAllowed", Value: fmt.Sprint(int64(maxObject))})
}

// checkMD5 holds a document against the Content-MD5 that came with it.
func checkMD5(want *string, document string) error {
	if want == nil {
		return nil
	}
	digest, err := base64.StdEncoding.DecodeString(*want)
	if err != nil || len(digest) != md5.Size {
		return fault("InvalidDigest", 400, "The Content-MD5 you specified was invalid.", detail("Content-MD5", *want))
	}
	if fips140.Enabled() {
		return notImplemented("Content-MD5")
	}
	if sum := md5.Sum([]byte(document)); string(sum[:]) != string(digest) {
		return badDigest("Content-MD5")
	}
	return nil
}
