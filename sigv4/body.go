package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// VerifyStream is Verify for a body that has not been read. What it returns takes the place of r.Body: it
// removes the chunked framing and fails, with an *Error, when a hash, a signature or a checksum is wrong.
// Bytes are handed out before they are verified; only io.EOF says that all of them were, so nothing that
// came from it may be kept before that.
func (v *Verifier) VerifyStream(r *http.Request, a *Authorization, secret string) (*Body, error) {
	if a.PayloadHash == "" {
		return nil, a.refuse(MissingPayloadHash, "", "")
	}
	if err := v.verify(r, a, secret, []byte(a.PayloadHash)); err != nil {
		return nil, err
	}
	b, err := Decode(r, a)
	if err != nil {
		return nil, err
	}
	if a.Payload == PayloadChunks || a.Payload == PayloadChunksTrailer {
		b.key = v.key(a, secret)
		b.previous = a.Signature
	}
	return b, nil
}

// Decode is VerifyStream for who has decided to do without a signature: it removes the framing, and verifies
// hashes and checksums but no signatures.
func Decode(r *http.Request, a *Authorization) (*Body, error) {
	b := &Body{auth: a, source: r.Body, length: a.DecodedLength}
	if b.source == nil {
		b.source = http.NoBody
	}
	switch a.Payload {
	case PayloadUnsigned:
	case PayloadSigned:
		b.hash = sha256.New()
	default:
		b.in = bufio.NewReader(b.source)
		b.hash = sha256.New()
		for _, names := range r.Header["X-Amz-Trailer"] {
			for name := range strings.SplitSeq(names, ",") {
				name = strings.ToLower(strings.TrimSpace(name))
				if len(b.announced) == maxTrailer {
					return nil, b.badTrailer()
				}
				b.announced = append(b.announced, name)
				if h := NewChecksum(name); h != nil {
					b.sums = append(b.sums, checksum{name, h})
				}
			}
		}
	}
	return b, nil
}

// Body reads a body and verifies it on the way. It is for one goroutine.
type Body struct {
	auth   *Authorization
	source io.ReadCloser
	in     *bufio.Reader // over source, when it is chunked
	err    error         // what Read answers from now on

	hash   hash.Hash // of the whole, or of the chunk
	length int64     // what the chunks should add up to
	read   int64     // what they added up to so far

	chunk    int64       // left in the chunk
	open     bool        // in a chunk, or at its end
	signed   string      // what the chunk says its signature is
	previous string      // the signature that the next one is chained to
	key      *signingKey // nil if chunks are not signed

	announced []string // lower case names in x-amz-trailer
	sums      []checksum
	trailer   http.Header
}

type checksum struct {
	name string
	hash hash.Hash
}

// Trailer returns the trailing headers, once Read has returned io.EOF.
func (b *Body) Trailer() http.Header {
	if b.err != io.EOF {
		return nil
	}
	return b.trailer
}

// Chunked reports whether the body comes in chunks: the request's length is then not that of what Read gives.
func (b *Body) Chunked() bool { return b.in != nil }

// DecodedLength is how long what Read gives says it is, of a body that comes in chunks.
func (b *Body) DecodedLength() int64 { return b.length }

// Announced returns the names of the trailing headers that are to come, in lower case.
func (b *Body) Announced() []string { return b.announced }

// Close closes the request's body.
func (b *Body) Close() error { return b.source.Close() }

// Read implements io.Reader. Errors stick.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	if b.in == nil {
		n, b.err = b.readPlain(p)
	} else {
		n, b.err = b.readChunked(p)
	}
	return n, b.err
}

func (b *Body) readPlain(p []byte) (int, error) {
	n, err := b.source.Read(p)
	if b.hash == nil {
		return n, err
	}
	b.hash.Write(p[:n])
	// A hash is no secret of ours: who sent the body knows it. It need not be compared in constant time.
	if err == io.EOF && b.auth.PayloadHash != "" && hex.EncodeToString(b.hash.Sum(nil)) != b.auth.PayloadHash {
		return n, b.auth.refuse(PayloadMismatch, "", "")
	}
	return n, err
}

func (b *Body) readChunked(p []byte) (int, error) {
	if b.chunk == 0 {
		last, err := b.nextChunk()
		if err == nil && last {
			err = b.finish()
		}
		if err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > b.chunk {
		p = p[:b.chunk]
	}
	n, err := b.in.Read(p)
	b.chunk -= int64(n)
	b.hash.Write(p[:n])
	for _, s := range b.sums {
		s.hash.Write(p[:n])
	}
	return n, b.broken(err)
}

// nextChunk closes the chunk that was read, if any, and reads the header of the next. The last has no data.
func (b *Body) nextChunk() (last bool, err error) {
	if b.open {
		if err := b.lineBreak(); err != nil {
			return false, err
		}
		if err := b.closeChunk(); err != nil {
			return false, err
		}
	}
	line, err := b.readLine()
	if err != nil {
		return false, b.broken(err)
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(size, 16, 63)
	// A chunk can only announce what is left of the length that the signature covers.
	if err != nil || int64(n) > b.length-b.read {
		return false, b.malformed()
	}
	if b.auth.Payload != PayloadUnsignedTrailer {
		signature, ok := strings.CutPrefix(extension, "chunk-signature=")
		if !ok {
			return false, b.malformed()
		}
		b.signed = signature
	}
	b.read += int64(n)
	b.chunk, b.open = int64(n), true
	return n == 0, nil
}

// closeChunk verifies the signature of the chunk that was read.
func (b *Body) closeChunk() error {
	b.open = false
	sum := b.hash.Sum(nil)
	b.hash.Reset()
	return b.verify("AWS4-HMAC-SHA256-PAYLOAD", b.signed, EmptyPayload, hex.EncodeToString(sum))
}

// verify checks a signature in the chain and makes it the one that the next is chained to.
func (b *Body) verify(kind, signature string, lines ...string) error {
	if b.key == nil {
		return nil
	}
	text := append([]byte(kind), '\n')
	text = append(text, b.auth.timestamp...)
	text = append(text, '\n')
	text = b.auth.appendScope(text)
	text = append(text, '\n')
	text = append(text, b.previous...)
	for _, l := range lines {
		text = append(text, '\n')
		text = append(text, l...)
	}
	if !sameSignature(b.key.appendSignature(nil, text), signature) {
		return b.auth.refuse(Mismatch, "", "")
	}
	b.previous = signature
	return nil
}

// finish verifies what comes after the last chunk, and returns io.EOF if all is well.
func (b *Body) finish() error {
	if err := b.closeChunk(); err != nil {
		return err
	}
	if b.read != b.length {
		return b.malformed()
	}
	if b.auth.Payload != PayloadChunks {
		if err := b.readTrailer(); err != nil {
			return err
		}
	} else if err := b.lineBreak(); err != nil {
		return err
	}
	if _, err := b.in.ReadByte(); err != io.EOF {
		if err == nil {
			return b.malformed()
		}
		return b.broken(err)
	}
	return io.EOF
}

// maxTrailer is how many trailing headers there may be. There are two or three.
const maxTrailer = 16

func (b *Body) readTrailer() error {
	b.trailer = http.Header{}
	var canonical bytes.Buffer
	var signature string
	var names []string
	for {
		line, err := b.readLine()
		if err == io.EOF && line == "" || err == nil && line == "" {
			break // S3's own example has nothing after the last of them, so neither need we
		}
		if err != nil {
			return b.broken(err)
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || len(names) == maxTrailer {
			return b.badTrailer()
		}
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		names = append(names, name)
		b.trailer.Add(name, value)
		fmt.Fprintf(&canonical, "%s:%s\n", name, value)
	}
	if b.auth.Payload == PayloadChunksTrailer {
		sum := sha256.Sum256(canonical.Bytes())
		if err := b.verify("AWS4-HMAC-SHA256-TRAILER", signature, hex.EncodeToString(sum[:])); err != nil {
			return err
		}
	}
	// Each that was announced, once, and no other.
	slices.Sort(names)
	slices.Sort(b.announced)
	if !slices.Equal(names, b.announced) {
		return b.badTrailer()
	}
	for _, s := range b.sums {
		if b.trailer.Get(s.name) != base64.StdEncoding.EncodeToString(s.hash.Sum(nil)) {
			algorithm := strings.ToUpper(strings.TrimPrefix(s.name, checksumPrefix))
			text := "The " + algorithm + " you specified did not match the calculated checksum."
			return b.auth.refuse(BadChecksum, text, text)
		}
	}
	return nil
}

// lineBreak reads an empty line.
func (b *Body) lineBreak() error {
	line, err := b.readLine()
	if err != nil {
		return b.broken(err)
	}
	if line != "" {
		return b.malformed()
	}
	return nil
}

// readLine reads up to a line break, which it takes off. It never reads more than a buffer.
func (b *Body) readLine() (string, error) {
	line, err := b.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", b.malformed()
	}
	if err != nil {
		return string(line), err
	}
	line = line[:len(line)-1]
	if !bytes.HasSuffix(line, []byte("\r")) {
		return "", b.malformed()
	}
	return string(line[:len(line)-1]), nil
}

// broken says that the body ended too early. Other errors are the connection's, or an Error already.
func (b *Body) broken(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.malformed()
	}
	return err
}

func (b *Body) malformed() error  { return b.auth.refuse(BadChunk, "", "") }
func (b *Body) badTrailer() error { return b.auth.refuse(BadTrailer, "", "") }
