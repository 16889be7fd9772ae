package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/durable"
)

// archive writes the compressed form of a segment, block by block, to a file beside where it belongs.
type archive struct {
	target string
	tmp    *os.File
	z      *zstd.Encoder
	index  *index
	size   int64
	buf    []byte
}

func newArchive(target string, x *index) (*archive, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	tmp, err := os.OpenFile(target+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &archive{target: target, tmp: tmp, z: z, index: x}, nil
}

// block writes block n of the index, of which raw are the bytes.
func (a *archive) block(n int, raw []byte) error {
	a.buf = a.z.EncodeAll(raw, a.buf[:0])
	if a.size+int64(len(a.buf)) > math.MaxUint32 {
		return errors.New("a segment of more than 4 GiB")
	}
	b := &a.index.blocks[n]
	b.off, b.len = uint32(a.size), uint32(len(a.buf))
	a.size += int64(len(a.buf))
	_, err := a.tmp.Write(a.buf)
	return err
}

// drop removes what was not published.
func (a *archive) drop() {
	a.tmp.Close()
	os.Remove(a.tmp.Name())
}

// publish puts the file and its index in their places. An index that is there belongs to the file beside it, so an old one goes first, and the new one
// comes last.
func (a *archive) publish() error {
	if err := errors.Join(a.tmp.Sync(), a.tmp.Close()); err != nil {
		return err
	}
	sidecar := stem(a.target) + indexSuffix
	if err := os.Remove(sidecar); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := durable.Rename(a.tmp.Name(), a.target); err != nil {
		return err
	}
	return a.index.write(sidecar)
}

// compress replaces a complete raw segment by its compressed form and an index; at any moment at least one of both forms is whole. The index is what was
// kept while the segment was written, or nil. What is damaged stays to be seen: it becomes the last block as it is.
func compress(path string, x *index) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	known := x != nil
	if !known {
		x = new(index)
	}
	a, err := newArchive(stem(path)+zstdSuffix, x)
	if err != nil {
		return err
	}
	defer a.drop()
	if known {
		err = a.copyBlocks(src)
	} else {
		err = a.copyFrames(src)
	}
	if err != nil {
		return err
	}
	if err := a.publish(); err != nil {
		return err
	}
	return os.Remove(path)
}

// copyBlocks writes the blocks that the index has.
func (a *archive) copyBlocks(src io.ReaderAt) error {
	var raw []byte
	for n, b := range a.index.blocks {
		if cap(raw) < int(b.rawLen) {
			raw = make([]byte, b.rawLen)
		}
		raw = raw[:b.rawLen]
		if _, err := src.ReadAt(raw, int64(b.raw)); err != nil {
			return err
		}
		if err := a.block(n, raw); err != nil {
			return err
		}
	}
	return nil
}

// copyFrames makes the index while it reads the frames of a raw segment.
func (a *archive) copyFrames(src *os.File) error {
	err := a.cut(bufio.NewReaderSize(src, 1<<16))
	if !errors.Is(err, ErrAltered) {
		return err
	}
	var good int64
	if n := len(a.index.blocks); n > 0 {
		good = int64(a.index.blocks[n-1].raw) + int64(a.index.blocks[n-1].rawLen)
	}
	rest, err := io.ReadAll(io.NewSectionReader(src, good, math.MaxUint32-good))
	if err != nil {
		return err
	}
	// Nobody knows what is in it, so every search meets it.
	a.index.blocks = append(a.index.blocks, block{raw: uint32(good), rawLen: uint32(len(rest)), oldest: math.MinInt64, young: math.MaxInt64})
	return a.block(len(a.index.blocks)-1, rest)
}

// cut makes blocks of frames. With an error that wraps ErrAltered, what came before is written.
func (a *archive) cut(r io.Reader) error {
	var raw []byte
	var hashes []term
	err := readFrames(r, func(rec []byte) error {
		n := len(a.index.blocks)
		if n > 0 && a.index.blocks[n-1].rawLen >= blockSize {
			if err := a.block(n-1, raw); err != nil {
				return err
			}
			raw = raw[:0]
		}
		var t terms
		f, err := factsOf(rec)
		if err == nil { // or it is found by nothing
			hashes, t = f.appendTerms(hashes[:0])
		}
		a.index.add(frameHeader+len(rec), f.at, t)
		raw = appendFrame(raw, rec)
		return nil
	})
	if n := len(a.index.blocks); n > 0 && len(raw) > 0 && (err == nil || errors.Is(err, ErrAltered)) {
		err = errors.Join(err, a.block(n-1, raw))
	}
	return err
}

// reindex makes the index of a compressed segment that has none, or one that is damaged, and with it the blocks: those of earlier versions had none. It changes
// nothing about a segment that cannot be read to its end.
func reindex(path string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return err
	}
	defer z.Close()
	a, err := newArchive(path, new(index))
	if err != nil {
		return err
	}
	defer a.drop()
	if err := a.cut(bufio.NewReaderSize(&decompressed{z}, 1<<16)); err != nil {
		return err
	}
	return a.publish()
}

// maxDecoded bounds what a block may become: a segment, and the records that were appended with its last.
const maxDecoded = 2 * segmentSize

// blocksOf returns the blocks of a compressed segment, if it has an index.
func blocksOf(path string) ([]block, bool) {
	x, err := openIndex(stem(path) + indexSuffix)
	if err != nil {
		return nil, false
	}
	defer x.close()
	blocks, err := x.table()
	return blocks, err == nil
}

// readBlocks calls fn with the records of all blocks. A block that is damaged does not keep it from the others.
func readBlocks(f *os.File, blocks []block, fn func(rec []byte) error) error {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return err
	}
	defer z.Close()
	var damage []error
	var buf []byte
	for _, b := range blocks {
		raw, err := unpack(z, f, b, buf)
		if err == nil {
			buf = raw
			err = eachFrame(raw, fn)
		}
		if errors.Is(err, ErrAltered) {
			damage = append(damage, err)
		} else if err != nil {
			return err
		}
	}
	if end, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	} else if n := len(blocks); n > 0 && end != int64(blocks[n-1].off)+int64(blocks[n-1].len) {
		damage = append(damage, fmt.Errorf("%w: it is %d bytes long", ErrAltered, end))
	}
	return errors.Join(damage...)
}

func eachFrame(raw []byte, fn func(rec []byte) error) error {
	for rec, err := range frames(raw) {
		if err != nil {
			return err
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

// unpack reads a block of a compressed segment.
func unpack(z *zstd.Decoder, f io.ReaderAt, b block, buf []byte) ([]byte, error) {
	packed := make([]byte, b.len)
	if _, err := f.ReadAt(packed, int64(b.off)); err == io.EOF {
		return nil, fmt.Errorf("%w: it ends before a block", ErrAltered)
	} else if err != nil {
		return nil, err
	}
	raw, err := z.DecodeAll(packed, buf[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAltered, err)
	}
	if len(raw) != int(b.rawLen) {
		return nil, fmt.Errorf("%w: a block has another size", ErrAltered)
	}
	return raw, nil
}

// readBlock returns the frames of one block of a segment, which may have been compressed since the block was looked up. It returns none when the segment was pruned
// since.
func (l *segmentLog) readBlock(name string, b block) ([]byte, error) {
	f, err := openSegment(l.dir, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(f.Name(), zstdSuffix) {
		raw := make([]byte, b.rawLen)
		if _, err := f.ReadAt(raw, int64(b.raw)); err == io.EOF {
			return nil, fmt.Errorf("%w: it is shorter than what was written", ErrAltered)
		} else if err != nil {
			return nil, err
		}
		return raw, nil
	}
	want := b
	if b.len == 0 {
		blocks, ok := blocksOf(f.Name())
		if !ok {
			return nil, fmt.Errorf("%w: %w", ErrAltered, errIndex)
		}
		n := sort.Search(len(blocks), func(i int) bool { return blocks[i].raw >= b.raw })
		if n == len(blocks) || blocks[n].raw != b.raw || blocks[n].rawLen < b.rawLen {
			return nil, fmt.Errorf("%w: a block is missing", ErrAltered)
		}
		want = blocks[n]
	}
	raw, err := unpack(l.unzip, f, want, nil)
	if err != nil {
		return nil, err
	}
	return raw[:b.rawLen], nil // it may have grown since
}

// lacksIndex reports whether a compressed segment has no index that can be used.
func lacksIndex(dir, name string) bool {
	x, err := openIndex(filepath.Join(dir, stem(name)+indexSuffix))
	if err != nil {
		return true
	}
	x.close()
	return false
}
