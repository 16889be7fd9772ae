package apigen

import (
	"fmt"
	"os"
	"path/filepath"
)

// Source names the data that is generated from.
type Source struct {
	Models string // folder in botocore's layout
	IAM    string // folder of the Service Authorization Reference
	Own    string // folder of the models that are kept here, in the same layout: those of APIs that nobody publishes a model of
}

// own reports whether the model of a service is kept here.
func (in Source) own(folder string) bool {
	if in.Own == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(in.Own, folder))
	return err == nil
}

// library is a Source with what was read from it for all services.
type library struct {
	Source
	global map[string]bool // endpoint prefixes of services that have one endpoint in a partition
}

func open(in Source) (*library, error) {
	lib := &library{Source: in, global: map[string]bool{}}
	var endpoints struct {
		Partitions []struct {
			Partition string `json:"partition"`
			Services  map[string]struct {
				IsRegionalized *bool `json:"isRegionalized"`
			} `json:"services"`
		} `json:"partitions"`
	}
	path := filepath.Join(in.Models, "endpoints.json")
	if err := readJSON(path, &endpoints); os.IsNotExist(err) {
		return lib, nil // a folder with models alone
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for _, p := range endpoints.Partitions {
		for prefix, s := range p.Services {
			if p.Partition == "aws" && s.IsRegionalized != nil && !*s.IsRegionalized {
				lib.global[prefix] = true
			}
		}
	}
	return lib, nil
}

// Generate makes a package for each service of the manifest, sorted by path.
func Generate(in Source, m Manifest) ([]File, error) {
	var files []File
	lib, err := open(in)
	if err != nil {
		return nil, err
	}
	for _, line := range m {
		g, err := newService(lib, line.Folder, line.Operations)
		if err != nil {
			return nil, err
		}
		files = append(files, g.files()...)
	}
	return formatted(files)
}

// Catalog makes the package that knows all services that there is a model of.
func Catalog(in Source) ([]File, error) {
	folders, err := Folders(in.Models)
	if err != nil {
		return nil, err
	}
	lib, err := open(in)
	if err != nil {
		return nil, err
	}
	var services []*service
	for _, folder := range folders {
		g, err := newService(lib, folder, nil)
		if err != nil {
			return nil, err
		}
		services = append(services, g)
	}
	return formatted([]File{catalogFile(services)})
}
