package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// manyKeys is how many keys a large cloud has here.
const manyKeys = 100_000

// start prints how long starts take, and what a backup of many keys does.
func start(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	first := s.ready
	rows, err := prepare(s)
	if err != nil {
		return err
	}
	encrypt := rows[0]
	made, rate, err := s.fill(ctx, manyKeys)
	if err != nil {
		return err
	}
	if err := backupTable(ctx, o, s, encrypt, made); err != nil {
		return err
	}
	s.kill()
	begin := time.Now()
	again, err := startHoldfast(ctx, o.binary, s.dir)
	if err != nil {
		return err
	}
	defer again.kill()
	again.key, again.secret = s.key, s.secret
	var in map[string]any
	if err := json.Unmarshal(encrypt.body, &in); err != nil {
		return err
	}
	if err := again.call("Encrypt", in, nil); err != nil {
		return err
	}
	answered := time.Since(begin)
	fmt.Printf("## Start\n\nFrom the process's start to its first answer; the restart is after `kill -9`. The bar is 2 s to the first Encrypt with 100,000 keys.\n\n"+
		"| | |\n| --- | ---: |\n| first start | %s |\n| restart with %d keys, ready | %s |\n| restart with %d keys, first Encrypt answered | %s |\n| CreateKey, durable, 64 connections | %.0f/s |\n\n",
		short(first), made, short(again.ready), made, short(answered), rate)
	return nil
}

// fill makes at least n keys through the API, and returns how many, and how many a second.
func (s *server) fill(ctx context.Context, n int) (made int, rate float64, err error) {
	m, err := s.sign("CreateKey", []byte("{}"))
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	for made < n {
		r, err := s.burst(ctx, m, 64, time.Second)
		if err != nil {
			return 0, 0, err
		}
		made += r.requests
	}
	return made, float64(made) / time.Since(begin).Seconds(), nil
}

// backupTable backs up a server that answers calls meanwhile, reads the backup back, and restores it.
func backupTable(ctx context.Context, o options, s *server, encrypt row, keys int) error {
	dir, err := os.MkdirTemp("", "holdfast-bench-backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := s.sign(encrypt.operation, encrypt.body)
	if err != nil {
		return err
	}
	alone, err := s.paced(ctx, m, 500, 8, o.seconds)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "backup")
	command := func(args ...string) (time.Duration, error) {
		begin := time.Now()
		cmd := exec.CommandContext(ctx, o.binary, args...)
		cmd.Stderr = os.Stderr
		err := cmd.Run()
		return time.Since(begin), err
	}
	var written time.Duration
	ended := make(chan error, 1)
	go func() {
		// Written, and read back.
		var err error
		written, err = command("backup", "--data", s.dir, "--to", file)
		ended <- err
	}()
	beside := &result{}
	for running := true; running; {
		r, err := s.paced(ctx, m, 500, 8, time.Second)
		if err != nil {
			return err
		}
		beside.add(r)
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("backing up: %w", err)
			}
			running = false
		default:
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	root := "file:" + filepath.Join(s.dir, "root.key")
	verified, err := command("backup", "verify", file, "--seal", root)
	if err != nil {
		return err
	}
	restored, err := command("restore", "--from", file, "--data", filepath.Join(dir, "new"), "--seal", root)
	if err != nil {
		return err
	}
	mb := float64(info.Size()) / (1 << 20)
	fmt.Printf("## Backup\n\nOf a running server with %d keys and their records, into a file of %.0f MiB, while it answers 500 Encrypts a second.\n\n| | time | keys/s |\n| --- | ---: | ---: |\n", keys, mb)
	for _, r := range []struct {
		name string
		took time.Duration
	}{{"backup, written and read back", written}, {"backup verify", verified}, {"restore", restored}} {
		fmt.Printf("| %s | %.1f s | %.0f |\n", r.name, r.took.Seconds(), float64(keys)/r.took.Seconds())
	}
	fmt.Printf("\n| Encrypt | p50 | p99 |\n| --- | ---: | ---: |\n| alone | %s | %s |\n| beside the backup | %s | %s |\n\n",
		short(alone.quantile(.5)), short(alone.quantile(.99)), short(beside.quantile(.5)), short(beside.quantile(.99)))
	return nil
}
