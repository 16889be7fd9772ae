package iam

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/identity/managed"
)

// The table is sorted, and what it says is there.
func TestLinkedRoles(t *testing.T) {
	if !slices.IsSortedFunc(linkedRoles[:], func(a, b linked) int { return strings.Compare(a.service, b.service) }) {
		t.Error("the table is not sorted by service")
	}
	for i, l := range linkedRoles {
		if i > 0 && l.service == linkedRoles[i-1].service {
			t.Errorf("%s is there twice", l.service)
		}
		if l.policy == "" {
			continue
		}
		if _, ok := managed.Find("arn:aws:iam::aws:policy" + linkedPath + l.policy); !ok {
			t.Errorf("the role of %s has the policy %s, which is not there", l.service, l.policy)
		}
	}
}
