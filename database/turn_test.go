package database_test

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-cloud/holdfast/database"
)

func TestTurn(t *testing.T) {
	d := database.New(database.Config{MaxConnections: 4, MaxPerHost: 1})
	one, other := &database.Credentials{Engine: database.PostgreSQL, Host: "one.example"}, &database.Credentials{Engine: database.PostgreSQL, Host: "other.example"}
	turn := func(c *database.Credentials) func() {
		t.Helper()
		release, err := d.Turn(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	first := turn(one)
	defer turn(one)()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Turn(over, one); !errors.Is(err, database.ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a third at a server of one connection: %v", err)
	}
	turn(other)()
	first()
	turn(one)()
}
