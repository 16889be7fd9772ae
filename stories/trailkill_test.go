package stories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	smithy "github.com/aws/smithy-go/middleware"
)

// killings is how often the server is killed.
const killings = 200

// Whatever was answered is on record, once, however often the server is killed: in the history, and in the files of a trail, whose chain of digests holds.
func TestEveryAnsweredCallIsOnRecordAfterKills(t *testing.T) {
	const account = "000000000000" // whose root user anybody is in dev mode, where the clock can be moved
	p := newServer(t, "--dev").start()
	p.id, p.secret = account, "anything"
	began := time.Now().UTC()
	b := newTrailBucket(t, p.config("us-east-1"), "killed")
	b.trail(t, account, "killed", "", "", true)
	w := &workers{kms: p.kms("us-east-1"), iam: iam.NewFromConfig(p.config("us-east-1"))}
	for range 3 {
		w.keys = append(w.keys, *newKey(t, w.kms).KeyId)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range killings {
		if round > 0 {
			p.start()
		}
		killed, kill := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		w.start(&wg, killed, round)
		if by := random.IntN(40) - 20; by > 0 { // files are delivered, and digests made, while it is killed
			wg.Go(func() { _ = moveClock(p, time.Duration(by)*time.Minute) })
		}
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
		w.reach(round + 1)
		p.kill()
		kill()
		wg.Wait()
	}
	p.start()
	for range 2 {
		done(t)(nil, moveClock(p, time.Hour))
	}
	t.Logf("%d calls were answered", len(w.answered))
	if len(w.answered) < killings {
		t.Errorf("only %d calls were answered", len(w.answered))
	}

	history := map[string]int{}
	for line := range strings.Lines(holdfast(t, "", "events", "--data", p.data())) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("a record is torn: %v\n%s", err, line)
		}
		history[e.RequestID]++
	}
	w.want(t, "in the history", history)
	files, ids := map[string]int{}, map[string]bool{}
	for _, e := range b.records(t, "") {
		if ids[e.EventID] {
			t.Errorf("event %s was delivered twice", e.EventID)
		}
		ids[e.EventID] = true
		files[e.RequestID]++
	}
	w.want(t, "in the files", files)
	if found := b.findings(t, b.publicKeys(t, began)); len(found) > 0 {
		t.Errorf("the files are not valid: %q", found)
	}
}

func moveClock(p *process, by time.Duration) error {
	resp, err := http.Post(p.url()+"/_holdfast/clock", "application/json", strings.NewReader(fmt.Sprintf(`{"advance":%q}`, by)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("moving the clock: %s", resp.Status)
	}
	return nil
}

// workers call until the server is killed, and remember which calls were answered.
type workers struct {
	kms  *kms.Client
	iam  *iam.Client
	keys []string

	mu       sync.Mutex // guards answered
	answered []string   // IDs of requests
}

func (w *workers) start(wg *sync.WaitGroup, killed context.Context, round int) {
	call := func(fn func(n int) (smithy.Metadata, error)) {
		wg.Go(func() {
			for n := 0; killed.Err() == nil; n++ {
				said, err := fn(n)
				if err != nil {
					continue // nobody knows whether it was done
				}
				id, _ := middleware.GetRequestIDMetadata(said)
				w.mu.Lock()
				w.answered = append(w.answered, id)
				w.mu.Unlock()
			}
		})
	}
	for _, key := range w.keys {
		call(func(n int) (m smithy.Metadata, err error) {
			out, err := w.kms.TagResource(killed, &kms.TagResourceInput{KeyId: &key, Tags: []kmstypes.Tag{{TagKey: aws.String("n"), TagValue: aws.String(fmt.Sprint(round, n))}}})
			if err == nil {
				m = out.ResultMetadata
			}
			return m, err
		})
	}
	call(func(n int) (m smithy.Metadata, err error) {
		out, err := w.iam.CreateUser(killed, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("user-%d-%d", round, n))})
		if err == nil {
			m = out.ResultMetadata
		}
		return m, err
	})
	for range 2 {
		call(func(int) (m smithy.Metadata, err error) {
			out, err := w.kms.Encrypt(killed, &kms.EncryptInput{KeyId: &w.keys[0], Plaintext: []byte("on record")})
			if err == nil {
				m = out.ResultMetadata
			}
			return m, err
		})
	}
}

// reach waits until so many calls were answered in all: on a busy machine, a server may be killed before it answers any.
func (w *workers) reach(calls int) {
	for reached := false; !reached; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		reached = len(w.answered) >= calls
		w.mu.Unlock()
	}
}

// want wants each answered call to be somewhere once.
func (w *workers) want(t *testing.T, where string, found map[string]int) {
	t.Helper()
	wrong := 0
	for _, id := range w.answered {
		if found[id] == 1 {
			continue
		}
		if wrong++; wrong <= 10 {
			t.Errorf("the answered call %s is %d times %s, want once", id, found[id], where)
		}
	}
	if wrong > 10 {
		t.Errorf("%d answered calls are not once %s", wrong, where)
	}
}
