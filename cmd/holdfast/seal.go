package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/providers"
	"github.com/holdfast-cloud/holdfast/seal/shamir"
)

// rewrapParams say what seals the cloud from now on. New shares come along: they are dealt, and shown, before the server learns of them, so that none is in force
// that nobody has.
type rewrapParams struct {
	To     string
	Shares []string
}

func sealCommand(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: want status, rewrap or rotate", errUsage)
	}
	switch args[0] {
	case "-h", "--help", "help":
		_, err := fmt.Fprintln(e.out, "Usage: holdfast seal status|rewrap|rotate [flags]\n\nholdfast seal rewrap -h, and so on, tells the flags.")
		return err
	case "status":
		return performSeal(ctx, e, "seal", args[1:])
	case "rotate":
		return performSeal(ctx, e, "rotate", args[1:])
	case "rewrap":
		return rewrapCommand(ctx, e, args[1:])
	}
	return fmt.Errorf("%w: %q is none of status, rewrap and rotate", errUsage, args[0])
}

func performSeal(ctx context.Context, e *env, task string, args []string) error {
	f, data, sealSpec := commandFlags(e, "seal "+map[string]string{"seal": "status"}[task], "[flags]")
	if err := f.parse(args); err != nil {
		return err
	}
	return perform(ctx, *data, *sealSpec, task, nil, e.out)
}

func rewrapCommand(ctx context.Context, e *env, args []string) error {
	f, data, sealSpec := commandFlags(e, "seal rewrap", "--to WHERE [flags]")
	var p rewrapParams
	f.StringVar(&p.To, "to", "", "`where` the new root key is, as the server sees it: "+providers.Names)
	if err := f.parse(args); err != nil {
		return err
	}
	if err := seenByServer("--to", p.To); err != nil {
		return err
	}
	switch p.To {
	case "":
		return fmt.Errorf("%w: --to is missing", errUsage)
	case "shamir":
		return fmt.Errorf("%w: --to shamir does not say how many shares are needed of how many: shamir:3/5", errUsage)
	}
	if quorum, ok := strings.CutPrefix(p.To, "shamir:"); ok {
		threshold, n, err := providers.Quorum(quorum)
		if err != nil {
			return fmt.Errorf("%w: %v", errUsage, err)
		}
		if p.Shares, err = shamir.Deal(threshold, n); err != nil {
			return fmt.Errorf("%w: %v", errUsage, err)
		}
		if err := printShares(e.out, threshold, p.Shares); err != nil {
			return err
		}
		p.To = "shamir"
	}
	err := perform(ctx, *data, *sealSpec, "rewrap", p, e.out)
	if err != nil && p.Shares != nil {
		return fmt.Errorf("%w; whether the shares above are in force, holdfast seal status tells", err)
	}
	return err
}

// seenByServer refuses to have a server, which may run already, look for a root key where only this command could.
func seenByServer(flag, spec string) error {
	if strings.HasPrefix(spec, "passphrase:fd:") || strings.Contains(spec, "pin-source=fd:") {
		return fmt.Errorf("%w: %s %s would be a descriptor of the server, not of this command; use file:PATH in place of fd:N", errUsage, flag, spec)
	}
	return nil
}

func rewrap(ctx context.Context, c *cloud.Cloud, in io.Reader, out io.Writer) error {
	var p rewrapParams
	if err := readParams(in, &p); err != nil {
		return err
	}
	provider, err := newProvider(p)
	if err != nil {
		return err
	}
	before := c.Seal().File
	if err := c.Rewrap(ctx, provider); err != nil {
		return err
	}
	if before != "" {
		if c.Seal().File == before {
			before += ".old"
		}
		// What the store has overwritten lies on the disk for a while, too.
		if _, err := fmt.Fprintf(out, "The old root key is still in %s, and opens older copies: move it to where you keep those.\n", before); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "The keyring is under the new root key. From now on start the server with --seal %s\n", quoted(p.To))
	return err
}

func newProvider(p rewrapParams) (seal.Provider, error) {
	if p.Shares != nil {
		return shamir.Assemble(p.Shares)
	}
	return providers.Parse(p.To)
}

func sealStatus(_ context.Context, c *cloud.Cloud, _ io.Reader, out io.Writer) error {
	s := c.Seal()
	if _, err := fmt.Fprintf(out, "root key                     %s\n", s.Kind); err != nil {
		return err
	}
	for i, v := range s.Versions {
		use := ""
		if i == len(s.Versions)-1 {
			use = ", wraps"
		}
		if _, err := fmt.Fprintf(out, "key-encryption key version   %d, made %s%s\n", v.Version, v.Created.Format(time.RFC3339), use); err != nil {
			return err
		}
	}
	return nil
}

func rotate(ctx context.Context, c *cloud.Cloud, _ io.Reader, out io.Writer) error {
	version, err := c.RotateSeal(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Everything new is wrapped under version %d of the key-encryption key.\n", version)
	return err
}
