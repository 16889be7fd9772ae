package ssm

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// historyLimit is how many versions GetParameterHistory returns unless it is told.
const historyLimit = 50

// GetParameterHistory returns the versions of a parameter, from the oldest.
func (s *Service) GetParameterHistory(c *call.Call, in *ssm.GetParameterHistoryRequest) (*ssm.GetParameterHistoryResult, error) {
	r, err := parseReference(c, *in.Name)
	if err != nil {
		return nil, err
	}
	if r.selector != "" || r.service != "" {
		return nil, invalid(wrongPath)
	}
	p, err := s.read(c, &r)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, notFound(cmp.Or(r.asked, r.String()))
	}
	// What the cache has may be older than what the transaction sees.
	record, err := parameterTable.In(r.account, c.Scope.Region).Get(c.Tx(), r.dir, r.leaf)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound(cmp.Or(r.asked, r.String()))
	}
	if err != nil {
		return nil, fmt.Errorf("loading parameter %s: %w", r.name, err)
	}
	p = &parameter{parameterRecord: record, arn: p.arn}
	from := p.Oldest
	name := "GetParameterHistory " + p.arn
	if optional.Value(in.NextToken) != "" {
		at, err := pagetoken.Decode(name, *in.NextToken)
		if err != nil || len(at) != 8 {
			return nil, badToken()
		}
		from = max(from, int64(binary.BigEndian.Uint64(at)))
	}
	out := &ssm.GetParameterHistoryResult{Parameters: []ssm.ParameterHistory{}}
	if from > p.Current.Version { // it was deleted and made again since
		return out, nil
	}
	to := min(p.Current.Version, from+int64(limit(in.MaxResults, historyLimit))-1)
	if to < p.Current.Version {
		out.NextToken = new(pagetoken.Encode(name, binary.BigEndian.AppendUint64(nil, uint64(to+1))))
	}
	return out, s.past(c, &r, p, from, to, optional.Value(in.WithDecryption), out)
}

// past adds versions of a parameter to a history.
func (s *Service) past(c *call.Call, r *reference, p *parameter, from, to int64, decrypt bool, out *ssm.GetParameterHistoryResult) error {
	add := func(v *version) error {
		value, err := s.stored(p.arn, v)
		if err != nil {
			return err
		}
		shown, err := s.answer(c, p, r, v, value, decrypt)
		if err != nil {
			return err
		}
		out.Parameters = append(out.Parameters, ssm.ParameterHistory{
			Name: shown.Name, Type: shown.Type, KeyId: optional.NonZero(v.KeyID), LastModifiedDate: &v.Modified, LastModifiedUser: &v.By, Description: optional.NonZero(v.Description),
			Value: shown.Value, AllowedPattern: optional.NonZero(v.Pattern), Version: &v.Version, Labels: p.labelsOf(v.Version), Tier: ssm.ParameterTier(v.Tier),
			Policies: shownPolicies(v.Policies), DataType: &v.DataType,
		})
		return nil
	}
	q := store.Query{Prefix: store.Key{p.Dir, p.Leaf}, From: store.Key{from}, To: store.Key{to + 1}}
	for v, err := range versionTable.In(r.account, c.Scope.Region).Scan(c.Tx(), q) {
		if err != nil {
			return err
		}
		if err := add(&v.version); err != nil {
			return err
		}
	}
	if to == p.Current.Version {
		return add(&p.Current)
	}
	return nil
}
