package sqs

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/holdfast-cloud/holdfast/api/sqs"
)

// A receipt handle is sealed for the ID of its queue, so that nobody makes one up, and that of another queue is none:
//
//	base64( seal of: version 1 | sequence, 8 | times received, 4 | when, 8 | pile )
type handle struct {
	seq      uint64
	received int
	taken    int64 // in nanoseconds: a message that was redriven is counted anew, and keeps its sequence
	pile     string
}

// latest reports whether a message was not received again since its handle was given out.
func (h handle) latest(m *message) bool { return m.Received == h.received && m.Taken == h.taken }

const (
	handleVersion = 1
	handleHead    = 1 + 8 + 4 + 8
	maxHandle     = 1024
)

// newHandle is the receipt handle of a message that is being received.
func (s *Service) newHandle(q *queue, m *message) (string, error) {
	b := make([]byte, 0, handleHead+len(q.Pile))
	b = append(b, handleVersion)
	b = binary.BigEndian.AppendUint64(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Received))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Taken))
	b = append(b, q.Pile...)
	sealed, err := s.handles.Wrap(q.ID, b)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// openHandle reads a receipt handle of the queue.
func (s *Service) openHandle(q *queue, text string) (handle, error) {
	bad := &sqs.ReceiptHandleIsInvalid{Message: `The input receipt handle "` + text + `" is not a valid receipt handle.`}
	if len(text) > maxHandle {
		bad.Message = "The input receipt handle is not a valid receipt handle."
		return handle{}, bad
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return handle{}, bad
	}
	b, err := s.handles.Unwrap(q.ID, sealed)
	if err != nil || len(b) < handleHead || b[0] != handleVersion {
		return handle{}, bad
	}
	return handle{binary.BigEndian.Uint64(b[1:]), int(binary.BigEndian.Uint32(b[9:])), int64(binary.BigEndian.Uint64(b[13:])), string(b[handleHead:])}, nil
}
