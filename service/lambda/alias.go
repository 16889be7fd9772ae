package lambda

import (
	"fmt"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// aliased finds a function and one of its aliases, after asking for the function.
func (s *Service) aliased(c *call.Call, function *string, alias string) (*target, *aliasRecord, error) {
	t, err := s.unqualified(c, function)
	if err != nil {
		return nil, nil, err
	}
	a, err := get(c, aliasTable, t.name, t.function.Name, alias)
	if err == nil && a == nil {
		err = notFound("Cannot find alias arn: %s", functionARN(t.scope(c), t.function.Name, alias))
	}
	return t, a, err
}

// shape tells of an alias.
func (a *aliasRecord) shape(c *call.Call, t *target) *lambda.AliasConfiguration {
	out := &lambda.AliasConfiguration{
		AliasArn: new(functionARN(t.scope(c), a.Function, a.Name)), Name: &a.Name, FunctionVersion: &a.Version, Description: &a.Description, RevisionId: &a.Revision,
	}
	if a.Other != "" {
		out.RoutingConfig = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{a.Other: a.Weight}}
	}
	return out
}

// save writes an alias, which has changed.
func (a *aliasRecord) save(c *call.Call, t *target) error {
	a.Revision = c.UUID()
	return aliasTable.In(t.account, t.region).Put(c.Tx(), a)
}

// there returns an error for a version that a function does not have.
func (t *target) hasVersion(c *call.Call, qualifier string) error {
	number, ok := versionNumber(qualifier)
	if ok {
		v, err := get(c, versionTable, t.name, t.function.Name, number)
		if err != nil || v != nil {
			return err
		}
	}
	return noFunction(functionARN(t.scope(c), t.function.Name, qualifier))
}

// route sets which part of the invocations goes to another version.
func (a *aliasRecord) route(c *call.Call, t *target, in *lambda.AliasRoutingConfiguration) error {
	a.Other, a.Weight = "", 0
	if in == nil {
		return nil
	}
	if len(in.AdditionalVersionWeights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for version, weight := range in.AdditionalVersionWeights {
		switch {
		case weight >= 1:
			return &lambda.InvalidParameterValueException{Type: new("User"), Message: fmt.Sprintf("1 validation error detected: Value '{%s=%v}' at "+
				"'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than 1.0]", version, weight)}
		case version == a.Version:
			return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", version, version)
		case a.Version == latest:
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if err := t.hasVersion(c, version); err != nil {
			return err
		}
		a.Other, a.Weight = version, weight
	}
	return nil
}

// CreateAlias makes an alias of a version.
func (s *Service) CreateAlias(c *call.Call, in *lambda.CreateAliasRequest) (*lambda.AliasConfiguration, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := t.hasVersion(c, *in.FunctionVersion); err != nil {
		return nil, err
	}
	there, err := get(c, aliasTable, t.name, t.function.Name, *in.Name)
	if err != nil {
		return nil, err
	}
	if there != nil {
		return nil, conflict("Alias already exists: %s", functionARN(t.scope(c), t.function.Name, *in.Name))
	}
	a := &aliasRecord{Function: t.function.Name, Name: *in.Name, Version: *in.FunctionVersion, Description: optional.Value(in.Description)}
	if err := a.route(c, t, in.RoutingConfig); err != nil {
		return nil, err
	}
	err = a.save(c, t)
	return a.shape(c, t), err
}

// GetAlias tells of an alias.
func (s *Service) GetAlias(c *call.Call, in *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
	t, a, err := s.aliased(c, in.FunctionName, *in.Name)
	if err != nil {
		return nil, err
	}
	return a.shape(c, t), nil
}

// UpdateAlias changes an alias. What the request leaves out stays.
func (s *Service) UpdateAlias(c *call.Call, in *lambda.UpdateAliasRequest) (*lambda.AliasConfiguration, error) {
	t, a, err := s.aliased(c, in.FunctionName, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := checkRevision(in.RevisionId, a.Revision, readRevision); err != nil {
		return nil, err
	}
	change(&a.Description, in.Description)
	if in.FunctionVersion != nil {
		if err := t.hasVersion(c, *in.FunctionVersion); err != nil {
			return nil, err
		}
		a.Version = *in.FunctionVersion
	}
	routing := in.RoutingConfig
	if routing == nil && a.Other != "" {
		routing = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{a.Other: a.Weight}}
	}
	if err := a.route(c, t, routing); err != nil {
		return nil, err
	}
	err = a.save(c, t)
	return a.shape(c, t), err
}

// DeleteAlias deletes an alias with what belongs to it; that there is none is no error.
func (s *Service) DeleteAlias(c *call.Call, in *lambda.DeleteAliasRequest) (*lambda.DeleteAliasResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := remove(c, aliasTable, t, *in.Name); err != nil {
		return nil, err
	}
	return &lambda.DeleteAliasResponse{}, forget(c, t, *in.Name)
}

// ListAliases lists the aliases of a function by their names; those of a version, if one is named.
func (s *Service) ListAliases(c *call.Call, in *lambda.ListAliasesRequest) (*lambda.ListAliasesResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	var keep func(*aliasRecord) bool
	if in.FunctionVersion != nil {
		keep = func(a *aliasRecord) bool { return slices.Contains([]string{a.Version, a.Other}, *in.FunctionVersion) }
	}
	aliases, next, err := page(c, aliasTable, t.name, store.Query{Prefix: store.Key{t.function.Name}}, in.Marker, in.MaxItems, optional.Value(in.FunctionVersion), keep)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListAliasesResponse{Aliases: []lambda.AliasConfiguration{}, NextMarker: next}
	for _, a := range aliases {
		out.Aliases = append(out.Aliases, *a.shape(c, t))
	}
	return out, nil
}
