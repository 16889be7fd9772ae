package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/service/kms"
)

// clusters are the values of the flag --cloudhsm.
type clusters map[string]kms.CloudHSM

var clusterID = regexp.MustCompile(`^cluster-[2-7a-zA-Z]{11,16}$`)

func (s *clusters) add(text string) error {
	if !hsm.Built {
		return hsm.ErrNotBuilt
	}
	for one := range strings.FieldsSeq(text) {
		id, rest, _ := strings.Cut(one, "=")
		uri, file, anchored := strings.Cut(rest, ",ca=")
		if !clusterID.MatchString(id) {
			return errors.New("want cluster-ID=pkcs11:token=LABEL?module-path=FILE[,ca=FILE], and an ID is 11 to 16 letters and digits from 2 to 7")
		}
		u, err := hsm.Parse(uri)
		switch {
		case err != nil:
			return err
		case u.PINSource != "":
			return errors.New("the PIN of a CloudHSM cluster's token is the KeyStorePassword of its key store; leave pin-source out")
		case u.Key != hsm.Key{}:
			return errors.New("a CloudHSM cluster is a token, not a key in it; leave object and id out")
		}
		c := kms.CloudHSM{Token: u}
		if anchored {
			if c.TrustAnchor, err = readCertificate(file); err != nil {
				return err
			}
		}
		if *s == nil {
			*s = make(clusters)
		}
		(*s)[id] = c
	}
	return nil
}

func readCertificate(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return block.Bytes, nil
}
