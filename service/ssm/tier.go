package ssm

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	standard    = string(ssm.ParameterTierStandard)
	advanced    = string(ssm.ParameterTierAdvanced)
	intelligent = string(ssm.ParameterTierIntelligentTiering)
)

// limits are what a tier holds: bytes of a value, and parameters of an account in a region.
type limits struct {
	standardSize, advancedSize int
	standard, advanced         int64
}

// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
var awsLimits = limits{4 << 10, 8 << 10, 10_000, 100_000}

const tiersURL = "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"

// chooseTier gives a version its tier, and refuses what that does not hold.
func (s *Service) chooseTier(c *call.Call, in *ssm.PutParameterRequest, old *parameterRecord, v *version) error {
	asked := string(in.Tier)
	if asked == "" {
		setting, err := settingOf(c, tierSetting)
		if err != nil {
			return err
		}
		asked = setting.Value
	}
	was := ""
	if old != nil {
		was = old.Current.Tier
	}
	if was == advanced && string(in.Tier) == standard {
		return invalid("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. " +
			"If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	}
	v.Tier = cmp.Or(was, standard)
	switch {
	case asked == advanced:
		v.Tier = advanced
	case asked == intelligent && v.Tier == standard:
		full := false
		if was == "" {
			var err error
			if full, err = s.full(c, standard); err != nil {
				return err
			}
		}
		if full || len(*in.Value) > s.limits.standardSize || len(v.Policies) > 0 {
			v.Tier = advanced
		}
	}
	if err := s.fits(v, len(*in.Value)); err != nil || v.Tier == was {
		return err
	}
	full, err := s.full(c, v.Tier)
	if err != nil || !full {
		return err
	}
	return &ssm.ParameterLimitExceeded{Message: fmt.Sprintf(
		"You have reached the maximum number of parameters of the %s tier for this account and Region. Delete one or more parameters and try again.", v.Tier)}
}

// fits holds a value and policies against the tier.
func (s *Service) fits(v *version, size int) error {
	switch {
	case v.Tier == standard && size > s.limits.standardSize:
		return invalid("Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the "+
			"advanced-parameter tier. For more information, see %s", s.limits.standardSize, tiersURL)
	case size > s.limits.advancedSize:
		return invalid("Advanced tier parameters support a maximum parameter value of %d characters. For more information, see %s", s.limits.advancedSize, tiersURL)
	case v.Tier == standard && len(v.Policies) > 0:
		return invalid("Parameter policies are only supported for parameters that use the advanced-parameter tier. For more information, see %s", tiersURL)
	}
	return nil
}

// countShards is how many records tell how many parameters there are, so that calls that make some at once seldom get into each other's way.
const countShards = 64

// shard is where a name counts.
func (n name) shard() int {
	h := fnv.New32a()
	h.Write([]byte(n.String()))
	return int(h.Sum32() % countShards)
}

// count has a parameter count in another tier than before; "" is that it is not there.
func count(c *call.Call, n name, before, after string) error {
	if before == after {
		return nil
	}
	rows := countTable.In(c.Scope.Account, c.Scope.Region)
	r, err := rows.Get(c.Tx(), n.shard())
	if errors.Is(err, store.ErrNotFound) {
		r, err = &countRecord{Shard: n.shard()}, nil
	}
	if err != nil {
		return fmt.Errorf("counting parameters: %w", err)
	}
	r.add(before, -1)
	r.add(after, 1)
	return rows.Put(c.Tx(), r)
}

func (r *countRecord) add(tier string, n int64) {
	switch tier {
	case standard:
		r.Standard += n
	case advanced:
		r.Advanced += n
	}
}

// full reports whether no more parameters fit into a tier. It looks outside the call's transaction, which would conflict with every other call that makes a parameter; so calls that
// run at once may together go beyond the limit by a few.
func (s *Service) full(c *call.Call, tier string) (bool, error) {
	var n int64
	err := s.cfg.Store.View(c.Context, func(rd store.Reader) error {
		n = 0
		for r, err := range countTable.In(c.Scope.Account, c.Scope.Region).Scan(rd, store.Query{}) {
			if err != nil {
				return err
			}
			if tier == standard {
				n += r.Standard
			} else {
				n += r.Advanced
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("counting parameters: %w", err)
	}
	if tier == standard {
		return n >= s.limits.standard, nil
	}
	return n >= s.limits.advanced, nil
}
