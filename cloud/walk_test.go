package cloud_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

// Every operation that is built is carried out by its service's walk with just the permission it needs, and refused with less.
func TestWalks(t *testing.T) {
	c := open(t, cloud.Config{})
	defer closeCloud(t, c)
	built := make(map[string][]string)
	for _, e := range c.Endpoints() {
		if walk.Built(e) {
			service := strings.TrimSuffix(e.Op.Service.Package, "data") // cloudtraildata is a part of cloudtrail
			built[service] = append(built[service], e.Op.Name)
		}
	}
	for service, operations := range built {
		t.Run(service, func(t *testing.T) {
			walked, err := walk.Read(filepath.Join("../service", service, walk.File))
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(operations)
			slices.Sort(walked)
			if d := cmp.Diff(operations, walked); d != "" {
				t.Errorf("built (-) and walked (+):\n%s", d)
			}
		})
	}
}
