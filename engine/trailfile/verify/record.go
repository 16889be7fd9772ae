package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// maxRecord bounds a record, which is held in memory. CloudTrail cuts its own at 256 KiB.
const maxRecord = 4 << 20

// readRecords calls fn with the records of a log file, as they are written there; each is valid during the call only. The content has to be {"Records":[...]}, which CloudTrail
// writes; other members beside Records are an error.
func readRecords(r io.Reader, fn func(record []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if err := expect(in, `{"Records":[`); err != nil {
		return err
	}
	b, err := token(in)
	if err != nil {
		return err
	}
	if b == ']' {
		return end(in)
	}
	if err := in.UnreadByte(); err != nil {
		return err
	}
	var record []byte
	for n := 1; ; n++ {
		if record, err = object(in, record[:0], n); err != nil {
			return err
		}
		if !json.Valid(record) {
			return wrongContent("its record %d is not JSON", n)
		}
		if err := fn(record); err != nil {
			return err
		}
		switch b, err := token(in); {
		case err != nil:
			return err
		case b == ']':
			return end(in)
		case b != ',':
			return wrongContent("behind its record %d there is no comma", n)
		}
	}
}

// object reads one JSON object, as far as braces and strings tell where it ends.
func object(in *bufio.Reader, record []byte, n int) ([]byte, error) {
	b, err := token(in)
	if err != nil {
		return nil, err
	}
	if b != '{' {
		return nil, wrongContent("its record %d is no JSON object", n)
	}
	record = append(record, b)
	for depth, text, escaped := 1, false, false; depth > 0; {
		if b, err = readByte(in); err != nil {
			return nil, err
		}
		if len(record) == maxRecord {
			return nil, wrongContent("its record %d is larger than any record", n)
		}
		record = append(record, b)
		switch {
		case escaped:
			escaped = false
		case text && b == '\\':
			escaped = true
		case b == '"':
			text = !text
		case text:
		case b == '{':
			depth++
		case b == '}':
			depth--
		}
	}
	return record, nil
}

// expect reads what a text says, with or without white space between.
func expect(in *bufio.Reader, text string) error {
	for _, want := range []byte(text) {
		if b, err := token(in); err != nil {
			return err
		} else if b != want {
			return wrongContent(`it does not begin with {"Records":[`)
		}
	}
	return nil
}

// end reads what stands behind the records.
func end(in *bufio.Reader) error {
	if b, err := token(in); err != nil {
		return err
	} else if b != '}' {
		return wrongContent("behind its records stands something else")
	}
	switch _, err := token(in); {
	case err == nil:
		return wrongContent("behind its records stands something else")
	case reason(err) == cutOff:
		return nil
	default:
		return err
	}
}

const cutOff = "it is cut off"

// token is the next byte that is no white space.
func token(in *bufio.Reader) (byte, error) {
	for {
		b, err := readByte(in)
		if err != nil || !bytes.ContainsRune([]byte(" \t\r\n"), rune(b)) {
			return b, err
		}
	}
}

func readByte(in *bufio.Reader) (byte, error) {
	b, err := in.ReadByte()
	if err == io.EOF {
		err = wrongContent(cutOff)
	}
	return b, err
}
