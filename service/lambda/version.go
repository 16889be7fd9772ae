package lambda

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// publish makes a version of what a function is at present, or returns the last one if nothing has changed since. The caller saves the function and v.
func (s *Service) publish(c *call.Call, f *functionRecord, v *versionRecord, description *string) (*versionRecord, error) {
	versions := versionTable.In(f.Account, f.Region)
	if f.Published > 0 {
		last, err := versions.Get(c.Tx(), f.Name, f.Published)
		if err == nil && last.Change == v.Change {
			return last, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("loading the last version of %s: %w", f.Name, err)
		}
	}
	f.Published++
	published := *v
	published.Number, published.Revision = f.Published, c.UUID()
	change(&published.Description, description)
	v.Revision = c.UUID()
	return &published, versions.Insert(c.Tx(), &published)
}

// PublishVersion makes a version of what a function is at present. It stays as it is.
func (s *Service) PublishVersion(c *call.Call, in *lambda.PublishVersionRequest) (*lambda.FunctionConfiguration, error) {
	t, err := s.named(c, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := t.latestOnly(); err != nil {
		return nil, err
	}
	if in.PublishTo != "" {
		return nil, notBuilt(c, "PublishTo")
	}
	v := t.version
	if err := checkRevision(in.RevisionId, v.Revision, readRevision); err != nil {
		return nil, err
	}
	if in.CodeSha256 != nil && *in.CodeSha256 != "" && *in.CodeSha256 != v.Code.Sum {
		return nil, invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", *in.CodeSha256, v.Code.Sum)
	}
	published, err := s.publish(c, t.function, v, in.Description)
	if err != nil {
		return nil, err
	}
	if err := t.function.saveAll(c, v); err != nil {
		return nil, err
	}
	e, err := s.shownEnvironment(c, t.function, published)
	if err != nil {
		return nil, err
	}
	return s.configuration(t.function, published, functionARN(t.scope(c), t.function.Name, published.qualifier()), e), nil
}

// ListVersionsByFunction lists the versions of a function, $LATEST first.
func (s *Service) ListVersionsByFunction(c *call.Call, in *lambda.ListVersionsByFunctionRequest) (*lambda.ListVersionsByFunctionResponse, error) {
	t, err := s.named(c, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	versions, next, err := page(c, versionTable, t.name, store.Query{Prefix: store.Key{t.function.Name}}, in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListVersionsByFunctionResponse{Versions: []lambda.FunctionConfiguration{}, NextMarker: next}
	for _, v := range versions {
		if err := s.list(c, &out.Versions, t.name, v, v.qualifier()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DeleteFunction deletes a version of a function, or all of it.
func (s *Service) DeleteFunction(c *call.Call, in *lambda.DeleteFunctionRequest) (*lambda.DeleteFunctionResponse, error) {
	t, err := s.named(c, in.FunctionName, in.Qualifier)
	number, isVersion := uint64(0), false
	if t != nil {
		number, isVersion = versionNumber(t.qualifier)
	}
	switch {
	case isNotFound(err) && t != nil && t.function != nil && isVersion:
		return &lambda.DeleteFunctionResponse{StatusCode: new(int32(204))}, nil // a version that is gone
	case err != nil:
		return nil, err
	case t.qualifier == latest:
		return nil, invalid("$LATEST version cannot be deleted without deleting the function.")
	case !isVersion:
		return nil, invalid("Deletion of aliases is not currently supported.")
	case t.qualifier == "":
		err = s.deleteAll(c, t)
	default:
		err = s.deleteVersion(c, t, number)
	}
	return &lambda.DeleteFunctionResponse{StatusCode: new(int32(204))}, err
}

// deleteVersion deletes a published version that no alias is for.
func (s *Service) deleteVersion(c *call.Call, t *target, number uint64) error {
	var aliases []string
	for a, err := range aliasTable.In(t.account, t.region).Scan(c.Tx(), store.Query{Prefix: store.Key{t.function.Name}}) {
		if err != nil {
			return err
		}
		if a.Version == t.qualifier || a.Other == t.qualifier {
			aliases = append(aliases, a.Name)
		}
	}
	if aliases != nil {
		return conflict("Unable to delete version %s because the following aliases reference it: [%s]", t.qualifier, strings.Join(aliases, ", "))
	}
	if err := versionTable.In(t.account, t.region).Delete(c.Tx(), t.function.Name, number); err != nil {
		return err
	}
	if err := forget(c, t, t.qualifier); err != nil {
		return err
	}
	if err := s.retire(c, t, t.version); err != nil {
		return err
	}
	return s.freeAll(c, t.version)
}

// forget deletes what belongs to a qualifier of a function.
func forget(c *call.Call, t *target, qualifier string) error {
	return errors.Join(
		remove(c, policyTable, t, qualifier), remove(c, invocationTable, t, qualifier), remove(c, urlTable, t, qualifier),
	)
}

// remove deletes a record of a function; that there is none is no error.
func remove[R any](c *call.Call, table *store.Table[R], t *target, key any) error {
	err := table.In(t.account, t.region).Delete(c.Tx(), t.function.Name, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// deleteAll deletes a function with everything that belongs to it.
func (s *Service) deleteAll(c *call.Call, t *target) error {
	if err := functionTable.In(t.account, t.region).Delete(c.Tx(), t.function.Name); err != nil {
		return err
	}
	err := errors.Join(
		removeAll(c, t, aliasTable, func(a *aliasRecord) any { return a.Name }), removeAll(c, t, policyTable, func(p *policyRecord) any { return p.Qualifier }),
		removeAll(c, t, invocationTable, func(i *invocationRecord) any { return i.Qualifier }), removeAll(c, t, urlTable, func(u *urlRecord) any { return u.Qualifier }),
	)
	if err != nil {
		return err
	}
	var versions []*versionRecord
	for v, err := range versionTable.In(t.account, t.region).Scan(c.Tx(), store.Query{Prefix: store.Key{t.function.Name}}) {
		if err != nil {
			return err
		}
		versions = append(versions, v)
	}
	for _, v := range versions {
		if err := versionTable.In(t.account, t.region).Delete(c.Tx(), v.Function, v.Number); err != nil {
			return err
		}
	}
	for _, v := range versions {
		if err := s.freeAll(c, v); err != nil {
			return err
		}
	}
	return s.retire(c, t, versions...)
}

// removeAll deletes the records of a function in a table.
func removeAll[R any](c *call.Call, t *target, table *store.Table[R], key func(*R) any) error {
	rows := table.In(t.account, t.region)
	for r, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{t.function.Name}}) {
		if err != nil {
			return err
		}
		if err := rows.Delete(c.Tx(), t.function.Name, key(r)); err != nil {
			return err
		}
	}
	return nil
}

// freeAll removes the archives of a version that is gone, if nothing else has them.
func (s *Service) freeAll(c *call.Call, v *versionRecord) error {
	for _, key := range v.blobs() {
		if err := s.free(c, key[0].(string)); err != nil {
			return err
		}
	}
	return nil
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*lambda.ResourceNotFoundException](err)
	return ok
}
