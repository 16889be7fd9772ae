package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/durable"
)

// packer writes the compressed form of a segment, block by block, to a file beside where it belongs.
type packer struct {
	target string
	tmp    *os.File
	z      *zstd.Encoder
	index  *index
	size   int64
	buf    []byte
}

func newPacker(target string, x *index) (*packer, error) {
	// Of blocks of so few bytes, the fastest level makes no more than the next one, in half the time.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	tmp, err := os.OpenFile(target+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &packer{target: target, tmp: tmp, z: z, index: x}, nil
}

// block writes block n of the index, of which raw are the bytes.
func (p *packer) block(n int, raw []byte) error {
	p.buf = p.z.EncodeAll(raw, p.buf[:0])
	if p.size+int64(len(p.buf)) > math.MaxUint32 {
		return errors.New("a segment of more than 4 GiB")
	}
	b := &p.index.blocks[n]
	b.off, b.len = uint32(p.size), uint32(len(p.buf))
	p.size += int64(len(p.buf))
	_, err := p.tmp.Write(p.buf)
	return err
}

// removeUnfinished removes what a process that was killed has not published.
func removeUnfinished(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "seg-*.tmp*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// drop removes what was not published.
func (p *packer) drop() {
	p.tmp.Close()
	os.Remove(p.tmp.Name())
}

// publish puts the file and its index in their places. An index that is there belongs to the file beside it, so an old one goes first, and the new one
// comes last.
func (p *packer) publish() error {
	if err := errors.Join(p.tmp.Sync(), p.tmp.Close()); err != nil {
		return err
	}
	sidecar := stem(p.target) + indexSuffix
	if err := os.Remove(sidecar); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := durable.Rename(p.tmp.Name(), p.target); err != nil {
		return err
	}
	return p.index.write(sidecar)
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
	p, err := newPacker(stem(path)+zstdSuffix, x)
	if err != nil {
		return err
	}
	defer p.drop()
	if known {
		err = p.copyBlocks(src)
	} else {
		err = p.copyFrames(src)
	}
	if err != nil {
		return err
	}
	if err := p.publish(); err != nil {
		return err
	}
	return os.Remove(path)
}

// copyBlocks writes the blocks that the index has.
func (p *packer) copyBlocks(src io.ReaderAt) error {
	var raw []byte
	for n, b := range p.index.blocks {
		if cap(raw) < int(b.rawLen) {
			raw = make([]byte, b.rawLen)
		}
		raw = raw[:b.rawLen]
		if _, err := src.ReadAt(raw, int64(b.raw)); err != nil {
			return err
		}
		if err := p.block(n, raw); err != nil {
			return err
		}
	}
	return nil
}

// copyFrames makes the index while it reads the frames of a raw segment.
func (p *packer) copyFrames(src *os.File) error {
	err := p.cut(bufio.NewReaderSize(src, 1<<16))
	if !errors.Is(err, ErrAltered) {
		return err
	}
	return p.rest(io.NewSectionReader(src, p.end(), math.MaxUint32-p.end()))
}

// end is where the frames end that were written.
func (p *packer) end() int64 {
	n := len(p.index.blocks)
	if n == 0 {
		return 0
	}
	return int64(p.index.blocks[n-1].raw) + int64(p.index.blocks[n-1].rawLen)
}

// rest keeps what is damaged, as the last block. Nobody knows what is in it, so every search meets it.
func (p *packer) rest(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxDecoded))
	if err != nil {
		return err
	}
	p.index.blocks = append(p.index.blocks, block{raw: uint32(p.end()), rawLen: uint32(len(b)), oldest: math.MinInt64, young: math.MaxInt64})
	return p.block(len(p.index.blocks)-1, b)
}

// cut makes blocks of frames. With an error that wraps ErrAltered, what came before is written.
func (p *packer) cut(r io.Reader) error {
	var raw []byte
	var hashes []term
	err := readFrames(r, func(rec []byte) error {
		n := len(p.index.blocks)
		if n > 0 && p.index.blocks[n-1].rawLen >= blockSize {
			if err := p.block(n-1, raw); err != nil {
				return err
			}
			raw = raw[:0]
		}
		var t terms
		f, err := factsOf(rec)
		if err == nil { // or it is found by nothing
			hashes, t = f.appendTerms(hashes[:0])
		}
		p.index.add(frameHeader+len(rec), f.at, t)
		raw = appendFrame(raw, rec)
		return nil
	})
	if n := len(p.index.blocks); n > 0 && len(raw) > 0 && (err == nil || errors.Is(err, ErrAltered)) {
		err = errors.Join(err, p.block(n-1, raw))
	}
	return err
}

// reindex makes the index of a compressed segment that has none, or one that is damaged, and with it the blocks: those of earlier versions had none. What cannot be
// decompressed to its end is kept, whole, as the last block.
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
	p, err := newPacker(path, new(index))
	if err != nil {
		return err
	}
	defer p.drop()
	err = p.cut(bufio.NewReaderSize(&decompressed{z}, 1<<16))
	if errors.Is(err, ErrAltered) {
		err = p.rest(io.NewSectionReader(src, 0, math.MaxUint32))
	}
	if err != nil {
		return err
	}
	return p.publish()
}

// maxDecoded bounds what a block may become: a segment, and the records that were appended with its last.
const maxDecoded = 2 * segmentSize

// complete sees to it that a segment that is not being written is compressed and has an index.
func (l *segmentLog) complete(ctx context.Context, s *segment) error {
	l.building.Lock()
	defer l.building.Unlock()
	path := filepath.Join(l.dir, s.stem)
	now := l.state(s)
	switch {
	case now.removed:
		return errPruned
	case now.lost != nil:
		return now.lost
	case !now.packed:
		if err := l.pack(s, path+rawSuffix); err != nil {
			return err
		}
	case now.archived:
		if x, err := l.snapshot(ctx).openIndex(s); err == nil {
			x.close()
			return nil
		} else if !errors.Is(err, errIndex) {
			return err
		}
		if err := l.fetch(ctx, s); errors.Is(err, ErrAltered) {
			l.change(s, func(s *segment) { s.lost = err })
			return err
		} else if err != nil {
			return err
		}
	}
	if x, err := openIndex(path + indexSuffix); err == nil {
		_, err = x.table()
		x.close()
		if err == nil {
			return nil
		}
	}
	err := reindex(path + zstdSuffix)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: it is gone", ErrAltered)
	}
	return err
}

// pack compresses a raw segment.
func (l *segmentLog) pack(s *segment, path string) error {
	l.mu.Lock()
	x := l.indexes[s.stem]
	if x != nil {
		x = x.snapshot()
	}
	l.mu.Unlock()
	err := compress(path, x)
	if errors.Is(err, io.EOF) && x != nil { // it is shorter than what was written
		err = compress(path, nil)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil {
		if _, there := os.Stat(stem(path) + zstdSuffix); there != nil {
			return fmt.Errorf("%w: it is gone", ErrAltered)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.indexes, s.stem)
	s.packed = true
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
