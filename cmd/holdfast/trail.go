package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
)

func trailCommand(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: want export, keys or verify", errUsage)
	}
	switch args[0] {
	case "-h", "--help", "help":
		_, err := fmt.Fprintln(e.out, "Usage: holdfast trail export|keys|verify [flags]\n\nholdfast trail verify -h, and so on, tells the flags.")
		return err
	case "export":
		return exportTrail(ctx, e, args[1:])
	case "keys":
		return trailKeys(ctx, e, args[1:])
	case "verify":
		return verifyTrail(ctx, e, args[1:])
	}
	return fmt.Errorf("%w: %q is none of export, keys and verify", errUsage, args[0])
}

var errNotValid = errors.New("the files are not as they were delivered, or it cannot be proven that they are")

// verifyTrail needs no cloud, only the files and the public keys.
func verifyTrail(ctx context.Context, e *env, args []string) error {
	f := newFlags(e, "trail verify", "DIR --public-keys FILE [flags]")
	keys := f.String("public-keys", "", "`file` with the public keys, as holdfast trail keys or aws cloudtrail list-public-keys prints them; it must not come from where the files do")
	var o verify.Options
	f.StringVar(&o.Account, "account", "", "check the files of this `account` alone")
	f.StringVar(&o.Region, "region", "", "check the files of this `region` alone")
	f.StringVar(&o.Trail, "trail", "", "check the files of the trail of this `name` alone")
	f.Func("start", "`time` to check from, as 2026-01-02T15:04:05Z; files before it may be gone", instant(&o.Start))
	f.Func("end", "`time` to check until; the digests must reach it", instant(&o.End))
	asJSON := f.Bool("json", false, "print the report as JSON")
	dir, args := operand(args)
	if err := f.parse(args); err != nil {
		return err
	}
	if dir == "" || *keys == "" {
		return fmt.Errorf("%w: want the directory with the files, and --public-keys", errUsage)
	}
	var err error
	if o.Keys, err = readKeys(*keys); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	report, err := verify.Verify(ctx, verify.Tree{FS: root.FS()}, o)
	if err != nil {
		return err
	}
	if *asJSON {
		out := json.NewEncoder(e.out)
		out.SetIndent("", "  ")
		err = out.Encode(struct {
			Valid bool `json:"valid"`
			*verify.Report
		}{report.Valid(), report})
	} else {
		err = report.WriteText(e.out)
	}
	if err == nil && !report.Valid() {
		err = errNotValid
	}
	return err
}

func readKeys(file string) (verify.PublicKeys, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := verify.ReadPublicKeys(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}
