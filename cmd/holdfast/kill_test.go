package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// acknowledged is what a server has said is done.
type acknowledged struct {
	mu          sync.Mutex
	keys        map[string]bool   // IDs
	aliases     map[string]string // name to key ID
	ciphertexts map[string][]byte // by plaintext
	requests    map[string]string // IDs of mutating calls, to their operation
}

// process starts the real command as a process of its own.
func process(t *testing.T, dir string) (*server, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--data", dir)
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_AS_MAIN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{out: new(syncbuffer.Buffer), log: new(syncbuffer.Buffer), ended: make(chan int, 1), transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	cmd.Stderr = s.log
	started := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for !strings.Contains(s.out.String(), ready) && lines.Scan() {
		fmt.Fprintln(s.out, lines.Text())
	}
	if !strings.Contains(s.out.String(), ready) {
		_ = cmd.Wait()
		t.Fatalf("the server did not start: %s", s.log)
	}
	t.Logf("started in %s", time.Since(started).Round(time.Millisecond))
	s.read(t)
	return s, cmd
}

// TestKill kills a server under load, again and again: what it acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	ack := &acknowledged{keys: make(map[string]bool), aliases: make(map[string]string), ciphertexts: make(map[string][]byte), requests: make(map[string]string)}
	var id, pass string
	const rounds = 5
	for round := range rounds {
		s, cmd := process(t, dir)
		if round == 0 {
			id, pass = s.id, s.secret
		}
		s.id, s.secret = id, pass
		k := s.kms()
		check(t, k, ack)
		if round == rounds-1 {
			s.transport.CloseIdleConnections()
			checkTrail(t, dir, ack)
			_ = cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Errorf("a server that was told to end: %v\n%s", err, s.log)
			}
			break
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { load(t, k, ack, fmt.Sprintf("%d-%d", round, w)) })
		}
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		wg.Wait()
	}
	t.Logf("%d keys, %d aliases, %d ciphertexts acknowledged in %d rounds, all there", len(ack.keys), len(ack.aliases), len(ack.ciphertexts), rounds-1)
}

// load makes keys, aliases and ciphertexts until the server is gone.
func load(t *testing.T, k *kms.Client, ack *acknowledged, name string) {
	for i := 0; ; i++ {
		made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String(name)})
		if err != nil {
			return
		}
		key := *made.KeyMetadata.KeyId
		ack.mu.Lock()
		ack.keys[key] = true
		ack.requests[requestID(made.ResultMetadata)] = "CreateKey"
		ack.mu.Unlock()
		alias := fmt.Sprintf("alias/%s-%d", name, i)
		named, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key})
		if err != nil {
			return
		}
		ack.mu.Lock()
		ack.aliases[alias] = key
		ack.requests[requestID(named.ResultMetadata)] = "CreateAlias"
		ack.mu.Unlock()
		encrypted, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &alias, Plaintext: []byte(alias)})
		if err != nil {
			return
		}
		ack.mu.Lock()
		ack.ciphertexts[alias] = encrypted.CiphertextBlob
		ack.requests[requestID(encrypted.ResultMetadata)] = "Encrypt"
		ack.mu.Unlock()
	}
}

func check(t *testing.T, k *kms.Client, ack *acknowledged) {
	t.Helper()
	for key := range ack.keys {
		if _, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key}); err != nil {
			t.Errorf("key %s was acknowledged and is lost: %v", key, err)
		}
	}
	for alias, key := range ack.aliases {
		if out, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &alias}); err != nil || *out.KeyMetadata.KeyId != key {
			t.Errorf("alias %s was acknowledged and is lost: %v", alias, err)
		}
	}
	for text, ciphertext := range ack.ciphertexts {
		if out, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: ciphertext}); err != nil || string(out.Plaintext) != text {
			t.Errorf("a ciphertext does not decrypt to %s: %v", text, err)
		}
	}
}

// checkTrail looks for the record of each acknowledged call.
func checkTrail(t *testing.T, dir string, ack *acknowledged) {
	t.Helper()
	recorded := make(map[string]string)
	for line := range strings.Lines(wantCommand(t, 0, "events", "--data", dir)) {
		var e struct{ RequestID, EventName string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a record is torn: %s", line)
		}
		recorded[e.RequestID] = e.EventName
	}
	for id, operation := range ack.requests {
		if recorded[id] != operation {
			t.Errorf("%s %s was acknowledged and is not on record", operation, id)
		}
	}
	if len(ack.requests) == 0 {
		t.Error("nothing was acknowledged")
	}
}

func requestID(m middleware.Metadata) string {
	id, _ := awsmiddleware.GetRequestIDMetadata(m)
	return id
}
