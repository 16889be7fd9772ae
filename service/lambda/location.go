package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
)

// locationTime is how long a location of code is good: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
const locationTime = 10 * time.Minute

// ticket lets who has it read an archive, like a presigned URL.
type ticket struct {
	Blob    string
	Expires time.Time
}

// ErrNoCode is the error of a location that is none, any more or at all.
var ErrNoCode = errors.New("lambda: there is no code at this location")

// location is where an archive can be read for a while, by whoever has the URL. It can neither be guessed nor made of another one, because it is sealed.
func (s *Service) location(c *call.Call, blob string) (string, error) {
	text, err := json.Marshal(ticket{blob, c.Time.Add(locationTime)})
	if err != nil {
		return "", err
	}
	sealed, err := s.tickets.Wrap("", text)
	if err != nil {
		return "", err
	}
	return s.cfg.CodeURL(base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// Code opens the archive at a location: it is what CodeURL was given. The caller closes it.
func (s *Service) Code(ctx context.Context, location string) (archive io.ReadCloser, size int64, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(location)
	if err != nil {
		return nil, 0, ErrNoCode
	}
	text, err := s.tickets.Unwrap("", sealed)
	if err != nil {
		return nil, 0, ErrNoCode
	}
	var t ticket
	if err := json.Unmarshal(text, &t); err != nil || !s.cfg.Clock.Now().Before(t.Expires) {
		return nil, 0, ErrNoCode
	}
	archive, info, err := s.cfg.Blob.Get(ctx, t.Blob, 0, -1)
	if errors.Is(err, blob.ErrNotFound) {
		err = ErrNoCode // the function was deleted
	}
	return archive, info.Size, err
}
