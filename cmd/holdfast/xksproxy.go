package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// keyStore is what another KMS wants to know of an external key store proxy, as the file that AWS's console takes has it, and --cli-input-json of
// aws kms create-custom-key-store.
type keyStore struct {
	XksProxyUriPath                  string
	XksProxyAuthenticationCredential struct{ AccessKeyId, RawSecretAccessKey string }
}

// makeProxyKey makes an access key that another KMS uses the keys of a region with.
func makeProxyKey(ctx context.Context, c *cloud.Cloud, account, user, region string, out io.Writer) error {
	id, secret, err := c.CreateProxyKey(ctx, account, user)
	if err != nil {
		return err
	}
	var k keyStore
	k.XksProxyUriPath = "/" + region + "/kms/xks/v1"
	k.XksProxyAuthenticationCredential.AccessKeyId, k.XksProxyAuthenticationCredential.RawSecretAccessKey = id, secret
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", b)
	return err
}
