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

// clusters are the values of the flag --cloudhsm. They are read after all flags are: what is said of a wrong flag quotes its value, and somebody may have put a PIN there.
type clusters []string

var clusterID = regexp.MustCompile(`^cluster-[2-7a-zA-Z]{11,16}$`)

func (s *clusters) add(text string) error {
	*s = append(*s, strings.Fields(text)...)
	return nil
}

// config is which token stands for which cluster.
func (s clusters) config() (map[string]kms.CloudHSM, error) {
	if len(s) > 0 && !hsm.Built {
		return nil, fmt.Errorf("--cloudhsm: %w", hsm.ErrNotBuilt)
	}
	out := make(map[string]kms.CloudHSM, len(s))
	for _, text := range s {
		id, cluster, err := parseCluster(text)
		if _, twice := out[id]; err == nil && twice {
			err = fmt.Errorf("%s is there twice", id)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: --cloudhsm: %w", errUsage, err)
		}
		out[id] = cluster
	}
	return out, nil
}

func parseCluster(text string) (id string, c kms.CloudHSM, err error) {
	id, rest, _ := strings.Cut(text, "=")
	uri, file, anchored := strings.Cut(rest, ",ca=")
	if !clusterID.MatchString(id) {
		return "", c, errors.New("want cluster-ID=pkcs11:token=LABEL?module-path=FILE[,ca=FILE]; an ID is 11 to 16 letters and digits from 2 to 7, and a blank in a label is %20")
	}
	c.Token, err = hsm.Parse(uri)
	switch {
	case err != nil:
		return "", c, err
	case c.Token.PINSource != "":
		return "", c, errors.New("the PIN of a CloudHSM cluster's token is the KeyStorePassword of its key store; leave pin-source out")
	case c.Token.Key != hsm.Key{}:
		return "", c, errors.New("a CloudHSM cluster is a token, not a key in it; leave object and id out")
	}
	if anchored {
		c.TrustAnchor, err = readCertificate(file)
	}
	return id, c, err
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
