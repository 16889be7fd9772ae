package ssm

import (
	"cmp"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// GetParameter returns a parameter.
func (s *Service) GetParameter(c *call.Call, in *ssm.GetParameterRequest) (*ssm.GetParameterResult, error) {
	r, err := parseReference(c, *in.Name)
	if err != nil {
		return nil, err
	}
	p, err := s.get(c, &r, optional.Value(in.WithDecryption))
	if err != nil {
		return nil, err
	}
	return &ssm.GetParameterResult{Parameter: p}, nil
}

// GetParameters returns up to ten parameters in the order of their names, and the names of those that are not there.
func (s *Service) GetParameters(c *call.Call, in *ssm.GetParametersRequest) (*ssm.GetParametersResult, error) {
	names := slices.Compact(slices.Sorted(slices.Values(in.Names)))
	references := make([]reference, len(names))
	for i, n := range names {
		var err error
		if references[i], err = parseReference(c, n); err != nil {
			return nil, err
		}
	}
	out := &ssm.GetParametersResult{Parameters: []ssm.Parameter{}, InvalidParameters: []string{}}
	for i := range references {
		p, err := s.get(c, &references[i], optional.Value(in.WithDecryption))
		if absent(err) {
			out.InvalidParameters = append(out.InvalidParameters, names[i])
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, *p)
	}
	return out, nil
}

// absent reports whether an error says that a parameter or its version is not there.
func absent(err error) bool {
	if _, ok := errors.AsType[*ssm.ParameterNotFound](err); ok {
		return true
	}
	_, ok := errors.AsType[*ssm.ParameterVersionNotFound](err)
	return ok
}

// get finds, authorizes and reads a parameter.
func (s *Service) get(c *call.Call, r *reference, decrypt bool) (*ssm.Parameter, error) {
	switch r.service {
	case secretsSpace:
		return s.getSecret(c, r, decrypt)
	case publicSpace:
		return s.getPublic(c, r)
	}
	p, err := s.read(c, r)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, notFound(cmp.Or(r.asked, r.String()))
	}
	v, value, err := s.version(c, r, p)
	if err != nil {
		return nil, err
	}
	return s.answer(c, p, r, v, value, decrypt)
}

// answer is a version of a parameter as it is answered. value is the one without decryption.
func (s *Service) answer(c *call.Call, p *parameter, r *reference, v *version, value string, decrypt bool) (_ *ssm.Parameter, err error) {
	if decrypt && v.Type == string(ssm.ParameterTypeSecureString) {
		if value, err = s.decrypt(c, p.arn, v); err != nil {
			return nil, err
		}
	}
	out := &ssm.Parameter{
		Name: new(cmp.Or(r.asked, p.Name)), Type: ssm.ParameterType(v.Type), Value: &value, Version: &v.Version, LastModifiedDate: &v.Modified, ARN: &p.arn, DataType: &v.DataType,
	}
	if r.selector != "" {
		out.Selector = new(":" + r.selector)
	}
	return out, nil
}
