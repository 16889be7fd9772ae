package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"

	"github.com/holdfast-cloud/holdfast/durable"
)

// blockSize is how many bytes of frames go into a block before the next one begins: enough to compress well, few enough to read for the sake of one record.
const blockSize = 256 << 10

// block is a run of whole frames of a segment that is compressed by itself.
type block struct {
	raw, rawLen   uint32 // where its frames stand in the raw segment
	off, len      uint32 // where its compressed form stands in the file; 0 while the segment is raw
	oldest, young int64  // times of records, Unix nanoseconds
}

// index leads from terms to the blocks of a segment whose records have them. That of the segment that is being written grows with it.
type index struct {
	blocks []block
	pairs  []uint64          // term in the upper half, number of the block in the lower; in the order of blocks, or sorted
	seen   map[term]struct{} // of the last block
}

// add takes up the record that follows.
func (x *index) add(frame int, at int64, t terms) {
	n := len(x.blocks)
	if n == 0 || x.blocks[n-1].rawLen >= blockSize {
		next := block{oldest: math.MaxInt64, young: math.MinInt64}
		if n > 0 {
			next.raw = x.blocks[n-1].raw + x.blocks[n-1].rawLen
		}
		x.blocks = append(x.blocks, next)
		if x.seen == nil {
			x.seen = make(map[term]struct{}, 256)
		}
		clear(x.seen)
		n++
	}
	b := &x.blocks[n-1]
	b.rawLen += uint32(frame)
	b.oldest, b.young = min(b.oldest, at), max(b.young, at)
	for i, term := range t.all {
		if i >= t.unique {
			if _, ok := x.seen[term]; ok {
				continue
			}
			x.seen[term] = struct{}{}
		}
		x.pairs = append(x.pairs, uint64(term)<<32|uint64(n-1))
	}
}

// snapshot is the index as it is, for reading while it grows.
func (x *index) snapshot() *index {
	return &index{blocks: slices.Clone(x.blocks), pairs: x.pairs[:len(x.pairs):len(x.pairs)]}
}

// having returns the blocks in which a term is.
func (x *index) having(t term) (found []block) {
	last := -1
	for _, p := range x.pairs {
		if n := int(uint32(p)); term(p>>32) == t && n != last && n < len(x.blocks) {
			found = append(found, x.blocks[n])
			last = n
		}
	}
	return found
}

// span is from the oldest record to the youngest.
func span(blocks []block) (oldest, young int64) {
	oldest, young = math.MaxInt64, math.MinInt64
	for _, b := range blocks {
		oldest, young = min(oldest, b.oldest), max(young, b.young)
	}
	return oldest, young
}

// The index of a complete segment lies beside it, in a file that ends in .idx. It is made to be read by pieces: a term that is not in it costs the head and
// one page. What is missing or damaged is made anew from the segment. Numbers are big-endian, checksums are CRC-32C.
//
//	magic, 8 bytes | blocks, 4 | pairs, 4 | oldest, 8 | youngest, 8 | first term of each page, 4 each | checksum of all of that, 4
//	pages of 4096 bytes: up to 682 pairs of term, 4 bytes, and number of the block, 2 bytes, sorted | zeros | checksum, 4
//	blocks: raw offset, 4 | raw length, 4 | offset, 4 | length, 4 | oldest, 8 | youngest, 8 | checksum of all blocks, 4
const (
	indexSuffix = ".idx"
	pageSize    = 4096
	pairSize    = 6
	perPage     = (pageSize - 4) / pairSize
	blockEntry  = 32
	headSize    = 32
	maxPairs    = 1 << 26
)

var (
	indexMagic = [8]byte{'h', 'f', 'i', 'n', 'd', 'e', 'x', '1'}

	errIndex = errors.New("the index of an audit log segment is damaged")
)

// write makes the file, whole or not at all.
func (x *index) write(path string) error {
	if len(x.blocks) > math.MaxUint16 {
		return fmt.Errorf("a segment of %d blocks", len(x.blocks))
	}
	pairs := slices.Clone(x.pairs)
	slices.Sort(pairs)
	pairs = slices.Compact(pairs)
	oldest, young := span(x.blocks)
	b := append([]byte(nil), indexMagic[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.blocks)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(pairs)))
	b = binary.BigEndian.AppendUint64(b, uint64(oldest))
	b = binary.BigEndian.AppendUint64(b, uint64(young))
	for page := range slices.Chunk(pairs, perPage) {
		b = binary.BigEndian.AppendUint32(b, uint32(page[0]>>32))
	}
	b = appendSum(b, 0)
	for page := range slices.Chunk(pairs, perPage) {
		start := len(b)
		for _, p := range page {
			b = binary.BigEndian.AppendUint32(b, uint32(p>>32))
			b = binary.BigEndian.AppendUint16(b, uint16(p))
		}
		b = append(b, make([]byte, start+pageSize-4-len(b))...)
		b = appendSum(b, start)
	}
	start := len(b)
	for _, x := range x.blocks {
		for _, v := range []uint32{x.raw, x.rawLen, x.off, x.len} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(x.oldest))
		b = binary.BigEndian.AppendUint64(b, uint64(x.young))
	}
	return durable.WriteFile(path, appendSum(b, start))
}

func appendSum(b []byte, from int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// summed returns b without the checksum at its end.
func summed(b []byte) ([]byte, error) {
	if len(b) < 4 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, errIndex
	}
	return b[:len(b)-4], nil
}

// indexFile is an index that is read by pieces.
type indexFile struct {
	piece         func(at, size int) ([]byte, error) // fewer bytes where the file ends
	close         func()
	blocks, pairs int
	oldest, young int64
	firsts        []byte // of the pages
}

// openIndex opens the index at a path. Its error wraps errIndex where there is none to use.
func openIndex(path string) (*indexFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(errIndex, err)
	}
	if err != nil {
		return nil, err
	}
	x, err := readIndex(func(at, size int) ([]byte, error) {
		b := make([]byte, size)
		n, err := f.ReadAt(b, int64(at))
		if err == io.EOF {
			err = nil
		}
		return b[:n], err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	x.close = func() { f.Close() }
	return x, nil
}

func readIndex(piece func(at, size int) ([]byte, error)) (*indexFile, error) {
	x := &indexFile{piece: piece, close: func() {}}
	b, err := piece(0, pageSize)
	if err != nil {
		return nil, err
	}
	if len(b) < headSize || !bytes.HasPrefix(b, indexMagic[:]) {
		return nil, errIndex
	}
	x.blocks, x.pairs = int(binary.BigEndian.Uint32(b[8:])), int(binary.BigEndian.Uint32(b[12:]))
	x.oldest, x.young = int64(binary.BigEndian.Uint64(b[16:])), int64(binary.BigEndian.Uint64(b[24:]))
	if x.blocks > math.MaxUint16 || x.pairs > maxPairs {
		return nil, errIndex
	}
	size := headSize + 4*x.pages() + 4
	if size > len(b) {
		if b, err = x.read(0, size); err != nil {
			return nil, err
		}
	}
	if b, err = summed(b[:size]); err != nil {
		return nil, err
	}
	x.firsts = b[headSize:]
	return x, nil
}

func (x *indexFile) read(at, size int) ([]byte, error) {
	b, err := x.piece(at, size)
	if err == nil && len(b) < size {
		err = errIndex
	}
	return b, err
}

func (x *indexFile) pages() int { return (x.pairs + perPage - 1) / perPage }

func (x *indexFile) first(page int) term { return term(binary.BigEndian.Uint32(x.firsts[4*page:])) }

func (x *indexFile) pageAt(page int) int { return headSize + 4*x.pages() + 4 + page*pageSize }

// having returns the blocks in which a term is, in order.
func (x *indexFile) having(t term) ([]block, error) {
	var numbers []int
	page := 0 // the last that begins below the term: the term's pairs may begin in it
	for low, high := 0, x.pages(); low < high; {
		if middle := (low + high) / 2; x.first(middle) < t {
			page, low = middle, middle+1
		} else {
			high = middle
		}
	}
	for ; page < x.pages() && x.first(page) <= t; page++ {
		b, err := x.read(x.pageAt(page), pageSize)
		if err == nil {
			b, err = summed(b)
		}
		if err != nil {
			return nil, err
		}
		count := min(perPage, x.pairs-page*perPage)
		for p := range slices.Chunk(b[:count*pairSize], pairSize) {
			if term(binary.BigEndian.Uint32(p)) == t {
				numbers = append(numbers, int(binary.BigEndian.Uint16(p[4:])))
			}
		}
	}
	if len(numbers) == 0 && !x.damaged() {
		return nil, nil
	}
	all, err := x.table()
	if err != nil {
		return nil, err
	}
	found := make([]block, 0, len(numbers))
	for _, n := range numbers {
		if n >= len(all) {
			return nil, errIndex
		}
		found = append(found, all[n])
	}
	if n := len(all); n > 0 && x.damaged() && !slices.Contains(numbers, n-1) {
		found = append(found, all[n-1])
	}
	return found, nil
}

// unreadable reports whether nobody could read the block when the segment was compressed. It may be of any time, and hold any term.
func (b block) unreadable() bool { return b.oldest == math.MinInt64 }

// damaged reports whether the segment was damaged when it was compressed: its last block is what nobody could read, and may be of any time.
func (x *indexFile) damaged() bool { return x.oldest == math.MinInt64 }

// table reads the blocks.
func (x *indexFile) table() ([]block, error) {
	b, err := x.read(x.pageAt(x.pages()), x.blocks*blockEntry+4)
	if err == nil {
		b, err = summed(b)
	}
	if err != nil {
		return nil, err
	}
	blocks := make([]block, 0, x.blocks)
	for e := range slices.Chunk(b, blockEntry) {
		n := binary.BigEndian.Uint32
		blocks = append(blocks, block{
			raw: n(e), rawLen: n(e[4:]), off: n(e[8:]), len: n(e[12:]),
			oldest: int64(binary.BigEndian.Uint64(e[16:])), young: int64(binary.BigEndian.Uint64(e[24:])),
		})
	}
	return blocks, nil
}
