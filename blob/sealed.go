package blob

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/holdfast-cloud/holdfast/seal"
)

// Keys wraps data keys, bound to the name of what they encrypt. A [seal.Box] is one. Its errors are passed on; one that wraps
// [seal.ErrDamaged] is [ErrDamaged], too.
type Keys interface {
	Wrap(name string, dataKey []byte) ([]byte, error)
	Unwrap(name string, wrapped []byte) ([]byte, error)
}

// Sealed is a [Store] that keeps only ciphertext in the store behind it. Get it from [Seal].
//
//	6          "HFBL2\n"
//	2          length of the wrapped data key, big-endian
//	248        the wrapped data key, then zeros
//	65564 ...  chunks: a nonce of 12, 65536 bytes of content, encrypted, and a tag of 16; the last one is shorter or full,
//	           and only an empty object has an empty one
//
// The header has a fixed size so that the size of the content follows from the size of the object without reading it.
//
// The chunks are bound as in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, 2015), over AES-256-GCM: the
// additional data of each is its number, and a last byte that is 1 for the last chunk, so that a chunk moved, dropped,
// repeated, or cut off after does not open. The nonces are random, because FIPS 140-3 wants them drawn by the module that
// encrypts. The key is drawn at random for each object and used for nothing else: even an object of a petabyte has so few
// chunks that two with one nonce are less likely than 1 in 2^28. It is wrapped for the object's name, so objects cannot be
// exchanged. Nothing is given out before its chunk was authenticated. What is read of an object that was cut is still its
// true beginning; the cut shows at the chunk that then comes last.
type Sealed struct {
	inner Store
	keys  Keys
}

const (
	headerMagic = "HFBL2\n"
	headerSize  = 256
	maxWrapped  = headerSize - len(headerMagic) - 2
	chunkSize   = 64 << 10
	overhead    = 12 + 16 // nonce and tag
	sealedChunk = chunkSize + overhead
)

// Seal returns a store that encrypts in front of inner.
func Seal(inner Store, keys Keys) *Sealed { return &Sealed{inner, keys} }

// Put implements [Store].
func (s *Sealed) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	var dataKey [32]byte
	defer clear(dataKey[:])
	rand.Read(dataKey[:])
	wrapped, err := s.keys.Wrap(key, dataKey[:])
	if err == nil && len(wrapped) > maxWrapped {
		err = errors.New("the wrapped data key is too long")
	}
	if err != nil {
		return Info{}, fmt.Errorf("sealing %s: %w", key, err)
	}
	header := make([]byte, headerSize)
	n := copy(header, headerMagic)
	binary.BigEndian.PutUint16(header[n:], uint16(len(wrapped)))
	copy(header[n+2:], wrapped)
	aead, err := newAEAD(dataKey[:])
	if err != nil {
		return Info{}, err
	}
	info, err := s.inner.Put(ctx, key, &encrypter{src: bufio.NewReaderSize(r, chunkSize), aead: aead, out: header})
	if err != nil {
		return Info{}, err
	}
	return plainInfo(info)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: its data key is none", ErrDamaged)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// place is what binds a chunk to where it is.
func place(chunk int64, last bool) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 9), uint64(chunk))
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// encrypter is the stored form of what src gives.
type encrypter struct {
	src   *bufio.Reader
	aead  cipher.AEAD
	chunk int64
	plain []byte // one chunk, reused
	buf   []byte // one sealed chunk, reused
	out   []byte // what is still to be given out
	err   error  // comes after out
}

func (e *encrypter) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.next()
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

func (e *encrypter) next() {
	if e.plain == nil {
		e.plain, e.buf = make([]byte, chunkSize), make([]byte, sealedChunk)
	}
	n, err := io.ReadFull(e.src, e.plain)
	last := err == io.EOF || err == io.ErrUnexpectedEOF
	if err == nil {
		// A full chunk is the last one if nothing follows.
		_, err = e.src.Peek(1)
		last = err == io.EOF
	}
	switch {
	case last:
		e.err = io.EOF
	case err != nil:
		e.err = err
		return
	}
	e.out = e.aead.Seal(e.buf[:0], nil, e.plain[:n], place(e.chunk, last))
	e.chunk++
}

// plainInfo turns what the inner store says of the ciphertext into what it means for the content.
func plainInfo(info Info) (Info, error) {
	size, err := plainSize(info.Size)
	if err != nil {
		return Info{}, fmt.Errorf("%w: %s", err, info.Key)
	}
	return Info{info.Key, size}, nil
}

func plainSize(stored int64) (int64, error) {
	body := stored - headerSize
	if body < overhead {
		return 0, ErrDamaged
	}
	chunks := (body-1)/sealedChunk + 1
	if last := body - (chunks-1)*sealedChunk; last < overhead || last == overhead && chunks > 1 {
		return 0, ErrDamaged
	}
	return body - chunks*overhead, nil
}

// Get implements [Store]. A range that begins in the first chunk takes one read of the inner store, others two.
func (s *Sealed) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	first := max(off, 0) / chunkSize
	want := int64(headerSize)
	if first == 0 {
		want = storedEnd(off, n)
	}
	r, stored, err := s.inner.Get(ctx, key, 0, want)
	if err != nil {
		return nil, Info{}, err
	}
	aead, info, err := s.readHeader(r, stored)
	if err == nil {
		n, err = span(off, n, info.Size)
	}
	if err == nil && first > 0 {
		r.Close()
		from := headerSize + first*sealedChunk
		// Beginning exactly at the end of a full last chunk, there is nothing to fetch.
		if r, _, err = s.inner.Get(ctx, key, min(from, stored.Size), storedEnd(off, n)-from); err != nil {
			return nil, Info{}, err
		}
	}
	if err != nil {
		r.Close()
		return nil, Info{}, err
	}
	d := &decrypter{src: r, aead: aead, chunk: first, size: info.Size, skip: off - first*chunkSize, left: n}
	if n == 0 && info.Size > 0 {
		d.err = io.EOF
	}
	return d, info, nil
}

// storedEnd returns where the chunk ends that holds the last byte of the range, or -1 for the end of the object.
func storedEnd(off, n int64) int64 {
	if n < 0 || off < 0 || off > math.MaxInt64/2 || n > math.MaxInt64/4 {
		return -1
	}
	return headerSize + max(1, (off+n+chunkSize-1)/chunkSize)*sealedChunk
}

func (s *Sealed) readHeader(r io.Reader, stored Info) (cipher.AEAD, Info, error) {
	info, err := plainInfo(stored)
	if err != nil {
		return nil, Info{}, err
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, Info{}, damagedIfCut(err)
	}
	rest, ok := bytes.CutPrefix(header[:], []byte(headerMagic))
	length := int(binary.BigEndian.Uint16(rest))
	if !ok || length > maxWrapped || len(bytes.Trim(rest[2+length:], "\x00")) > 0 {
		return nil, Info{}, fmt.Errorf("%w: %s has no header", ErrDamaged, stored.Key)
	}
	dataKey, err := s.keys.Unwrap(stored.Key, rest[2:2+length])
	if errors.Is(err, seal.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, Info{}, fmt.Errorf("opening %s: %w", stored.Key, err)
	}
	defer clear(dataKey)
	aead, err := newAEAD(dataKey)
	return aead, info, err
}

func damagedIfCut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}

// decrypter gives out left bytes of content from a stream of sealed chunks.
type decrypter struct {
	src   io.ReadCloser
	aead  cipher.AEAD
	chunk int64 // number of the next chunk in src
	size  int64 // of the whole content
	skip  int64 // bytes of the next chunk that were not asked for
	left  int64 // bytes that were asked for and are not in out yet
	buf   []byte
	out   []byte // authenticated and asked for
	err   error  // comes after out
}

func (d *decrypter) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		d.err = d.next()
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

func (d *decrypter) next() error {
	rest := d.size - d.chunk*chunkSize
	last := rest <= chunkSize
	if d.buf == nil {
		d.buf = make([]byte, min(rest, chunkSize)+overhead)
	}
	sealed := d.buf[:min(rest, chunkSize)+overhead]
	if _, err := io.ReadFull(d.src, sealed); err != nil {
		return damagedIfCut(err)
	}
	plain, err := d.aead.Open(sealed[:0], nil, sealed, place(d.chunk, last))
	if err != nil {
		return fmt.Errorf("%w: chunk %d does not open", ErrDamaged, d.chunk)
	}
	d.chunk++
	d.out = plain[d.skip:][:min(d.left, int64(len(plain))-d.skip)]
	d.skip = 0
	d.left -= int64(len(d.out))
	if d.left == 0 {
		return io.EOF
	}
	return nil
}

// Close implements [io.Closer].
func (d *decrypter) Close() error {
	clear(d.buf)
	d.out, d.err = nil, errors.New("blob: reading after Close")
	return d.src.Close()
}

// Stat implements [Store].
func (s *Sealed) Stat(ctx context.Context, key string) (Info, error) {
	info, err := s.inner.Stat(ctx, key)
	if err != nil {
		return Info{}, err
	}
	return plainInfo(info)
}

// Delete implements [Store].
func (s *Sealed) Delete(ctx context.Context, key string) error { return s.inner.Delete(ctx, key) }

// List implements [Store].
func (s *Sealed) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range s.inner.List(ctx, prefix, after) {
			if err == nil {
				if size, bad := plainSize(info.Size); bad == nil {
					info.Size = size
				} else {
					info.Size = -1 // one damaged object must not hide the others
				}
			}
			if !yield(info, err) {
				return
			}
		}
	}
}
