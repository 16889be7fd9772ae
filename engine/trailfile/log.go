package trailfile

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"
)

// SHA256 is the name of the hash algorithm in digest files.
const SHA256 = "SHA-256"

// A LogFile is what a digest file says of a log file. Times are whole seconds in UTC.
type LogFile struct {
	Bucket        string    `json:"s3Bucket"`
	Object        string    `json:"s3Object"`
	Hash          string    `json:"hashValue"` // of the uncompressed content, in hexadecimal
	HashAlgorithm string    `json:"hashAlgorithm"`
	Newest        time.Time `json:"newestEventTime"`
	Oldest        time.Time `json:"oldestEventTime"`

	// RecordHashes are the first RecordHash bytes of the SHA-256 of each record, one behind the other, so that whoever finds that the file was changed can say which record
	// was. It is nil when there are too many. AWS has no such member, and its tools pass it over.
	RecordHashes []byte `json:"holdfastRecordHashes,omitempty"`
}

// RecordHash is how many bytes of a record's hash a digest has. They need not prove anything: the hash of the whole file does.
const RecordHash = 8

// Bounds of the hashes of records: in one log file, whose LogFile is a value in the store, and in one digest, which is read at once.
const (
	maxHashedRecords = 32 << 10
	maxHashedBytes   = 16 << 20
)

// A LogWriter writes one log file: {"Records":[...]}, compressed. Records go through it, so that it needs no more memory for many of them.
type LogWriter struct {
	zip            *gzip.Writer
	hash           hash.Hash
	content        io.Writer // both of them
	records        int
	hashes         []byte // RecordHash bytes of each record
	oldest, newest time.Time
}

// NewLogWriter returns a writer of a log file to w.
func NewLogWriter(w io.Writer) *LogWriter {
	l := &LogWriter{zip: gzip.NewWriter(w), hash: sha256.New()}
	l.content = io.MultiWriter(l.hash, l.zip)
	return l
}

// Add writes a record, which is a JSON object, with its event's time.
func (l *LogWriter) Add(at time.Time, record []byte) error {
	at = second(at)
	lead := ","
	if l.records == 0 {
		lead, l.oldest, l.newest = `{"Records":[`, at, at
	}
	if at.Before(l.oldest) {
		l.oldest = at
	}
	if at.After(l.newest) {
		l.newest = at
	}
	l.records++
	if _, err := io.WriteString(l.content, lead); err != nil {
		return err
	}
	if l.records <= maxHashedRecords {
		sum := sha256.Sum256(record)
		l.hashes = append(l.hashes, sum[:RecordHash]...)
	}
	_, err := l.content.Write(record)
	return err
}

// Records is how many records were added.
func (l *LogWriter) Records() int { return l.records }

// Close ends the file and says what a digest has to say of it, where it is to lie in the bucket. A file has one record at least.
func (l *LogWriter) Close(bucket, object string) (LogFile, error) {
	if l.records == 0 {
		return LogFile{}, errors.New("trailfile: a log file without records")
	}
	if _, err := io.WriteString(l.content, "]}"); err != nil {
		return LogFile{}, err
	}
	if err := l.zip.Close(); err != nil {
		return LogFile{}, err
	}
	if l.records > maxHashedRecords {
		l.hashes = nil
	}
	return LogFile{bucket, object, hex.EncodeToString(l.hash.Sum(nil)), SHA256, l.newest, l.oldest, l.hashes}, nil
}

// second is a time as digest files write it.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
