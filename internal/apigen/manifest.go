package apigen

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Manifest says which operations of which services are built.
type Manifest []ManifestLine

// ManifestLine is one service of a manifest, by the folder of its model; the operation "*" stands for all.
type ManifestLine struct {
	Folder     string
	Operations []string
}

// ReadManifest reads a text in which each line has a service's folder and its operations, separated by
// spaces. A service may have several lines. "#" begins a comment.
func ReadManifest(r io.Reader) (Manifest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	var m Manifest
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) == 1 {
			return nil, fmt.Errorf("manifest: %s has no operations", fields[0])
		}
		i := slices.IndexFunc(m, func(l ManifestLine) bool { return l.Folder == fields[0] })
		if i < 0 {
			m = append(m, ManifestLine{Folder: fields[0]})
			i = len(m) - 1
		}
		m[i].Operations = append(m[i].Operations, fields[1:]...)
	}
	slices.SortFunc(m, func(a, b ManifestLine) int { return strings.Compare(a.Folder, b.Folder) })
	return m, nil
}
