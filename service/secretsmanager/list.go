package secretsmanager

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxPage is how many entries a page of a list has, unless fewer are asked for.
const maxPage = 100

func pageSize(asked *int32) int {
	if asked == nil {
		return maxPage
	}
	return int(*asked)
}

// badToken is the service's own error of a page token.
func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return &secretsmanager.InvalidNextTokenException{Message: "The NextToken value is invalid."}
	}
	return err
}

func versionQuery(sec *secret, limit int) store.Query {
	return store.Query{Index: "created", Prefix: store.Key{sec.Name}, Limit: limit}
}

// ListSecrets lists the secrets of the caller's account in the region.
func (s *Service) ListSecrets(c *call.Call, in *secretsmanager.ListSecretsRequest) (*secretsmanager.ListSecretsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	l := listing{filters: in.Filters, deleted: optional.Value(in.IncludePlannedDeletion), by: in.SortBy, order: in.SortOrder, limit: pageSize(in.MaxResults)}
	list, next, err := s.page(c, l, optional.Value(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.ListSecretsResponse{NextToken: optional.NonZero(next), SecretList: []secretsmanager.SecretListEntry{}}
	for _, r := range list {
		sec := &secret{secretRecord: *r, arn: r.arn(c.Scope.Partition)}
		e := secretsmanager.SecretListEntry{
			ARN: &sec.arn, Name: &r.Name, Type: optional.NonZero(r.Type), Description: optional.NonZero(r.Description), KmsKeyId: optional.NonZero(r.Key), OwningService: optional.NonZero(r.Owner),
			CreatedDate: &r.Created, LastChangedDate: &r.Changed, LastAccessedDate: optional.NonZero(r.Accessed), DeletedDate: optional.NonZero(r.Deleted),
			Tags: tagList(r.Tags), SecretVersionsToStages: r.stages(), PrimaryRegion: optional.NonZero(r.primaryRegion()),
		}
		if rot := r.Rotation; rot != nil {
			e.RotationEnabled, e.RotationLambdaARN, e.RotationRules = &rot.Enabled, optional.NonZero(rot.Lambda), rot.rules()
			e.LastRotatedDate, e.NextRotationDate = optional.NonZero(rot.Last), optional.NonZero(rot.Next)
		}
		out.SecretList = append(out.SecretList, e)
	}
	return out, nil
}

// listing is what is to be listed.
type listing struct {
	filters []secretsmanager.Filter
	deleted bool // with those that are scheduled for deletion
	by      secretsmanager.SortByType
	order   secretsmanager.SortOrderType
	limit   int
}

// page returns the next secrets of a listing.
func (s *Service) page(c *call.Call, l listing, token string) ([]*secretRecord, string, error) {
	match, err := filter(l.filters)
	if err != nil {
		return nil, "", err
	}
	q := store.Query{Limit: l.limit, Reverse: l.order == secretsmanager.SortOrderTypeDesc}
	switch l.by {
	case "", secretsmanager.SortByTypeCreatedDate:
		q.Index = "created"
	case secretsmanager.SortByTypeLastChangedDate:
		q.Index = "changed"
	case secretsmanager.SortByTypeLastAccessedDate:
		q.Index = "accessed"
	}
	depends, err := json.Marshal([]any{l.filters, l.deleted, l.by})
	if err != nil {
		return nil, "", err
	}
	list, next, err := secretTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, token, string(depends), func(r *secretRecord) bool {
		return (l.deleted || r.Deleted.IsZero()) && match(r)
	})
	return list, next, badToken(err)
}

// filter reports which secrets all filters let through. A filter lets through what one of its values finds; a value with an exclamation mark finds what must not be there.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/manage_search-secret.html
func filter(filters []secretsmanager.Filter) (func(*secretRecord) bool, error) {
	for _, f := range filters {
		if f.Key == "" || len(f.Values) == 0 {
			return nil, invalidParameter("Invalid filter: it needs a key and at least one value.")
		}
		if attribute(f.Key) == nil {
			return nil, invalidParameter("Invalid filter key: %s.", f.Key)
		}
	}
	return func(r *secretRecord) bool {
		for _, f := range filters {
			if !passes(r, f) {
				return false
			}
		}
		return true
	}, nil
}

func passes(r *secretRecord, f secretsmanager.Filter) bool {
	finds := attribute(f.Key)
	wanted, found := false, false
	for _, v := range f.Values {
		if not, ok := strings.CutPrefix(v, "!"); ok {
			if finds(r, not) {
				return false
			}
			continue
		}
		wanted = true
		found = found || finds(r, v)
	}
	return found || !wanted
}

// attribute returns what finds a value in the attribute of secrets that a filter is about, or nil if there is no such one.
func attribute(key secretsmanager.FilterNameStringType) func(r *secretRecord, v string) bool {
	switch key {
	case secretsmanager.FilterNameStringTypeName:
		return func(r *secretRecord, v string) bool { return strings.HasPrefix(r.Name, v) }
	case secretsmanager.FilterNameStringTypeDescription:
		return func(r *secretRecord, v string) bool {
			return strings.HasPrefix(strings.ToLower(r.Description), strings.ToLower(v))
		}
	case secretsmanager.FilterNameStringTypeTagKey:
		return func(r *secretRecord, v string) bool {
			return slices.ContainsFunc(sortedKeys(r.Tags), func(k string) bool { return strings.HasPrefix(k, v) })
		}
	case secretsmanager.FilterNameStringTypeTagValue:
		return func(r *secretRecord, v string) bool {
			for _, tag := range r.Tags {
				if strings.HasPrefix(tag, v) {
					return true
				}
			}
			return false
		}
	case secretsmanager.FilterNameStringTypePrimaryRegion:
		return func(r *secretRecord, v string) bool {
			return r.primaryRegion() != "" && strings.HasPrefix(r.primaryRegion(), v)
		}
	case secretsmanager.FilterNameStringTypeOwningService:
		return func(r *secretRecord, v string) bool { return r.Owner != "" && strings.HasPrefix(r.Owner, v) }
	case secretsmanager.FilterNameStringTypeAll:
		return anywhere
	}
	return nil
}

// anywhere reports whether each word of v begins a word of some attribute of the secret.
func anywhere(r *secretRecord, v string) bool {
	there := words(r.Name + " " + r.Description + " " + r.Owner + " " + r.primaryRegion())
	for k, tag := range r.Tags {
		there = append(there, words(k+" "+tag)...)
	}
	for _, w := range words(v) {
		if !slices.ContainsFunc(there, func(t string) bool { return strings.HasPrefix(t, w) }) {
			return false
		}
	}
	return true
}

// words are the words of a text, in lower case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
