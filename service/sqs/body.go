package sqs

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/store"
)

// content is what a message says.
type content struct {
	Attributes map[string]attribute `json:",omitempty"`
	Trace      string               `json:",omitempty"` // the system attribute AWSTraceHeader
	body       string
}

// A body in the clear is
//
//	length of the head, 4 | content as JSON | the message's body
//
// and encrypted it is one of
//
//	1 | wrapped by the keyring, for the ID of the message
//	2 | length of the head, 4 | dataKey as JSON | encrypted with the data key, for the ID of the message
//
// It keeps how it is encrypted wherever the message goes: so a dead letter is still encrypted as it was in the queue that it comes from.
const (
	byKeyring = 1
	byKMS     = 2

	pieceSize = 512 << 10 // a value of the store has at most 1 MiB, and so has a body, to which the rest is added
)

var errBody = errors.New("the body of a message is damaged")

func (c *content) encode() ([]byte, error) {
	head, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 4+len(head)+len(c.body))
	b = framed(b, head)
	return append(b, c.body...), nil
}

func decodeContent(b []byte) (*content, error) {
	head, body, err := unframed(b)
	if err != nil {
		return nil, err
	}
	c := new(content)
	if json.Unmarshal(head, c) != nil {
		return nil, errBody
	}
	c.body = string(body)
	return c, nil
}

func framed(b, head []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	return append(b, head...)
}

func unframed(b []byte) (head, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errBody
	}
	n := 4 + int(binary.BigEndian.Uint32(b))
	return b[4:n], b[n:], nil
}

// encrypt makes the body of a message of the queue.
func (s *Service) encrypt(q *queue, id string, c *content) ([]byte, error) {
	clear, err := c.encode()
	if err != nil {
		return nil, err
	}
	if q.Settings.KmsMasterKeyID != "" {
		return s.encryptByKMS(q, id, clear)
	}
	wrapped, err := s.bodies.Wrap(id, clear)
	if err != nil {
		return nil, err
	}
	return append([]byte{byKeyring}, wrapped...), nil
}

// decrypt reads the body of a message that the queue has.
func (s *Service) decrypt(q *queue, id string, b []byte) (*content, error) {
	if len(b) == 0 {
		return nil, errBody
	}
	var clear []byte
	var err error
	switch b[0] {
	case byKeyring:
		clear, err = s.bodies.Unwrap(id, b[1:])
	case byKMS:
		clear, err = s.decryptByKMS(q, id, b[1:])
	default:
		err = errBody
	}
	if err != nil {
		return nil, err
	}
	return decodeContent(clear)
}

// putBody stores the body of a message, and returns in how many pieces.
func (p pile) putBody(tx store.Tx, seq uint64, b []byte) (pieces int) {
	for {
		n := min(len(b), pieceSize)
		tx.Set(p.body(seq, pieces), b[:n])
		pieces++
		if b = b[n:]; len(b) == 0 {
			return pieces
		}
	}
}

// getBody reads what putBody has stored.
func (p pile) getBody(r store.Reader, m *message) ([]byte, error) {
	if m.Pieces == 1 {
		return r.Get(p.body(m.seq, 0))
	}
	var whole [][]byte
	for i := range m.Pieces {
		b, err := r.Get(p.body(m.seq, i))
		if err != nil {
			return nil, fmt.Errorf("reading the body of a message: %w", err)
		}
		whole = append(whole, b)
	}
	return bytes.Join(whole, nil), nil
}

func (p pile) deleteBody(tx store.Tx, m *message) {
	for i := range m.Pieces {
		tx.Delete(p.body(m.seq, i))
	}
}
