package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The log is a row of segment files. A segment is named after a domain time that no record before it exceeds, mostly that of
// its first record, and a number that orders segments of the same time:
//
//	seg-<unix nanoseconds, 20 digits>-<number, 8 digits>.log    being written, or not compressed yet
//	seg-<unix nanoseconds, 20 digits>-<number, 8 digits>.zst    complete, the same bytes compressed, in blocks that can be read alone
//	seg-<unix nanoseconds, 20 digits>-<number, 8 digits>.idx    which records are in which block of a .zst file, see index.go
//
// and consists of frames:
//
//	length of record, 4 bytes big-endian | CRC-32C of record, 4 bytes big-endian | record, see Record.appendStored
//
// Only the end of the newest .log file can be torn, by a crash in the middle of a write, before its call was
// answered. Opening cuts such an end off, and goes on in a new segment. A frame that is broken anywhere else was altered, and
// reading reports it.
const (
	frameHeader = 8
	maxRecord   = 1 << 20
	segmentSize = 64 << 20
	segmentAge  = 24 * time.Hour // that a segment goes on for: it is kept until its last record may go
	rawSuffix   = ".log"
	zstdSuffix  = ".zst"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrAltered is reported by a reader that meets a frame that was not written so.
var ErrAltered = errors.New("audit log segment is damaged")

func segmentName(at time.Time, number int) string {
	return fmt.Sprintf("seg-%020d-%08d%s", max(at.UnixNano(), 0), number, rawSuffix)
}

func parseName(name string) (at time.Time, number int, ok bool) {
	ext := filepath.Ext(name)
	if ext != rawSuffix && ext != zstdSuffix {
		return time.Time{}, 0, false
	}
	var nanos int64
	if n, err := fmt.Sscanf(stem(name), "seg-%020d-%08d", &nanos, &number); n != 2 || err != nil || nanos < 0 {
		return time.Time{}, 0, false
	}
	return time.Unix(0, nanos), number, true
}

func stem(name string) string { return name[:len(name)-len(filepath.Ext(name))] }

// cutTail removes what a crash left behind the last whole frame: a part of a frame, or the zeros of blocks that were
// allocated and never written. Anything else is not what a crash leaves, and stays to be reported. It returns the time of the youngest record.
func cutTail(path string) (young time.Time, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return young, err
	}
	defer f.Close()
	var good int64
	var buf []byte
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		if buf, err = readFrame(r, buf); err != nil {
			break
		}
		good += frameHeader + int64(len(buf))
		if at, err := timeOf(buf); err == nil {
			young = later(young, at)
		}
	}
	if err == io.EOF {
		return young, nil
	}
	if !errors.Is(err, ErrAltered) {
		return young, err
	}
	rest, err := io.ReadAll(io.NewSectionReader(f, good, 2*segmentSize))
	if err != nil {
		return young, err
	}
	// A record ends with a brace, so zeros at the end are no part of one.
	rest = bytes.TrimRight(rest, "\x00")
	if len(rest) >= frameHeader {
		if n := binary.BigEndian.Uint32(rest); n > maxRecord || int(n) <= len(rest)-frameHeader {
			return young, nil
		}
	}
	if err := f.Truncate(good); err != nil {
		return young, err
	}
	return young, f.Sync()
}

// readFrame reads a frame into buf, which it grows as needed. It returns io.EOF at the end, and an error that wraps ErrAltered for what is no whole
// frame.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [frameHeader]byte
	switch _, err := io.ReadFull(r, head[:]); {
	case err == io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("%w: it ends in a frame", ErrAltered)
	case err != nil:
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > maxRecord {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrAltered, n)
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	switch _, err := io.ReadFull(r, buf); {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("%w: it ends in a frame", ErrAltered)
	case err != nil:
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: a checksum is wrong", ErrAltered)
	}
	return buf, nil
}

// frames yields the records of bytes that begin with a frame. A record of which the checksum is wrong comes with an error that wraps ErrAltered, and what is behind it
// follows, for mostly its length is still true. Where no frame is, a last such error comes without a record.
func frames(b []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for len(b) > 0 {
			n := uint64(maxRecord + 1)
			if len(b) >= frameHeader {
				n = uint64(binary.BigEndian.Uint32(b))
			}
			if n == 0 || n > maxRecord || uint64(len(b)) < frameHeader+n {
				yield(nil, fmt.Errorf("%w: what is there is no frame", ErrAltered))
				return
			}
			rec := b[frameHeader : frameHeader+n]
			var err error
			if crc32.Checksum(rec, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
				err = fmt.Errorf("%w: a checksum is wrong", ErrAltered)
			}
			if !yield(rec, err) {
				return
			}
			b = b[frameHeader+n:]
		}
	}
}

func appendFrame(b, rec []byte) []byte {
	start := len(b)
	b = append(appendHeader(b), rec...)
	setHeader(b[start:])
	return b
}

// appendHeader leaves room for the header of a record that is made behind it. When it is, setHeader fills it in.
func appendHeader(b []byte) []byte { return append(b, make([]byte, frameHeader)...) }

func setHeader(frame []byte) {
	rec := frame[frameHeader:]
	binary.BigEndian.PutUint32(frame, uint32(len(rec)))
	binary.BigEndian.PutUint32(frame[4:], crc32.Checksum(rec, castagnoli))
}

func readCompressed(r io.Reader, fn func(rec []byte) error) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	return readFrames(&decompressed{z}, fn)
}

// decompressed tells what is wrong with compressed bytes as an alteration.
type decompressed struct{ z io.Reader }

func (d *decompressed) Read(b []byte) (int, error) {
	n, err := d.z.Read(b)
	if _, disk := errors.AsType[*os.PathError](err); err != nil && err != io.EOF && !disk {
		err = fmt.Errorf("%w: %w", ErrAltered, err)
	}
	return n, err
}

func readFrames(r io.Reader, fn func(rec []byte) error) error {
	var buf []byte
	for {
		rec, err := readFrame(r, buf)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		buf = rec
		if err := fn(rec); err != nil {
			return err
		}
	}
}
