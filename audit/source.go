package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-cloud/holdfast/blob"
)

// source is a file of a segment, in the directory or in the archive.
type source interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
}

type localFile struct{ *os.File }

func (f localFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// unflushed is the segment that is being written, with frames that could not be written to it from the spool.
type unflushed struct {
	localFile
	tail []byte
	at   int64 // where they belong
}

func (f unflushed) ReadAt(b []byte, off int64) (n int, err error) {
	if off < f.at {
		n, err = f.localFile.ReadAt(b[:min(int64(len(b)), f.at-off)], off)
		if err != nil || n == len(b) {
			return n, err
		}
	}
	m := 0
	if skip := off + int64(n) - f.at; skip < int64(len(f.tail)) {
		m = copy(b[n:], f.tail[skip:])
	}
	if n += m; n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f unflushed) size() (int64, error) { return f.at + int64(len(f.tail)), nil }

// archivedFile is one in the archive.
type archivedFile struct {
	ctx   context.Context
	store blob.Store
	key   string
}

func (f archivedFile) ReadAt(b []byte, off int64) (int, error) {
	r, _, err := f.store.Get(f.ctx, f.key, off, int64(len(b)))
	if errors.Is(err, blob.ErrRange) {
		return 0, io.EOF
	}
	if err != nil {
		return 0, asAltered(err)
	}
	defer r.Close()
	n, err := io.ReadFull(r, b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, asAltered(err)
}

func (f archivedFile) size() (int64, error) {
	info, err := f.store.Stat(f.ctx, f.key)
	return info.Size, asAltered(err)
}

func (f archivedFile) Close() error { return nil }

// asAltered tells what is wrong with an archived object as an alteration.
func asAltered(err error) error {
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrAltered, err)
	}
	return err
}

// errPruned: the segment is one no longer.
var errPruned = errors.New("the segment was pruned")

// openData opens the frames of a segment, in the form it has now.
func (s *logSnapshot) openData(seg *segment) (_ source, raw bool, err error) {
	now := s.l.state(seg)
	if now.lost != nil {
		return nil, false, now.lost
	}
	path := filepath.Join(s.l.dir, seg.stem)
	if !now.packed {
		f, err := os.Open(path + rawSuffix)
		if err == nil && seg == s.current && s.tail != nil {
			return unflushed{localFile{f}, s.tail, s.tailAt}, true, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return localFile{f}, true, err
		}
	}
	f, err := os.Open(path + zstdSuffix)
	if !errors.Is(err, os.ErrNotExist) {
		return localFile{f}, false, err
	}
	switch now = s.l.state(seg); {
	case now.removed:
		return nil, false, errPruned
	case now.archived:
		return archivedFile{s.ctx, s.l.archive, archiveKey(seg.stem, zstdSuffix)}, false, nil
	}
	return nil, false, fmt.Errorf("%w: it is gone", ErrAltered)
}

// openIndex opens the index of a complete segment. The error wraps errIndex where there is none to use.
func (s *logSnapshot) openIndex(seg *segment) (*indexFile, error) {
	now := s.l.state(seg)
	if now.lost != nil {
		return nil, now.lost
	}
	if now.archived {
		x, err := readIndex(func(at, size int) ([]byte, error) {
			return s.l.pieces.Get(s.ctx, piece{seg.stem, now.copies, at, size})
		})
		if errors.Is(err, ErrAltered) {
			err = errors.Join(errIndex, err)
		}
		return x, err
	}
	path := filepath.Join(s.l.dir, seg.stem)
	if !now.packed {
		if _, err := os.Stat(path + rawSuffix); err == nil {
			return nil, errIndex // it is not complete, and what lies beside it may be of a try that failed
		}
	}
	return openIndex(path + indexSuffix)
}
