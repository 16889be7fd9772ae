package sqs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A message is kept as JSON, which is written and read here, as queues do nothing more often: encoding/json takes several times as long.

// encode is the JSON of the message, as encoding/json has it.
func (m *message) encode() []byte {
	b := make([]byte, 0, 256+len(m.Sender)+len(m.Group)+len(m.Dedup)+len(m.Source))
	b = wire.AppendJSONString(append(b, `{"ID":`...), m.ID)
	b = appendText(b, `,"Sender":`, m.Sender)
	b = strconv.AppendInt(append(b, `,"Sent":`...), m.Sent, 10)
	b = strconv.AppendInt(append(b, `,"Visible":`...), m.Visible, 10)
	b = appendNumber(b, `,"Received":`, int64(m.Received))
	b = appendNumber(b, `,"First":`, m.First)
	b = appendNumber(b, `,"Taken":`, m.Taken)
	b = appendText(b, `,"Group":`, m.Group)
	b = appendText(b, `,"Dedup":`, m.Dedup)
	b = appendText(b, `,"Source":`, m.Source)
	b = strconv.AppendInt(append(b, `,"Bytes":`...), int64(m.Bytes), 10)
	b = strconv.AppendInt(append(b, `,"Pieces":`...), int64(m.Pieces), 10)
	return append(b, '}')
}

// appendText and appendNumber write a field unless it is empty.
func appendText(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return wire.AppendJSONString(append(b, name...), v)
}

func appendNumber(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), v, 10)
}

// decodeMessage reads the JSON of a message. What is not as encode writes it, or has anything in a text that is escaped, is left to encoding/json.
func decodeMessage(b []byte) (*message, error) {
	r := fields{b}
	m := &message{
		ID: r.text(`{"ID":"`), Sender: r.text(`,"Sender":"`), Sent: r.number(`,"Sent":`), Visible: r.number(`,"Visible":`), Received: int(r.number(`,"Received":`)),
		First: r.number(`,"First":`), Taken: r.number(`,"Taken":`), Group: r.text(`,"Group":"`), Dedup: r.text(`,"Dedup":"`), Source: r.text(`,"Source":"`),
		Bytes: int(r.number(`,"Bytes":`)), Pieces: int(r.number(`,"Pieces":`)),
	}
	if string(r.rest) == "}" {
		return m, nil
	}
	m = new(message)
	return m, json.Unmarshal(b, m)
}

// fields reads the fields of a record in the order in which they were written. One that is not the next is empty, and what cannot be read stays in rest.
type fields struct{ rest []byte }

func (f *fields) text(name string) string {
	rest, found := bytes.CutPrefix(f.rest, []byte(name))
	end := bytes.IndexByte(rest, '"')
	if !found || end < 0 {
		return ""
	}
	for _, c := range rest[:end] {
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			return ""
		}
	}
	f.rest = rest[end+1:]
	return string(rest[:end])
}

func (f *fields) number(name string) int64 {
	rest, found := bytes.CutPrefix(f.rest, []byte(name))
	end := 0
	for end < len(rest) && (rest[end] == '-' || rest[end] >= '0' && rest[end] <= '9') {
		end++
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if !found || err != nil {
		return 0
	}
	f.rest = rest[end:]
	return n
}

// put stores the message.
func (p pile) put(tx store.Tx, m *message) { tx.Set(p.message(m.seq), m.encode()) }

// load returns a message, or store.ErrNotFound.
func (p pile) load(r store.Reader, seq uint64) (*message, error) {
	key := p.message(seq)
	value, err := r.Get(key)
	if err != nil {
		return nil, err
	}
	m, err := decodeMessage(value)
	if err != nil {
		return nil, fmt.Errorf("sqs: record %s does not decode", tuple.Format(key))
	}
	m.seq = seq
	return m, nil
}
