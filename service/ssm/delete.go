package ssm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
)

// DeleteParameter deletes a parameter with all its versions.
func (s *Service) DeleteParameter(c *call.Call, in *ssm.DeleteParameterRequest) (*ssm.DeleteParameterResult, error) {
	there, err := s.delete(c, *in.Name)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, notFound(strings.TrimSpace(*in.Name))
	}
	return &ssm.DeleteParameterResult{}, nil
}

// DeleteParameters deletes up to ten parameters, and returns the names of those that are not there.
func (s *Service) DeleteParameters(c *call.Call, in *ssm.DeleteParametersRequest) (*ssm.DeleteParametersResult, error) {
	out := &ssm.DeleteParametersResult{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(in.Names))) {
		there, err := s.delete(c, n)
		switch {
		case err != nil:
			return nil, err
		case there:
			out.DeletedParameters = append(out.DeletedParameters, n)
		default:
			out.InvalidParameters = append(out.InvalidParameters, n)
		}
	}
	return out, nil
}

func (s *Service) delete(c *call.Call, given string) (there bool, err error) {
	n, err := parseName(strings.TrimSpace(given))
	if err != nil {
		return false, err
	}
	p, err := s.change(c, n, nil)
	if err != nil || p == nil {
		return false, err
	}
	return true, remove(c, p)
}

// remove takes a parameter out of the store, with all that belongs to it.
func remove(c *call.Call, p *parameterRecord) error {
	versions := versionTable.In(c.Scope.Account, c.Scope.Region)
	for v := p.Oldest; v < p.Current.Version; v++ {
		if err := versions.Delete(c.Tx(), p.Dir, p.Leaf, v); err != nil {
			return fmt.Errorf("deleting version %d of parameter %s: %w", v, p.Name, err)
		}
	}
	if err := parameterTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), p.Dir, p.Leaf); err != nil {
		return fmt.Errorf("deleting parameter %s: %w", p.Name, err)
	}
	for i := range p.Current.Policies {
		if err := c.Cancel(c.Scope, policyTimer, policySubject(p.name(), i)); err != nil {
			return err
		}
	}
	if err := count(c, p.name(), p.Current.Tier, ""); err != nil {
		return err
	}
	return emitChange(c, p, "Delete")
}
