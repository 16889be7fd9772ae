// Package swtpm runs the TPM 2.0 emulator swtpm for tests.
package swtpm

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// TPM is an emulated TPM. Its state outlives Stop, as a real one's outlives the machine being switched off.
type TPM struct {
	// Path is the unix socket that it listens on.
	Path string

	state string
	cmd   *exec.Cmd
}

// Installed reports whether there is an emulator.
func Installed() bool {
	_, err := exec.LookPath("swtpm")
	return err == nil
}

// Need skips the test if there is none.
func Need(t testing.TB) {
	t.Helper()
	if !Installed() {
		t.Skip("swtpm is missing: make deps installs it, or tells how")
	}
}

// Start starts a TPM that nobody has used, until the test ends.
func Start(t testing.TB) *TPM {
	t.Helper()
	Need(t)
	dir, err := os.MkdirTemp("", "swtpm") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	v := &TPM{Path: filepath.Join(dir, "tpm"), state: filepath.Join(dir, "state")}
	if err := os.Mkdir(v.state, 0o700); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
	t.Cleanup(func() {
		v.Stop()
		os.RemoveAll(dir)
	})
	return v
}

// Start switches the TPM on.
func (v *TPM) Start(t testing.TB) {
	t.Helper()
	_ = os.Remove(v.Path)
	v.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+v.state, "--server", "type=unixio,path="+v.Path, "--flags", "not-need-init,startup-clear")
	v.cmd.Stderr = os.Stderr
	if err := v.cmd.Start(); err != nil {
		t.Fatalf("starting swtpm: %v", err)
	}
	for range 1000 {
		if conn, err := net.Dial("unix", v.Path); err == nil {
			conn.Close()
			return
		}
		_ = clock.Pause(context.Background(), 5*time.Millisecond)
	}
	t.Fatal("swtpm does not listen")
}

// Stop switches the TPM off.
func (v *TPM) Stop() {
	if v.cmd != nil {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
		v.cmd = nil
	}
}
