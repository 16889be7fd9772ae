package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/providers"
	"github.com/holdfast-cloud/holdfast/seal/shamir"
)

// standard is how a command names its standard input or output where it wants a file.
const standard = "-"

// backupParams name the root key that opens the backup; none is the cloud's own.
type backupParams struct{ For string }

func backupCommand(ctx context.Context, e *env, args []string) error {
	if len(args) > 0 && args[0] == "verify" {
		return verifyBackup(ctx, e, args[1:])
	}
	f, data, sealSpec := commandFlags(e, "backup", "--to FILE [flags]\n       holdfast backup verify FILE [flags]")
	to := f.String("to", "", "`file` to write, which must not exist, or - for the standard output")
	var p backupParams
	f.StringVar(&p.For, "for", "", "`where` the root key is, as the server sees it, that is to open the backup, if not the server's own; all that --seal of serve takes but shamir")
	if err := f.parse(args); err != nil {
		return err
	}
	if err := seenByServer("--for", p.For); err != nil {
		return err
	}
	if kind, _, _ := strings.Cut(p.For, ":"); kind == "shamir" {
		return fmt.Errorf("%w: --for shamir would need new shares for each backup", errUsage)
	}
	switch *to {
	case "":
		return fmt.Errorf("%w: --to is missing", errUsage)
	case standard:
		if err := perform(ctx, *data, *sealSpec, "backup", p, e.out); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.err, "The backup was written and not read back: run holdfast backup verify where it is kept.")
		return err
	}
	_, err := os.Lstat(*to)
	if err == nil {
		err = fs.ErrExist
	}
	var checked string
	if errors.Is(err, fs.ErrNotExist) {
		checked, err = writeChecked(ctx, *data, *sealSpec, p, *to)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists, and a backup replaces nothing", *to)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s: %s", *to, checked)
	return err
}

// writeChecked has a backup written beside path and read back, and only then gives it its name.
func writeChecked(ctx context.Context, data, sealSpec string, p backupParams, path string) (checked string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	defer f.Close()
	if err := perform(ctx, data, sealSpec, "backup", p, f); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := performOn(ctx, data, sealSpec, "backup-check", f, &out); err != nil {
		return "", fmt.Errorf("what was written is not what was read back: %w", err)
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return out.String(), durable.RenameNew(f.Name(), path)
}

func writeBackup(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p backupParams
	err := readParams(in, &p)
	if err != nil {
		return err
	}
	var root seal.Provider // nil is the cloud's own
	if p.For != "" {
		if root, err = providers.Parse(p.For); err != nil {
			return err
		}
	}
	_, err = c.BackupFor(ctx, out, root)
	return err
}

func checkBackup(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	checked, err := c.CheckBackup(ctx, in)
	if err != nil {
		// Whoever sends a file hears the answer when all of it is sent.
		_, _ = io.Copy(io.Discard, in)
		return err
	}
	return tellBackup(out, checked)
}

func tellBackup(out io.Writer, b *cloud.Checked) error {
	_, err := fmt.Fprintf(out, "backup of %s, taken by holdfast %s: %d records of the store, %d files of the audit log and %d objects, %.1f MiB, all read and checked\n",
		b.Taken.Format(time.RFC3339), b.Software, b.Pairs, b.Segments, b.Objects, float64(b.Bytes)/(1<<20))
	return err
}

// verifyBackup needs no cloud, only the root key.
func verifyBackup(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "backup verify", "FILE [flags]")
	data := f.dataFlag()
	sealSpec := f.String("seal", "", "`where` the root key is that the backup was taken under; as for serve")
	var file string
	// The file may stand before or behind the flags.
	switch last := len(args) - 1; {
	case last >= 0 && isFile(args[0]):
		file, args = args[0], args[1:]
	case last >= 0 && isFile(args[last]):
		file, args = args[last], args[:last]
	}
	if err := f.parse(args); err != nil {
		return err
	}
	if file == "" {
		return fmt.Errorf("%w: want the file of a backup, or - for the standard input", errUsage)
	}
	root, err := e.rootKey(*data, *sealSpec, file)
	if err != nil {
		return err
	}
	in, err := e.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	checked, err := cloud.VerifyBackup(ctx, in, root)
	if err != nil {
		return err
	}
	return tellBackup(e.out, checked)
}

func isFile(arg string) bool { return arg == standard || !strings.HasPrefix(arg, "-") }

// open opens a file to read, or the standard input.
func (e *env) open(name string) (io.ReadCloser, error) {
	if name == standard {
		return io.NopCloser(e.in), nil
	}
	return os.Open(name)
}

// rootKey is the root key that opens a backup, which is read from a file or from the standard input: the one that spec names, or the one in the data directory.
func (e *env) rootKey(data, spec, backup string) (seal.Provider, error) {
	if spec == "" {
		return seal.NewFile(filepath.Join(data, "root.key")), nil
	}
	root, err := providers.Parse(spec)
	if shares, ok := root.(*shamir.Seal); ok && err == nil {
		if backup == standard {
			return nil, fmt.Errorf("%w: shares are read from the standard input, so the backup has to be a file", errUsage)
		}
		return &asking{shares, e}, nil
	}
	return root, err
}

// asking is a root key shared by several people, all of whom are at this command: no server runs that they could give their shares to.
type asking struct {
	*shamir.Seal
	e *env
}

// Unwrap implements [seal.Provider].
func (a *asking) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	next, last := shareReader(ctx, a.e), 0
	for {
		plain, err := a.Seal.Unwrap(ctx, wrapped)
		if !errors.Is(err, seal.ErrUnavailable) {
			return plain, err
		}
		st := a.Status()
		fmt.Fprintf(a.e.err, "%d of the %d shares needed are given (set %s).\n", st.Given, st.Needed, st.Set)
		share, end := next()
		if end == io.EOF && st.Given > last {
			// At a terminal one person is asked at a time; then comes the next.
			next, last = shareReader(ctx, a.e), st.Given
			share, end = next()
		}
		if end == io.EOF {
			return nil, err
		}
		if end != nil {
			return nil, end
		}
		if _, err := a.Give(share, ""); err != nil {
			return nil, err
		}
	}
}

// quoted is an argument as a shell takes it: URIs have question marks and ampersands in them.
func quoted(arg string) string {
	if !strings.ContainsAny(arg, " \t\n\\\"'`$&|;<>()*?[]#~!{}") {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

func restore(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "restore", "--from FILE --data NEWDIR [flags]")
	data := f.dataFlag()
	sealSpec := f.String("seal", "", "`where` the root key is that the backup was taken under; as for serve (default the file root.key in the data directory, put there before)")
	from := f.String("from", "", "`file` of a backup, or - for the standard input")
	if err := f.parse(args); err != nil {
		return err
	}
	if *from == "" || *data == "" {
		return fmt.Errorf("%w: --from and --data are needed", errUsage)
	}
	root, err := e.rootKey(*data, *sealSpec, *from)
	if err != nil {
		return err
	}
	start := "holdfast serve --data " + quoted(*data)
	if *sealSpec != "" {
		start += " --seal " + quoted(*sealSpec)
	}
	in, err := e.open(*from)
	if err != nil {
		return err
	}
	defer in.Close()
	checked, err := cloud.Restore(ctx, in, *data, root)
	if err != nil {
		return err
	}
	if err := tellBackup(e.out, checked); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "It is restored. Start it, once the server that it is a copy of is gone for good:\n\n  %s\n", start)
	return err
}
