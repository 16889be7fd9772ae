// Package blob keeps bulk bytes outside the store: objects, disk images, segments of the audit trail.
//
// A [Store] holds immutable objects by key. There are backends for local files ([OpenFiles]) and for memory ([Memory]);
// [Seal] puts encryption in front of any of them, under a data key of its own for each object. An owner writes the
// object first and its record in the transactional store after, and deletes in the opposite order: what a crash leaves
// behind is then an object that no record names, never a record without its object.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

var (
	// ErrNotFound says that there is no object of that key.
	ErrNotFound = errors.New("blob: no such object")

	// ErrExists is returned by Put for a key in use: objects never change.
	ErrExists = errors.New("blob: the object exists")

	// ErrRange says that a range begins beyond the object's end or is negative.
	ErrRange = errors.New("blob: range outside the object")

	// ErrKey says that a key is not one.
	ErrKey = errors.New("blob: not a key")

	// ErrDamaged says that an object's stored bytes were altered, cut, or belong to another object.
	ErrDamaged = errors.New("blob: the object is damaged")
)

// Info describes an object.
type Info struct {
	Key  string
	Size int64 // bytes of content; -1 in a listing if the object is too damaged to tell
}

// A Store holds immutable objects. All methods may be called concurrently, and none changes anything when it fails,
// except that after an error of the backend itself (a lost connection, a failing disk) the object may be there.
//
// The interface is what S3-compatible stores can do, conditional writes included, and no more.
type Store interface {
	// Put stores all that r gives, until io.EOF, as a new object. When Put returns nil the object is durable, and not
	// before then, or at its very end, does any other method see it; never a part of it. If r or ctx fails nothing is
	// stored. It returns [ErrExists] if the key is in use, also when two Puts race; r may have been read by then, and
	// the object that is there is durable.
	Put(ctx context.Context, key string, r io.Reader) (Info, error)

	// Get opens n bytes of an object from offset off on, or all from there if n is negative. A range that reaches
	// beyond the end is cut short; one that begins beyond it is [ErrRange], but beginning at the end is an empty read.
	// The Info tells of the whole object. The caller closes the reader. Reading goes on to work when the object is
	// deleted meanwhile, or fails; it never gives other bytes.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error)

	// Stat returns what Get would say of the object, without its content.
	Stat(ctx context.Context, key string) (Info, error)

	// Delete removes an object durably. Deleting what is not there succeeds.
	Delete(ctx context.Context, key string) error

	// List yields the objects whose keys begin with prefix and are greater than after, by key in byte order. Objects put
	// or deleted meanwhile may or may not appear. An error is the last thing it yields.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
}

// MaxKey is the longest key, in bytes.
const MaxKey = 512

// CheckKey returns an error that wraps [ErrKey] unless key is segments joined by "/", each of 1 to 128 of the characters
// a-z 0-9 . _ - and not beginning with a dot. So every key is a file name anywhere, also where case does not count.
// Names that users choose belong into the record, not into the key.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes is too long", ErrKey, len(key))
	}
	length := 0
	for i := range len(key) {
		switch c := key[i]; {
		case c == '/' && length > 0:
			length = 0
			continue
		case c == '.' && length > 0, c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-':
			length++
		default:
			return fmt.Errorf("%w: %.100q", ErrKey, key)
		}
		if length > 128 {
			return fmt.Errorf("%w: a segment of %.100q is too long", ErrKey, key)
		}
	}
	if length == 0 {
		return fmt.Errorf("%w: %.100q", ErrKey, key)
	}
	return nil
}

// span cuts the range off, n to an object of the given size.
func span(off, n, size int64) (int64, error) {
	if off < 0 || off > size {
		return 0, fmt.Errorf("%w: from %d of %d bytes", ErrRange, off, size)
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return n, nil
}

// ctxReader fails as soon as its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
