package kms

import (
	"context"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/store"
)

// TestMaterialIsBoundToItsUse holds that a key whose record says that it is for something else does not open.
func TestMaterialIsBoundToItsUse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tt := range map[string]struct {
		spec   keys.Spec
		change func(r *keyRecord)
	}{
		"Spec": {keys.SymmetricDefault, func(r *keyRecord) { // both have 32 bytes
			r.Spec, r.Usage = kms.KeySpecHmac256, kms.KeyUsageTypeGenerateVerifyMac
		}},
		"Usage": {keys.NISTP256, func(r *keyRecord) {
			if r.Usage = kms.KeyUsageTypeKeyAgreement; keys.NISTP256.Usages()[0] == keys.KeyAgreement {
				r.Usage = kms.KeyUsageTypeSignVerify
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			arn := b.key(tt.spec)
			id := arn[strings.LastIndexByte(arn, '/')+1:]
			err := b.cfg.Store.Update(context.Background(), func(tx store.Tx) error {
				rows := keyTable.In(ownAccount, "us-east-1")
				r, err := rows.Get(tx, id)
				if err != nil {
					return err
				}
				tt.change(r)
				return rows.Put(tx, r)
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.cache.Get(context.Background(), place{ownAccount, "us-east-1", id}); err == nil {
				t.Error("the key opens")
			}
		})
	}
}
