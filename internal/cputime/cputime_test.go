package cputime_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/internal/cputime"
)

func TestSpent(t *testing.T) {
	for before := cputime.Spent(); cputime.Spent() <= before; { // work makes it longer
	}
}
