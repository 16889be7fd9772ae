package secretsmanager

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/clock"
)

// All secrets of a house are rotated at once. HOLDFAST_ROTATIONS says how many they are.
func TestManyRotations(t *testing.T) {
	n := 200
	if text := os.Getenv("HOLDFAST_ROTATIONS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	w := newWorkshop(t)
	w.grace = defaultGrace
	w.restart()
	for i := range n {
		user := fmt.Sprintf("app%d", i)
		w.db.users[user] = []string{"first"}
		w.create("db"+user, `{"engine":"postgres","host":"db.example.com","username":"`+user+`","password":"first"}`)
	}
	watch := clock.Start()
	var callers sync.WaitGroup
	for k := range 8 {
		callers.Go(func() {
			for i := k; i < n; i += 8 {
				if _, err := w.do("RotateSecret", object{"SecretId": fmt.Sprintf("dbapp%d", i), "ClientRequestToken": token()}); err != nil {
					t.Errorf("RotateSecret: %v", err)
				}
			}
		})
	}
	callers.Wait()
	w.advance(0)
	t.Logf("%d rotations in %s", n, watch.Elapsed())
	for i := range n {
		if name := fmt.Sprintf("dbapp%d", i); !w.logsIn(name) || w.record(name).Rotation.Last.IsZero() {
			t.Fatalf("%s is not rotated", name)
		}
	}
}
