package main

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// checkFIPS refuses to serve where --fips asks for what this process cannot give. FIPS mode begins with the process, so all that is left is to look.
func (s *settings) checkFIPS() error {
	if !s.fips {
		return nil
	}
	switch cloud.FIPS() {
	case "off":
		return errors.New("--fips: this process is not in FIPS mode: build with make fips, and leave fips140 out of GODEBUG")
	case "latest":
		return errors.New("--fips: this binary has no frozen version of the FIPS 140-3 module in it: build with make fips")
	}
	return nil
}
