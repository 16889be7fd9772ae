package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/durable"
)

// Complete segments move from the directory into the archive, which is a blob store:
//
//	audit/seg-<unix nanoseconds>-<number>.zst    as in the directory
//	audit/seg-<unix nanoseconds>-<number>.idx    put after it, and deleted before it
//
// The files in the directory are removed when both are there.
const archivePrefix = "audit/"

func archiveKey(stem, suffix string) string { return archivePrefix + stem + suffix }

// piece is a part of an index in the archive.
type piece struct {
	stem   string
	copies int // of the segment; what came back is shipped as something new
	at     int
	size   int
}

// piecesLimit bounds the parts of archived indexes that are kept ready, in bytes. The head of one is a few kilobytes.
const piecesLimit = 64 << 20

func newPieces(archive blob.Store) *cache.Cache[piece, []byte] {
	weigh := func(p piece, b []byte) int { return len(p.stem) + len(b) + 64 }
	return cache.Weighed(piecesLimit, weigh, func(ctx context.Context, p piece) ([]byte, error) {
		b := make([]byte, p.size)
		n, err := archivedFile{ctx, archive, archiveKey(p.stem, indexSuffix)}.ReadAt(b, int64(p.at))
		if err == io.EOF {
			err = nil
		}
		return b[:n:n], err
	})
}

// Ship moves all segments that are complete into the archive. What cannot be moved stays where it is, and is tried again by Run.
func (t *Trail) Ship(ctx context.Context) error {
	if t.log == nil || t.log.archive == nil {
		return nil
	}
	if err := t.log.ship(ctx); err != nil {
		return fmt.Errorf("moving audit log segments into the archive: %w", err)
	}
	return nil
}

func (l *segmentLog) ship(ctx context.Context) error {
	l.mu.Lock()
	all, current := l.segments, l.current
	l.mu.Unlock()
	var errs []error
	for _, s := range all {
		if s == current {
			continue
		}
		if err := l.shipOne(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.stem, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// shipOne moves a segment into the archive, unless somebody copies the log.
func (l *segmentLog) shipOne(ctx context.Context, s *segment) error {
	if now := l.state(s); now.archived || now.removed || now.lost != nil {
		return nil
	}
	if err := l.complete(ctx, s); err != nil {
		return err
	}
	if !l.shipping.TryLock() {
		return nil // whoever holds it wakes Run
	}
	defer l.shipping.Unlock()
	l.building.Lock()
	defer l.building.Unlock()
	if now := l.state(s); !now.packed || now.archived || now.removed {
		return nil
	}
	for _, suffix := range []string{zstdSuffix, indexSuffix} {
		if err := l.put(ctx, s.stem, suffix); err != nil {
			return err
		}
	}
	l.change(s, func(s *segment) { s.archived = true })
	return l.removeFiles(s)
}

// put puts a file into the archive. What is there already was left by a try that was cut off, or by a segment that came back.
func (l *segmentLog) put(ctx context.Context, stem, suffix string) error {
	f, err := os.Open(filepath.Join(l.dir, stem+suffix))
	if err != nil {
		return err
	}
	defer f.Close()
	key := archiveKey(stem, suffix)
	_, err = l.archive.Put(ctx, key, f)
	if !errors.Is(err, blob.ErrExists) {
		return err
	}
	if same, err := l.holds(ctx, key, f); same || err != nil {
		return err
	}
	if err := l.archive.Delete(ctx, key); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = l.archive.Put(ctx, key, f)
	return err
}

// holds reports whether the archive holds the bytes of a file under a key.
func (l *segmentLog) holds(ctx context.Context, key string, f *os.File) (bool, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	r, _, err := l.archive.Get(ctx, key, 0, -1)
	if err != nil {
		if errors.Is(asAltered(err), ErrAltered) {
			return false, nil
		}
		return false, err
	}
	defer r.Close()
	there, here := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(r, there)
		m, ferr := io.ReadFull(f, here)
		ended := err == io.EOF || err == io.ErrUnexpectedEOF
		switch fended := ferr == io.EOF || ferr == io.ErrUnexpectedEOF; {
		case ferr != nil && !fended:
			return false, ferr
		case err != nil && !ended:
			if errors.Is(asAltered(err), ErrAltered) {
				return false, nil
			}
			return false, err
		case !bytes.Equal(there[:n], here[:m]):
			return false, nil
		case ended || fended:
			return ended == fended, nil
		}
	}
}

// fetch brings a segment back from the archive, so that its index can be made again.
func (l *segmentLog) fetch(ctx context.Context, s *segment) error {
	size, err := archivedFile{ctx, l.archive, archiveKey(s.stem, zstdSuffix)}.size()
	if err != nil {
		return err
	}
	r, _, err := l.archive.Get(ctx, archiveKey(s.stem, zstdSuffix), 0, -1)
	if err != nil {
		return asAltered(err)
	}
	defer r.Close()
	target := filepath.Join(l.dir, s.stem+zstdSuffix)
	tmp, err := os.OpenFile(target+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	n, err := io.Copy(tmp, r)
	err = asAltered(err)
	if err == nil && n != size {
		err = fmt.Errorf("%w: it is %d bytes long", ErrAltered, n)
	}
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(l.dir, s.stem+indexSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := durable.Rename(tmp.Name(), target); err != nil {
		return err
	}
	l.change(s, func(s *segment) { s.archived = false; s.copies++ })
	return nil
}
