package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Writer writes a backup. After an error it is of no use, and neither is what it wrote.
type Writer struct {
	sealed   *sealer
	zip      *zstd.Encoder
	sum      hash.Hash // of the entries
	contents Contents
	lastKey  []byte
	scratch  []byte
	data     []byte // a buffer of stream's
}

// NewWriter writes the header. The key is the one that the header holds in its wrapped form.
func NewWriter(w io.Writer, h Header, key []byte) (*Writer, error) {
	header, err := h.encode()
	if err != nil {
		return nil, err
	}
	preamble := append([]byte(magic), 0, Format)
	preamble = binary.BigEndian.AppendUint32(preamble, uint32(len(header)))
	preamble = append(preamble, header...)
	c, err := newChunks(key, preamble)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(preamble); err != nil {
		return nil, err
	}
	b := &Writer{sealed: &sealer{chunks: c, w: w, buf: make([]byte, 0, chunkSize)}, sum: sha256.New()}
	// One core at most: the server has other work. What is secret is encrypted already, so that compressing before encrypting tells nothing of it.
	b.zip, err = zstd.NewWriter(b.sealed, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Pair adds a pair of the store. Keys come in ascending order, and before all else.
func (w *Writer) Pair(key, value []byte) error {
	if w.contents.Pairs > 0 && bytes.Compare(key, w.lastKey) <= 0 {
		return errors.New("the pairs of a backup are not in order")
	}
	w.lastKey = append(w.lastKey[:0], key...)
	w.contents.Pairs++
	w.contents.Bytes += uint64(len(key) + len(value))
	b := appendBytes(append(w.scratch[:0], pairEntry), key)
	b = binary.AppendUvarint(b, uint64(len(value)))
	w.scratch = append(b, value...)
	return w.entry(w.scratch)
}

// Segment adds a segment of the audit log. Segments come before all objects.
func (w *Writer) Segment(name string, r io.Reader) error {
	w.contents.Segments++
	return w.stream(segmentEntry, name, r)
}

// Object adds an object.
func (w *Writer) Object(key string, r io.Reader) error {
	w.contents.Objects++
	return w.stream(objectEntry, key, r)
}

// stream adds what has a name and any length.
func (w *Writer) stream(kind byte, name string, r io.Reader) error {
	if len(name) > maxName {
		return fmt.Errorf("a name of %d bytes in a backup", len(name))
	}
	if err := w.entry(appendBytes(append(w.scratch[:0], kind), []byte(name))); err != nil {
		return err
	}
	if w.data == nil {
		w.data = make([]byte, maxData)
	}
	for {
		n, err := io.ReadFull(r, w.data)
		if n > 0 {
			w.contents.Bytes += uint64(n)
			w.scratch = appendBytes(append(w.scratch[:0], dataEntry), w.data[:n])
			if err := w.entry(w.scratch); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// Close writes the end. A backup without it is not one.
func (w *Writer) Close() (Contents, error) {
	end := binary.AppendUvarint([]byte{endEntry}, w.contents.Pairs)
	end = binary.AppendUvarint(end, w.contents.Segments)
	end = binary.AppendUvarint(end, w.contents.Objects)
	end = binary.AppendUvarint(end, w.contents.Bytes)
	end = w.sum.Sum(end)
	_, err := w.zip.Write(end)
	if err == nil {
		err = w.zip.Close()
	}
	if err == nil {
		err = w.sealed.Close()
	}
	return w.contents, err
}

func (w *Writer) entry(b []byte) error {
	w.sum.Write(b)
	_, err := w.zip.Write(b)
	return err
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}
