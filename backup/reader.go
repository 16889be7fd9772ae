package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/store"
)

// File is a backup of which the header was read.
type File struct {
	Header

	preamble []byte
	r        *bufio.Reader
}

// Sink takes what a backup holds. Nothing that it was given counts until Read has returned without an error.
type Sink interface {
	// Pair takes a pair of the store, in ascending order of keys. The slices are the sink's to keep.
	Pair(key, value []byte) error
	// Segment takes a segment of the audit log, and reads it to its end. The name is what the writer was given: a sink that makes a file of it has to look at it.
	Segment(name string, r io.Reader) error
	// Object takes an object, as Segment does.
	Object(key string, r io.Reader) error
}

// Open reads the header.
func Open(r io.Reader) (*File, error) {
	f := &File{r: bufio.NewReaderSize(r, sealedSize)}
	start := make([]byte, len(magic)+2+4)
	switch n, err := io.ReadFull(f.r, start); {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	case n < len(magic) || string(start[:len(magic)]) != magic:
		return nil, ErrNoBackup
	case n < len(start):
		return nil, fmt.Errorf("%w: it ends in its header", ErrDamaged)
	}
	if format := binary.BigEndian.Uint16(start[len(magic):]); format > Format {
		return nil, fmt.Errorf("%w: its format is %d, and this version reads up to %d", ErrNewer, format, Format)
	} else if format == 0 {
		return nil, ErrNoBackup
	}
	length := binary.BigEndian.Uint32(start[len(magic)+2:])
	if length > maxHeader {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrDamaged, length)
	}
	var header bytes.Buffer // grows with what is there, whatever the length says
	if n, err := io.CopyN(&header, f.r, int64(length)); err == io.EOF || err == nil && n < int64(length) {
		return nil, fmt.Errorf("%w: it ends in its header", ErrDamaged)
	} else if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(header.Bytes(), &f.Header); err != nil {
		return nil, fmt.Errorf("%w: its header cannot be read", ErrDamaged)
	}
	f.preamble = append(start, header.Bytes()...)
	return f, nil
}

// Read passes everything on to the sink, and returns how much it was once all of it is known to be what was written. It can be called once.
func (f *File) Read(key []byte, sink Sink) (Contents, error) {
	c, err := newChunks(key, f.preamble)
	if err != nil {
		return Contents{}, err
	}
	plain := &opener{chunks: c, r: f.r, buf: make([]byte, sealedSize), space: make([]byte, 0, chunkSize)}
	unzip, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return Contents{}, plain.failure(err)
	}
	defer unzip.Close()
	e := newEntries(unzip)
	e.withoutObjects = binary.BigEndian.Uint16(f.preamble[len(magic):]) == withoutObjects
	if err := e.read(sink); err != nil {
		return Contents{}, plain.failure(err)
	}
	// The decoder stops where the compressed bytes end, which need not be where the file does.
	if n, err := io.Copy(io.Discard, plain); err != nil || n > 0 {
		return Contents{}, plain.failure(fmt.Errorf("%w: something follows its end", ErrDamaged))
	}
	return e.contents, nil
}

// entries reads entries.
type entries struct {
	r        *bufio.Reader
	sum      hash.Hash
	contents Contents
	lastKey  []byte
	kind     byte // of the entry that was begun

	withoutObjects bool // as the format was
}

func newEntries(r io.Reader) *entries {
	return &entries{r: bufio.NewReaderSize(r, maxData), sum: sha256.New()}
}

func (e *entries) read(sink Sink) error {
	if err := e.begin(); err != nil {
		return err
	}
	for {
		switch {
		case e.kind == pairEntry && e.contents.Segments == 0 && e.contents.Objects == 0:
			key, value, err := e.pair()
			if err != nil {
				return err
			}
			if err := sink.Pair(key, value); err != nil {
				return err
			}
			if err := e.begin(); err != nil {
				return err
			}
		case e.kind == segmentEntry && e.contents.Objects == 0:
			e.contents.Segments++
			if err := e.stream(sink.Segment); err != nil {
				return err
			}
		case e.kind == objectEntry && !e.withoutObjects:
			e.contents.Objects++
			if err := e.stream(sink.Object); err != nil {
				return err
			}
		case e.kind == endEntry:
			return e.end()
		default:
			return fmt.Errorf("%w: an entry of kind %q", ErrDamaged, e.kind)
		}
	}
}

// stream passes on a name and the data behind it.
func (e *entries) stream(take func(name string, r io.Reader) error) error {
	name, err := e.bytes(maxName)
	if err != nil {
		return err
	}
	d := &data{e: e}
	if err := take(string(name), d); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, d) // what the sink left
	return err
}

// begin reads the kind of the next entry.
func (e *entries) begin() (err error) {
	e.kind, err = e.r.ReadByte()
	if err == nil && e.kind != endEntry {
		e.sum.Write([]byte{e.kind})
	}
	return missing(err)
}

func (e *entries) pair() (key, value []byte, err error) {
	if key, err = e.bytes(store.MaxKeySize); err != nil {
		return nil, nil, err
	}
	if value, err = e.bytes(store.MaxValueSize); err != nil {
		return nil, nil, err
	}
	if e.contents.Pairs > 0 && bytes.Compare(key, e.lastKey) <= 0 {
		return nil, nil, fmt.Errorf("%w: its pairs are not in order", ErrDamaged)
	}
	e.lastKey = append(e.lastKey[:0], key...)
	e.contents.Pairs++
	e.contents.Bytes += uint64(len(key) + len(value))
	return key, value, nil
}

// bytes reads a length and so many bytes.
func (e *entries) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(e.r)
	if err != nil {
		return nil, missing(err)
	}
	if n > limit {
		return nil, fmt.Errorf("%w: an entry of %d bytes", ErrDamaged, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(e.r, b); err != nil {
		return nil, missing(err)
	}
	e.sum.Write(binary.AppendUvarint(nil, n))
	e.sum.Write(b)
	return b, nil
}

// end compares what was there with what the writer counted.
func (e *entries) end() error {
	var told Contents
	counts := []*uint64{&told.Pairs, &told.Segments, &told.Objects, &told.Bytes}
	if e.withoutObjects {
		counts = slices.Delete(counts, 2, 3)
	}
	for _, p := range counts {
		n, err := binary.ReadUvarint(e.r)
		if err != nil {
			return missing(err)
		}
		*p = n
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(e.r, sum[:]); err != nil {
		return missing(err)
	}
	if told != e.contents || !bytes.Equal(sum[:], e.sum.Sum(nil)) {
		return fmt.Errorf("%w: it does not hold what was counted when it was written", ErrDamaged)
	}
	switch _, err := e.r.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	default:
		return missing(err)
	}
}

// missing makes of the end of the bytes, where more must come, what it means, and of what the decoder refuses.
func missing(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrDamaged):
		return err
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: its end is missing", ErrDamaged)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// data is the data of a segment or object. At its end, the kind of the entry behind it has been read.
type data struct {
	e    *entries
	rest []byte
	done bool
}

func (d *data) Read(b []byte) (int, error) {
	for len(d.rest) == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.e.begin(); err != nil {
			return 0, err
		}
		if d.e.kind != dataEntry {
			d.done = true
			return 0, io.EOF
		}
		var err error
		if d.rest, err = d.e.bytes(maxData); err != nil {
			return 0, err
		}
		d.e.contents.Bytes += uint64(len(d.rest))
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
