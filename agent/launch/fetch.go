package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
)

// Fetcher gets the values of sources. All fields but Taken are required. It is for one goroutine.
type Fetcher struct {
	Secrets    func(context.Context) (secretsmanager.Client, error) // called for each fetch, so that credentials can change
	Parameters func(context.Context) (ssm.Client, error)
	Sources    []*Source
	Naming     Naming
	Taken      func(name string) bool // variables that the environment has already
}

// Values are what a program gets: values by name, and of which version each source's are.
type Values struct {
	byName   map[string]string
	versions map[string]string // by ID of the secret or parameter
}

// Same tells whether nothing changed for the program, be it of another version or not.
func (v *Values) Same(w *Values) bool { return maps.Equal(v.byName, w.byName) }

// Names are the values' names in order.
func (v *Values) Names() []string { return slices.Sorted(maps.Keys(v.byName)) }

// Changed are the secrets and parameters of which w has another version than v, each with the version that w has. Nothing secret is in it.
func (v *Values) Changed(w *Values) []string {
	var changed []string
	for id, version := range w.versions {
		if v.versions[id] != version {
			changed = append(changed, id+" version "+version)
		}
	}
	for id := range v.versions {
		if _, ok := w.versions[id]; !ok {
			changed = append(changed, id+" gone")
		}
	}
	slices.Sort(changed)
	return changed
}

// round is one fetch of all sources. A secret that several sources name is fetched once.
type round struct {
	*Fetcher
	ctx     context.Context
	secrets map[string]*secretsmanager.GetSecretValueResponse
	values  *Values
	from    map[string]*Source // by name of the value
}

// Fetch gets all values anew. Errors hold no values.
func (f *Fetcher) Fetch(ctx context.Context) (*Values, error) {
	r := &round{f, ctx, make(map[string]*secretsmanager.GetSecretValueResponse), &Values{make(map[string]string), make(map[string]string)}, make(map[string]*Source)}
	for _, s := range f.Sources {
		get := r.secret
		if s.parameter {
			get = r.parameter
		}
		if err := get(s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return r.values, nil
}

func (r *round) put(s *Source, name, value string) error {
	switch {
	case name == "":
		return errors.New("has a member without a name")
	case strings.ContainsRune(value, 0) && !r.Naming.Files:
		return fmt.Errorf("the value for %s is binary, which fits a file but no variable", name)
	}
	if err := r.Naming.check(name, name == s.name, r.taken); err != nil {
		return err
	}
	if other := r.from[name]; other != nil {
		return fmt.Errorf("two values would be called %s, the other one of %s", name, other)
	}
	r.from[name] = s
	r.values.byName[name] = value
	return nil
}

func (r *round) taken(name string) bool { return r.Taken != nil && r.Taken(name) }

func (r *round) secret(s *Source) error {
	out, err := r.get(s.id)
	if err != nil {
		return err
	}
	r.values.versions[s.id] = *out.VersionId
	value := string(out.SecretBinary)
	if out.SecretString != nil {
		value = *out.SecretString
	}
	if s.name != "" && s.member == "" {
		return r.put(s, s.name, value)
	}
	members, isObject := members(value)
	switch {
	case s.member != "":
		v, ok := members[s.member]
		if !ok {
			return errors.New("the secret has no such member")
		}
		name := s.name
		if name == "" {
			name = r.Naming.of(s, s.member)
		}
		return r.put(s, name, v)
	case isObject:
		for _, m := range slices.Sorted(maps.Keys(members)) {
			if err := r.put(s, r.Naming.of(s, m), members[m]); err != nil {
				return err
			}
		}
		return nil
	case s.star:
		return errors.New("the secret is no JSON object, so it has no members")
	}
	if out.Name == nil {
		return errors.New("the secret came without its name")
	}
	return r.put(s, r.Naming.of(s, path.Base(*out.Name)), value)
}

func (r *round) get(id string) (*secretsmanager.GetSecretValueResponse, error) {
	if out := r.secrets[id]; out != nil {
		return out, nil
	}
	client, err := r.Secrets(r.ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.GetSecretValue(&call.Call{Context: r.ctx}, &secretsmanager.GetSecretValueRequest{SecretId: new(id)})
	if err != nil {
		return nil, err
	}
	if out.VersionId == nil {
		return nil, errors.New("the secret came without its version")
	}
	r.secrets[id] = out
	return out, nil
}

// members are those of a JSON object, as text: a string is what it says, null is left out, and all else is as JSON writes it.
func members(value string) (map[string]string, bool) {
	var object map[string]json.RawMessage
	if !strings.HasPrefix(strings.TrimSpace(value), "{") || json.Unmarshal([]byte(value), &object) != nil {
		return nil, false
	}
	members := make(map[string]string, len(object))
	for name, raw := range object {
		switch {
		case string(raw) == "null":
			continue
		case raw[0] == '"':
			var text string
			if json.Unmarshal(raw, &text) != nil {
				return nil, false
			}
			members[name] = text
		default:
			var b bytes.Buffer
			if json.Compact(&b, raw) != nil {
				return nil, false
			}
			members[name] = b.String()
		}
	}
	return members, true
}

// parameter takes what is not a path for a name, and when there is none of that name, for a path from then on.
func (r *round) parameter(s *Source) error {
	client, err := r.Parameters(r.ctx)
	if err != nil {
		return err
	}
	if s.path() {
		return r.below(client, s)
	}
	out, err := client.GetParameter(&call.Call{Context: r.ctx}, &ssm.GetParameterRequest{Name: new(s.id), WithDecryption: new(true)})
	if _, ok := errors.AsType[*ssm.ParameterNotFound](err); ok && strings.HasPrefix(s.id, "/") && s.name == "" {
		path := *s
		path.id += "/"
		if err := r.below(client, &path); err != nil {
			return err
		}
		*s = path
		return nil
	}
	if err != nil {
		return err
	}
	if out.Parameter == nil {
		return errors.New("the answer has no parameter")
	}
	p := out.Parameter
	name := s.name
	if name == "" {
		name = r.Naming.of(s, path.Base(text(p.Name)))
	}
	return r.take(s, name, p)
}

func (r *round) take(s *Source, name string, p *ssm.Parameter) error {
	if p.Name == nil || p.Value == nil || p.Version == nil {
		return errors.New("a parameter came without its name, value or version")
	}
	r.values.versions[*p.Name] = strconv.FormatInt(*p.Version, 10)
	return r.put(s, name, *p.Value)
}

// below takes all parameters below a path.
func (r *round) below(client ssm.Client, s *Source) error {
	root := strings.TrimRight(s.id, "/")
	if root == "" {
		root = "/"
	}
	in := &ssm.GetParametersByPathRequest{Path: new(root), Recursive: new(true), WithDecryption: new(true)}
	found := false
	for {
		out, err := client.GetParametersByPath(&call.Call{Context: r.ctx}, in)
		if err != nil {
			return err
		}
		for i := range out.Parameters {
			p := &out.Parameters[i]
			found = true
			if err := r.take(s, r.Naming.of(s, strings.TrimPrefix(text(p.Name), root)), p); err != nil {
				return err
			}
		}
		if text(out.NextToken) == "" {
			break
		}
		in.NextToken = out.NextToken
	}
	if !found {
		return errors.New("there is no parameter of that name, nor one below it")
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
