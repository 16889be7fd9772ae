package cloudtrail

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// signingKey signs the digest files of a region. The private key goes when the key's time is over and the next one is made; the public key stays, since what it signed does.
type signingKey struct {
	Fingerprint string
	From, Until time.Time // what digests may end when it signs them
	Public      []byte    // PKCS #1
	Private     []byte    `json:",omitempty"` // PKCS #1, wrapped
}

const (
	signingKeyLife = 365 * 24 * time.Hour
	publicKeysPage = 100 // AWS's clients ask for one page only
)

// Stored as (see store.Table):
//
//	cloudtrail / aws / region / signingkey / from / fingerprint → signingKey
var signingKeys = store.NewTable("cloudtrail", "signingkey", func(k *signingKey) store.Key { return store.Key{k.From, k.Fingerprint} })

func signingKeyPlace(region, fingerprint string) seal.Place {
	return seal.At("cloudtrail/signingkey", region, fingerprint)
}

// signer returns the key for digests of the region that end at a time. It makes one where there is none.
func (s *Service) signer(c *call.Call, region string, end time.Time) (*rsa.PrivateKey, error) {
	rows := signingKeys.In(call.OwnAccount, region)
	var old []*signingKey
	for k, err := range rows.Scan(c.Tx(), store.Query{Reverse: true}) {
		switch {
		case err != nil:
			return nil, err
		case k.Private == nil:
		case k.From.After(end) || !end.Before(k.Until):
			if k.Until.Before(c.Time) {
				old = append(old, k)
			}
		default:
			return s.openSigningKey(region, k)
		}
	}
	for _, k := range old {
		k.Private = nil
		if err := rows.Put(c.Tx(), k); err != nil {
			return nil, err
		}
	}
	return s.newSigningKey(c, region, end)
}

func (s *Service) openSigningKey(region string, k *signingKey) (*rsa.PrivateKey, error) {
	der, err := s.cfg.Seal.Unwrap(signingKeyPlace(region, k.Fingerprint), k.Private)
	if err != nil {
		return nil, fmt.Errorf("opening the key that signs digests in %s: %w", region, err)
	}
	defer clear(der)
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading the key that signs digests in %s: %w", region, err)
	}
	return key, nil
}

func (s *Service) newSigningKey(c *call.Call, region string, from time.Time) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key that signs digests: %w", err)
	}
	from = from.UTC().Truncate(time.Second)
	k := &signingKey{
		Fingerprint: trailfile.Fingerprint(&key.PublicKey), From: from, Until: from.Add(signingKeyLife), Public: x509.MarshalPKCS1PublicKey(&key.PublicKey),
	}
	der := x509.MarshalPKCS1PrivateKey(key)
	defer clear(der)
	if k.Private, err = s.cfg.Seal.Wrap(signingKeyPlace(region, k.Fingerprint), der); err != nil {
		return nil, fmt.Errorf("wrapping a key that signs digests: %w", err)
	}
	if err := signingKeys.In(call.OwnAccount, region).Insert(c.Tx(), k); err != nil {
		return nil, err
	}
	return key, nil
}

// ListPublicKeys shows the keys that check the digest files which were signed in a range of time, in the region.
func (s *Service) ListPublicKeys(c *call.Call, in *cloudtrail.ListPublicKeysRequest) (*cloudtrail.ListPublicKeysResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	from, until := c.Time, c.Time
	if in.StartTime != nil {
		from = *in.StartTime
	}
	if in.EndTime != nil {
		until = *in.EndTime
	}
	if from.After(until) {
		return nil, &cloudtrail.InvalidTimeRangeException{Message: "The start time must not be after the end time."}
	}
	token := ""
	if in.NextToken != nil {
		token = *in.NextToken
	}
	// Times are part of the listing: its token is for the same range only. Where the end is left out it is now, and another now does no harm.
	listing := fmt.Sprintf("ListPublicKeys %s %v %v", c.Scope.Region, in.StartTime, in.EndTime)
	found, next, err := signingKeys.In(call.OwnAccount, c.Scope.Region).Page(c.Tx(), store.Query{Limit: publicKeysPage}, token, listing, func(k *signingKey) bool {
		return !k.From.After(until) && k.Until.After(from)
	})
	if err != nil {
		return nil, badToken(err)
	}
	out := &cloudtrail.ListPublicKeysResponse{PublicKeyList: make([]cloudtrail.PublicKey, len(found))}
	for i, k := range found {
		out.PublicKeyList[i] = cloudtrail.PublicKey{Value: k.Public, ValidityStartTime: new(k.From), ValidityEndTime: new(k.Until), Fingerprint: new(k.Fingerprint)}
	}
	if next != "" {
		out.NextToken = new(next)
	}
	return out, nil
}

func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return &cloudtrail.InvalidTokenException{Message: "The token is not of a previous call with the same parameters."}
	}
	return err
}
