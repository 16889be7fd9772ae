package pebblestore_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestCrash(t *testing.T) {
	storetest.Crash(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}
