package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/holdfast-cloud/holdfast/durable"
)

// A spool is a small file in memory (mapped, and shared with the operating system) that frames go to before they are written to their segment, many with
// one system call. What stands in it survives the process as surely as what was written, for the price of copying it: writing each
// record by itself took a fifth of what an Encrypt costs.
//
//	magic, 8 bytes | offset, 8 | length, 8 | name of the segment, 64, filled with zeros | ... | frames, from spoolData on
//
// The frames belong into the segment at the offset. The length is set after the frames are there, and to zero after they were
// written; name and offset change only while it is zero. Numbers are in the machine's byte order: a spool stays on its machine.
const (
	spoolName = "spool"
	spoolData = 4096
	spoolSize = spoolData + 256<<10
)

var spoolMagic = [8]byte{'h', 'f', 's', 'p', 'o', 'o', 'l', '1'}

// The places of the fields.
const (
	offsetAt = 8
	lengthAt = 16
	nameAt   = 24
	nameSize = 64
)

// spool is the mapped file.
type spool struct {
	file *os.File
	mem  []byte

	mu    sync.Mutex // guards mem and the fields below, and is held while frames are written
	owner *spooled   // whose frames are in it
}

// openSpool makes the spool of a directory, empty, in place of one that was recovered. Its blocks are written once now, so that
// there is a place on the disk for whatever is copied into it.
func openSpool(dir string) (_ *spool, err error) {
	if !canMap {
		return nil, errors.ErrUnsupported
	}
	path := filepath.Join(dir, spoolName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	empty := make([]byte, spoolSize)
	copy(empty, spoolMagic[:])
	if _, err := f.Write(empty); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, err
	}
	mem, err := mapFile(f, spoolSize)
	if err != nil {
		return nil, err
	}
	return &spool{file: f, mem: mem}, nil
}

func (s *spool) close() error { return errors.Join(unmap(s.mem), s.file.Close()) }

// length is where the length stands. It is aligned: a mapping begins at a page.
func (s *spool) length() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&s.mem[lengthAt])) }

func (s *spool) frames() []byte { return s.mem[spoolData : spoolData+s.length().Load()] }

// put adds frames for a segment, or returns an error and has added nothing. A disk that fails under the mapping is an error here, where it would be the
// end of the process otherwise.
func (s *spool) put(segment string, offset int64, b []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("writing the spool: %v", p)
		}
	}()
	n := s.length().Load()
	if n == 0 {
		if len(segment) > nameSize {
			return fmt.Errorf("a segment name of %d bytes", len(segment))
		}
		clear(s.mem[nameAt : nameAt+nameSize])
		copy(s.mem[nameAt:], segment)
		binary.NativeEndian.PutUint64(s.mem[offsetAt:], uint64(offset))
	}
	copy(s.mem[spoolData+n:], b)
	s.length().Store(n + uint64(len(b)))
	return nil
}

func (s *spool) room() int { return len(s.mem) - spoolData - int(s.length().Load()) }

// spooled is a segment file whose writes go through the spool. Sync makes durable what was flushed.
type spooled struct {
	segmentFile
	spool *spool
	name  string       // of the file in its directory
	full  func() error // asked before each flush; nil never is

	flushed int64 // what is in the file; guarded by spool.mu
}

// newSpooled gives the spool to a new file. The file before it must have been flushed.
func newSpooled(f segmentFile, s *spool, full func() error) *spooled {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner = &spooled{segmentFile: f, spool: s, name: filepath.Base(f.Name()), full: full}
	return s.owner
}

func (f *spooled) Write(b []byte) (int, error) {
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	if len(b) > f.spool.room() {
		if err := f.flushLocked(); err != nil {
			return 0, err
		}
	}
	if len(b) > f.spool.room() {
		return f.writeLocked(b)
	}
	if err := f.spool.put(f.name, f.flushed, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writeLocked writes to the file itself, all or nothing.
func (f *spooled) writeLocked(b []byte) (int, error) {
	if _, err := f.segmentFile.Write(b); err != nil {
		return 0, errors.Join(err, f.segmentFile.Truncate(f.flushed))
	}
	f.flushed += int64(len(b))
	return len(b), nil
}

// Flush writes what is in the spool to the file. If that fails it is still in the spool.
func (f *spooled) Flush() error {
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	return f.flushLocked()
}

// unflushed is a copy of the frames that are in the spool, and where they belong.
func (f *spooled) unflushed() (frames []byte, at int64) {
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	if f.spool.owner != f {
		return nil, 0
	}
	return append([]byte{}, f.spool.frames()...), f.flushed
}

func (f *spooled) flushLocked() error {
	if f.spool.owner != f {
		return nil // the spool is the next file's
	}
	frames := f.spool.frames()
	if len(frames) == 0 {
		return nil
	}
	if f.full != nil {
		if err := f.full(); err != nil {
			return err
		}
	}
	if _, err := f.writeLocked(frames); err != nil {
		return err
	}
	f.spool.length().Store(0)
	return nil
}

// Truncate cuts what was written last, in the spool or in the file.
func (f *spooled) Truncate(size int64) error {
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	if size >= f.flushed {
		if keep := uint64(size - f.flushed); keep < f.spool.length().Load() {
			f.spool.length().Store(keep)
		}
		return nil
	}
	f.spool.length().Store(0)
	if err := f.segmentFile.Truncate(size); err != nil {
		return err
	}
	f.flushed = size
	return nil
}

// Close gives the spool free for the next file. What could not be written by now is lost with the file, which whoever closes it after an error
// reports.
func (f *spooled) Close() error {
	f.spool.mu.Lock()
	defer f.spool.mu.Unlock()
	err := f.flushLocked()
	if f.spool.owner == f {
		f.spool.length().Store(0)
		f.spool.owner = nil
	}
	return errors.Join(err, f.segmentFile.Close())
}

// recoverSpool writes what a killed process left in the spool to its segment, as far as it is not there. After a power cut the spool may be older than the
// segment, or hold what was never there; frames that do not continue the segment are left alone.
func recoverSpool(dir string) error {
	mem, err := os.ReadFile(filepath.Join(dir, spoolName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(mem) != spoolSize || !bytes.HasPrefix(mem, spoolMagic[:]) {
		return nil
	}
	length := binary.NativeEndian.Uint64(mem[lengthAt:])
	offset := int64(binary.NativeEndian.Uint64(mem[offsetAt:]))
	name := string(bytes.TrimRight(mem[nameAt:nameAt+nameSize], "\x00"))
	if _, _, ok := parseName(name); !ok || length == 0 || length > spoolSize-spoolData || offset < 0 ||
		!strings.HasSuffix(name, rawSuffix) || name != filepath.Base(name) {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // compressed or pruned, so all of it was written
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return continueSegment(f, offset, mem[spoolData:spoolData+length])
}

// continueSegment makes frames stand in a segment at the offset, unless something else stands there already.
func continueSegment(f *os.File, offset int64, frames []byte) error {
	if ok, err := endsFrame(f, offset); !ok || err != nil {
		return err // a power cut took what came before; what follows it belongs nowhere
	}
	there, err := io.ReadAll(io.NewSectionReader(f, offset, 2*segmentSize))
	if err != nil {
		return err
	}
	at := 0 // in frames and in there alike
	for {
		n := frameLength(frames[at:])
		if n == 0 {
			return nil // all of them are there
		}
		if bytes.HasPrefix(there[at:], frames[at:at+n]) {
			at += n
			continue
		}
		break
	}
	if frameLength(there[at:]) > 0 {
		return nil // the segment went on without the spool
	}
	end := at
	for n := frameLength(frames[end:]); n > 0; n = frameLength(frames[end:]) {
		end += n
	}
	if err := f.Truncate(offset + int64(at)); err != nil {
		return err
	}
	if _, err := f.WriteAt(frames[at:end], offset+int64(at)); err != nil {
		return err
	}
	return f.Sync()
}

// endsFrame reports whether a segment consists of whole frames up to the offset.
func endsFrame(f *os.File, offset int64) (bool, error) {
	var at int64
	var buf []byte
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, offset), 1<<16)
	for at < offset {
		var err error
		if buf, err = readFrame(r, buf); err == io.EOF || errors.Is(err, ErrAltered) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		at += frameHeader + int64(len(buf))
	}
	return true, nil
}

// frameLength is the length of the whole frame that b begins with, or 0.
func frameLength(b []byte) int {
	rec, err := readFrame(bytes.NewReader(b), nil)
	if err != nil {
		return 0
	}
	return frameHeader + len(rec)
}
