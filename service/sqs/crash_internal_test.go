package sqs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// crashDir names the store of the process that TestCrash kills, which is this test in another process.
const crashDir = "HOLDFAST_SQS_CRASH"

// A process that sends, receives and deletes is killed in the middle of it. What it had acknowledged is there when the store is opened again, and what it had deleted is not.
func TestCrash(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		workUntilKilled(t, dir)
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sent, deleted := make(map[string]bool), make(map[string]bool)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, body, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "sent":
			sent[body] = true
		case "deleted":
			deleted[body] = true
		default:
			t.Log(lines.Text())
		}
		if len(sent) == 200 {
			_ = cmd.Process.Kill() // what it has written by then is read all the same
		}
	}
	_ = cmd.Wait()
	if len(sent) < 200 || len(deleted) == 0 {
		t.Fatalf("%d were sent, %d deleted", len(sent), len(deleted))
	}

	w := onDisk(t, dir)
	defer w.store.Close()
	w.clock.Advance(maxVisibility * 1e9) // what was in flight is back
	there := make(map[string]bool)
	for {
		messages := w.receive(maxBatch)
		if len(messages) == 0 {
			break
		}
		for _, m := range messages {
			if there[*m.Body] {
				t.Errorf("%s came twice", *m.Body)
			}
			if there[*m.Body] = true; deleted[*m.Body] {
				t.Errorf("%s is back", *m.Body)
			}
		}
	}
	lost := 0
	for body := range sent {
		if !there[body] && !deleted[body] {
			lost++
		}
	}
	if lost > crashReceivers { // each may have deleted one, and not have come to tell
		t.Errorf("%d messages are lost", lost)
	}
}

const crashReceivers = 2

// workUntilKilled tells of each message that was acknowledged and of each deletion.
func workUntilKilled(t *testing.T, dir string) {
	w := onDisk(t, dir)
	w.create()
	var mu sync.Mutex
	say := func(what, body string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, body)
	}
	var work sync.WaitGroup
	for s := range 4 {
		work.Go(func() {
			for i := 0; ; i++ {
				body := fmt.Sprintf("sender-%d-%d", s, i)
				w.sendOne(body)
				say("sent", body)
			}
		})
	}
	for range crashReceivers {
		work.Go(func() {
			for {
				for _, m := range w.receive(1) {
					w.deleteOne(m)
					say("deleted", *m.Body)
				}
			}
		})
	}
	work.Wait()
}
