package stories_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// rotationKillings is how often the server is killed while passwords rotate: as often as HOLDFAST_ROTATION_KILLINGS says, or in a time that fits into every run.
func rotationKillings(t *testing.T) int {
	t.Helper()
	n := 12
	if said := os.Getenv("HOLDFAST_ROTATION_KILLINGS"); said != "" {
		var err error
		if n, err = strconv.Atoi(said); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// However often the server is killed while it rotates passwords, at whatever moment: the first value that it gives out when it is back logs in, and rotations that were cut off come to their end.
func TestTheCurrentPasswordLogsInAfterKills(t *testing.T) {
	p := newServer(t, "--database-network", "127.0.0.0/8").start()
	secrets := rotatedSecrets(t)
	r := newRotation(t, p.config("us-east-1"))
	for _, s := range secrets {
		r.create(s)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	version := map[string]string{}
	resumed, back := 0, time.Duration(0)
	for round := range rotationKillings(t) {
		for _, s := range secrets {
			version[s.name], _, _ = r.state(s.name)
			if _, err := r.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &s.name}); err != nil {
				t.Fatalf("round %d: rotating %s: %v", round, s.name, err)
			}
		}
		time.Sleep(time.Duration(random.IntN(450)) * time.Millisecond)
		p.kill()
		p.start()
		started := time.Now()
		var all sync.WaitGroup
		for _, s := range secrets {
			all.Go(func() { r.first(s, round) })
		}
		all.Wait()
		back = max(back, time.Since(started))
		for _, s := range secrets {
			if now, pending, _ := r.state(s.name); pending || now == version[s.name] {
				resumed++
			}
			r.settle(s.name, version[s.name])
			r.first(s, round)
		}
	}
	t.Logf("%d rotations were cut off and went on; AWSCURRENT of all secrets logged in %s after the server was back, or sooner", resumed, back.Round(time.Millisecond))
}

// first fetches a password and wants it to log in. A rotation that goes on meanwhile may change it when its grace is over, and no sooner.
func (r *rotation) first(s rotated, round int) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for {
		c, version, err := r.fetch(ctx, s.name)
		if err != nil {
			r.t.Errorf("round %d: fetching %s: %v", round, s.name, err)
			return
		}
		fetched := time.Now()
		if err = s.server.Login(ctx, c.Username, c.Password); err == nil {
			return
		}
		if took := time.Since(fetched); took < grace || ctx.Err() != nil {
			r.t.Errorf("round %d: %s: logging in as %s with version %s, %s after it was fetched: %v", round, s.name, c.Username, version, took, err)
			return
		}
	}
}
