// Package backup is the form of a backup: one file with everything of a cloud, encrypted, that can be written and read as a stream.
//
// It holds what the store holds, pair by pair, whatever engine keeps it, and as they are the segments of the audit log and the objects beside the store. [Writer] writes it, [Open]
// reads its [Header], and [File.Read] the rest. What a backup is taken of, and which keys open it, is its caller's: the key arrives wrapped in the header.
//
//	16       "holdfast-backup\n"
//	2        format, 2, big-endian
//	4        length of the header
//	n        header, JSON
//	...      chunks of 64 KiB each, the last of them shorter or not, encrypted with AES-256-GCM: nonce (12), ciphertext, tag (16)
//
// A chunk is bound to the SHA-256 of everything before the first one, to its number, and to whether it is the last: chunks that are altered, exchanged,
// left out, added, or taken from another backup do not open. Nonces are random, which for a key of one file is safe far beyond what a disk holds.
//
// The chunks' plaintext, put together, is compressed by zstd, and then consists of entries. Numbers are uvarints:
//
//	'p'   length, key, length, value         a pair of the store; keys ascend
//	's'   length, name                       a segment of the audit log begins; all of them come after the pairs
//	'o'   length, key                        an object begins; all of them come after the segments
//	'd'   length, bytes                      more of the segment or object
//	'e'   pairs, segments, objects, bytes,   the end: how much there was, and the hash of all entries before
//	      SHA-256
//
// Format 1 had no objects, and did not count them in its end.
package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Format is what this version writes, and the newest that it reads.
const Format = 2

const (
	magic     = "holdfast-backup\n"
	maxHeader = 8 << 20 // a keyring may hold 65,536 keys

	withoutObjects = 1 // the format that had none

	// KeySize is the length of the key that a backup is encrypted under, in bytes.
	KeySize = 32
)

// Errors of what is read. Ask with errors.Is.
var (
	// ErrNoBackup: it begins like something else.
	ErrNoBackup = errors.New("this is no backup of Holdfast")
	// ErrNewer: it was made by a version of Holdfast whose backups this one does not know.
	ErrNewer = errors.New("the backup was made by a newer version of Holdfast")
	// ErrDamaged: it is not, or not all of, what was written.
	ErrDamaged = errors.New("the backup is damaged")
)

// Header is what can be read without the key. It is authenticated by the chunks, so a reader must not believe it before the first entry.
type Header struct {
	ID       string    `json:"id"` // of this backup alone; the key is wrapped for it
	Taken    time.Time `json:"taken"`
	Software string    `json:"software"` // the version of Holdfast that took it
	Keyring  []byte    `json:"keyring"`  // as the store holds it: what a root key opens
	Key      []byte    `json:"key"`      // what the backup is encrypted under, wrapped by the keyring
}

// Contents is how much a backup holds.
type Contents struct {
	Pairs    uint64 // of the store
	Segments uint64 // of the audit log
	Objects  uint64 // beside the store
	Bytes    uint64 // of all, before compression
}

func (h *Header) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(b) > maxHeader {
		return nil, fmt.Errorf("a backup's header of %d bytes", len(b))
	}
	return b, nil
}

// The kinds of entries.
const (
	pairEntry    = 'p'
	segmentEntry = 's'
	objectEntry  = 'o'
	dataEntry    = 'd'
	endEntry     = 'e'
)

// Limits of what an entry holds.
const (
	maxName = 512
	maxData = 64 << 10
)
