// Package providers knows every seal by name: it parses what --seal says. It is a package of its own so that only the command carries what the seals bring along.
package providers

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/seal/awskms"
	"github.com/holdfast-cloud/holdfast/seal/hsm"
	"github.com/holdfast-cloud/holdfast/seal/shamir"
	"github.com/holdfast-cloud/holdfast/seal/tpm"
)

// PassphraseVariable is the environment variable that [Parse] takes the passphrase of "passphrase" from.
const PassphraseVariable = "HOLDFAST_SEAL_PASSPHRASE"

// Names are the forms that [Parse] reads, for help texts.
const Names = "file:PATH, env:NAME, passphrase, passphrase:env:NAME, passphrase:file:PATH, passphrase:fd:N, shamir:3/5, tpm:PATH?pcrs=7, " +
	"awskms:KEY-ARN?endpoint=https://HOST, or pkcs11:URI (in a build with -tags pkcs11)"

// Parse returns the provider that a line of configuration names:
//
//	file:PATH              a file, made at the first start
//	env:NAME               an environment variable with 32 bytes in base64
//	passphrase             the passphrase in HOLDFAST_SEAL_PASSPHRASE
//	passphrase:SOURCE      a passphrase from where seal.ReadSecret finds it: env:NAME, file:PATH, fd:N
//	pkcs11:...             a key in a token, named by an RFC 7512 URI with module-path and pin-source; in a build with PKCS#11
//	tpm, tpm:PATH          the TPM of this machine; PATH?pcrs=7,11 binds the root key to the values of PCRs
//	awskms:KEY             a key of another KMS, by ARN or alias, with the options region, endpoint, ca, profile and credentials: KEY?region=R&endpoint=https://HOST
//	shamir                 shares held by several people, who give them at each start
//	shamir:3/5             ... which are made at the very first start: 5 of them, of which 3 are needed
//
// Secrets are read now.
func Parse(spec string) (seal.Provider, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	switch {
	case kind == "file" && rest != "":
		return seal.NewFile(rest), nil
	case kind == "env" && rest != "":
		return parseKey(rest)
	case kind == "passphrase":
		return parsePassphrase(rest)
	case spec == "shamir":
		return shamir.New(), nil
	case kind == "shamir":
		threshold, shares, err := Quorum(rest)
		if err != nil {
			return nil, err
		}
		return shamir.Found(threshold, shares)
	case kind == "awskms":
		return parseKMS(rest)
	case kind == "tpm":
		return parseTPM(rest)
	case kind == "pkcs11":
		return hsm.Parse(spec)
	}
	return nil, fmt.Errorf("seal: a root key is named by %s", Names)
}

// Quorum reads how many shares are needed, and of how many: 3/5.
func Quorum(text string) (threshold, shares int, err error) {
	needed, all, _ := strings.Cut(text, "/")
	if threshold, err = strconv.Atoi(needed); err == nil {
		shares, err = strconv.Atoi(all)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("seal: %.20q does not say how many shares are needed of how many, such as 3/5", text)
	}
	return threshold, shares, nil
}

func parseTPM(text string) (seal.Provider, error) {
	path, opts, err := options(text, "pcrs")
	if err != nil {
		return nil, err
	}
	var pcrs []uint
	if list, ok := opts["pcrs"]; ok {
		for one := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseUint(one, 10, 8)
			if err != nil {
				return nil, fmt.Errorf("seal: pcrs=%.20s are no numbers with commas between", list)
			}
			pcrs = append(pcrs, uint(n))
		}
	}
	return tpm.New(path, pcrs...)
}

func parseKMS(text string) (seal.Provider, error) {
	key, opts, err := options(text, "region", "endpoint", "ca", "profile", "credentials")
	if err != nil {
		return nil, err
	}
	return awskms.New(context.Background(), kmsclient.Config{
		Key: key, Region: opts["region"], Endpoint: opts["endpoint"], CA: opts["ca"], Profile: opts["profile"], Credentials: opts["credentials"],
	})
}

// options takes apart NAME?a=b&c=d.
func options(text string, known ...string) (name string, opts map[string]string, err error) {
	name, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", nil, fmt.Errorf("seal: what follows the question mark is not of the form a=b&c=d: %w", err)
	}
	opts = make(map[string]string)
	for k, v := range values {
		if !slices.Contains(known, k) || len(v) != 1 {
			return "", nil, fmt.Errorf("seal: %q is not one of the options %s, once each", k, strings.Join(known, ", "))
		}
		opts[k] = v[0]
	}
	return name, opts, nil
}

func parseKey(variable string) (seal.Provider, error) {
	text, err := seal.ReadSecret("env:" + variable)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := seal.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w, and the variable %s holds something else", err, variable)
	}
	return key, nil
}

func parsePassphrase(source string) (seal.Provider, error) {
	if source == "" {
		source = "env:" + PassphraseVariable
	}
	phrase, err := seal.ReadSecret(source)
	if err != nil {
		return nil, err
	}
	defer clear(phrase)
	return seal.NewPassphrase(phrase)
}
