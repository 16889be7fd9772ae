package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Metadata is what a file's name ends with beside a digest, in a [Tree], that has the metadata of the digest's object as aws s3api head-object --query Metadata prints it:
//
//	{"signature": "5f3c...", "signature-algorithm": "SHA256withRSA"}
const Metadata = ".metadata.json"

// A Tree is a copy of a bucket in files. Metadata of digests is in files beside them.
type Tree struct{ fs.FS }

var _ Source = Tree{}

// Files implements [Source].
func (t Tree) Files(ctx context.Context, fn func(string) error) error {
	return fs.WalkDir(t.FS, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() || strings.HasSuffix(name, Metadata):
			return nil
		}
		return fn(name)
	})
}

// Open implements [Source].
func (t Tree) Open(_ context.Context, name string) (io.ReadCloser, error) { return t.FS.Open(name) }

// maxMetadata bounds a file of metadata. S3 takes 2 KB.
const maxMetadata = 64 << 10

// Signature implements [Source].
func (t Tree) Signature(_ context.Context, name string) (string, error) {
	f, err := t.FS.Open(name + Metadata)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("opening the metadata of %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMetadata))
	if err != nil {
		return "", fmt.Errorf("reading the metadata of %s: %w", name, err)
	}
	var m struct {
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Signature == "" {
		return "no signature", nil // which proves nothing
	}
	return m.Signature, nil
}
