//go:build unix

package launch

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// fakeCloud has secrets and parameters. Each change of one is a new version.
type fakeCloud struct {
	*httptest.Server
	mu         sync.Mutex
	secrets    map[string]string
	parameters map[string]string
	version    int
	status     int // not 0: what all calls get
	calls      int
}

func newCloud(t *testing.T) *fakeCloud {
	c := &fakeCloud{secrets: map[string]string{}, parameters: map[string]string{}, version: 1}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *fakeCloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	change()
}

func (c *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		SecretId, Name, Path, NextToken string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fail := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "no", "Message": "no"})
	}
	parameter := func(name string) map[string]any {
		return map[string]any{"Name": name, "Value": c.parameters[name], "Version": c.version, "Type": "String"}
	}
	switch value, ok := c.secrets[in.SecretId]; {
	case c.status != 0:
		fail(c.status, "ServiceUnavailable")
	case op == "GetSecretValue" && ok:
		out := map[string]any{"Name": in.SecretId, "VersionId": "version-" + strconv.Itoa(c.version), "SecretString": value}
		_ = json.NewEncoder(w).Encode(out)
	case op == "GetSecretValue":
		fail(400, "ResourceNotFoundException")
	case op == "GetParameter" && c.parameters[in.Name] == "":
		fail(400, "ParameterNotFound")
	case op == "GetParameter":
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": parameter(in.Name)})
	case op == "GetParametersByPath": // one a page
		var below []string
		for _, name := range slices.Sorted(maps.Keys(c.parameters)) {
			if strings.HasPrefix(name, strings.TrimSuffix(in.Path, "/")+"/") && name > in.NextToken {
				below = append(below, name)
			}
		}
		out := map[string]any{"Parameters": []any{}}
		if len(below) > 0 {
			out["Parameters"] = []any{parameter(below[0])}
		}
		if len(below) > 1 {
			out["NextToken"] = below[0]
		}
		_ = json.NewEncoder(w).Encode(out)
	default:
		fail(400, "UnknownOperationException")
	}
}

func (c *fakeCloud) fetcher(t *testing.T, sources ...string) *Fetcher {
	t.Helper()
	endpoint, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &remote.Transport{Endpoint: endpoint, Region: "us-east-1", Credentials: sigv4.Credentials{AccessKeyID: "A", Secret: "B"}}
	f := &Fetcher{
		Secrets: func(context.Context) (secretsmanager.Client, error) {
			return secretsmanager.Client{Transport: transport}, nil
		},
		Parameters: func(context.Context) (ssm.Client, error) { return ssm.Client{Transport: transport}, nil },
		Taken:      func(name string) bool { return name == "PATH" },
	}
	for _, text := range sources {
		parse := ParseSecret
		text, isParameter := strings.CutPrefix(text, "param:")
		if isParameter {
			parse = ParseParameter
		}
		s, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		f.Sources = append(f.Sources, s)
	}
	return f
}

func TestFetch(t *testing.T) {
	c := newCloud(t)
	c.secrets["prod/db"] = `{"username":"ann","password":"p\"1","port":5432,"tls":true,"none":null,"tags":{"a":[1, 2]}}`
	c.secrets["prod/api-key"] = "k=1\n2"
	c.secrets["a=b"] = "x"
	c.secrets["evil"] = `{"path":"/evil"}`
	c.secrets["loader"] = `{"ld-preload":"/evil.so"}`
	c.secrets["library"] = `{"openssl-conf":"/evil.cnf"}`
	c.secrets["interpreter"] = `{"node-options":"--require /evil.js"}`
	c.secrets["clash"] = `{"a-b":1,"a_b":2}`
	c.secrets["zero"] = "a\x00b"
	c.secrets["unnamed"] = `{"":"x"}`
	c.parameters["/app/db/url"] = "postgres://"
	c.parameters["/app/1st"] = "one"
	c.parameters["/app2"] = "other"
	c.parameters["plain"] = "v"
	for _, test := range []struct {
		name    string
		naming  Naming
		sources []string
		want    map[string]string
		err     string
	}{
		{"Members", Naming{}, []string{"prod/db"}, map[string]string{"USERNAME": "ann", "PASSWORD": `p"1`, "PORT": "5432", "TLS": "true", "TAGS": `{"a":[1,2]}`}, ""},
		{"MembersWithPrefix", Naming{Prefix: "X_"}, []string{"prod/db=DB_*", "prod/api-key"}, map[string]string{"DB_USERNAME": "ann", "DB_PASSWORD": `p"1`, "DB_PORT": "5432", "DB_TLS": "true",
			"DB_TAGS": `{"a":[1,2]}`, "X_API_KEY": "k=1\n2"}, ""},
		{"OneMember", Naming{}, []string{"prod/db#password=PGPASSWORD", "prod/db#username"}, map[string]string{"PGPASSWORD": `p"1`, "USERNAME": "ann"}, ""},
		{"NoMember", Naming{}, []string{"prod/db#x"}, nil, "prod/db#x: the secret has no such member"},
		{"Whole", Naming{}, []string{"prod/db=DB"}, map[string]string{"DB": c.secrets["prod/db"]}, ""},
		{"EqualsInName", Naming{}, []string{"a=b=V"}, map[string]string{"V": "x"}, ""},
		{"NotAnObject", Naming{}, []string{"prod/api-key=K_*"}, nil, "prod/api-key=K_*: the secret is no JSON object, so it has no members"},
		{"NotFound", Naming{}, []string{"nothing"}, nil, "nothing: ResourceNotFoundException: no"},
		{"MemberTakesVariable", Naming{}, []string{"evil"}, nil, "evil: the variable PATH has a meaning already, and is only replaced where =PATH says so"},
		{"MemberOfLoader", Naming{}, []string{"loader"}, nil, "loader: the variable LD_PRELOAD has a meaning already, and is only replaced where =LD_PRELOAD says so"},
		{"MemberOfLibrary", Naming{}, []string{"library"}, nil, "library: the variable OPENSSL_CONF has a meaning already, and is only replaced where =OPENSSL_CONF says so"},
		{"MemberOfInterpreter", Naming{}, []string{"interpreter"}, nil, "interpreter: the variable NODE_OPTIONS has a meaning already, and is only replaced where =NODE_OPTIONS says so"},
		{"PrefixMakesVariable", Naming{}, []string{"interpreter=X_*"}, map[string]string{"X_NODE_OPTIONS": "--require /evil.js"}, ""},
		{"TakenByName", Naming{}, []string{"evil#path=PATH"}, map[string]string{"PATH": "/evil"}, ""},
		{"Twice", Naming{}, []string{"clash"}, nil, "clash: two values would be called A_B, the other one of clash"},
		{"Binary", Naming{}, []string{"zero"}, nil, "zero: the value for ZERO is binary, which fits a file but no variable"},
		{"BinaryFile", Naming{Files: true}, []string{"zero"}, map[string]string{"zero": "a\x00b"}, ""},
		{"Unnamed", Naming{}, []string{"unnamed"}, nil, "unnamed: has a member without a name"},
		{"Parameter", Naming{}, []string{"param:plain", "param:/app/db/url=URL"}, map[string]string{"PLAIN": "v", "URL": "postgres://"}, ""},
		{"Path", Naming{}, []string{"param:/app/"}, map[string]string{"DB_URL": "postgres://", "_1ST": "one"}, ""},
		{"PathWithoutSlash", Naming{}, []string{"param:/app=A_*"}, map[string]string{"A_DB_URL": "postgres://", "A_1ST": "one"}, ""},
		{"NoParameter", Naming{}, []string{"param:/nothing"}, nil, "/nothing: there is no parameter of that name, nor one below it"},
		{"NoParameterNamed", Naming{}, []string{"param:/app=URL"}, nil, "/app=URL: ParameterNotFound: no"},
		{"Files", Naming{Files: true}, []string{"prod/db#password=tls.key", "param:/app/", "prod/api-key"}, map[string]string{"tls.key": `p"1`, "db_url": "postgres://", "1st": "one", "api-key": "k=1\n2"}, ""},
		{"NotForVariables", Naming{}, []string{"prod/db#password=tls.key"}, nil, "prod/db#password=tls.key: tls.key can not be the name of a variable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := c.fetcher(t, test.sources...)
			f.Naming = test.naming
			v, err := f.Fetch(t.Context())
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, v.byName); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("EachSecretOnce", func(t *testing.T) {
		before := c.calls
		if _, err := c.fetcher(t, "prod/db#password", "prod/db#username").Fetch(t.Context()); err != nil || c.calls != before+1 {
			t.Errorf("%v after %d calls, want one", err, c.calls-before)
		}
	})
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "=X", "a=", "a=b c", "a=B*C", "a#b=X*", "#b", "a#", "a=../x"} {
		if s, err := ParseSecret(text); err == nil {
			t.Errorf("ParseSecret(%q) = %+v, want an error", text, s)
		}
	}
	for _, text := range []string{"/app/=X", "", "/a=x/y"} {
		if s, err := ParseParameter(text); err == nil {
			t.Errorf("ParseParameter(%q) = %+v, want an error", text, s)
		}
	}
	for _, text := range []string{"restart", "none", "signal:HUP", "signal:sigusr1"} {
		if _, err := ParseOnChange(text); err != nil {
			t.Errorf("ParseOnChange(%q): %v", text, err)
		}
	}
	for _, text := range []string{"", "HUP", "signal:KILLED", "signal:"} {
		if _, err := ParseOnChange(text); err == nil {
			t.Errorf("ParseOnChange(%q): no error", text)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add("prod/db#password=PG", `{"password":"x","a":{"b":[null]}}`)
	f.Add("a=b=*", "{")
	f.Fuzz(func(t *testing.T, text, value string) {
		if s, err := ParseSecret(text); err == nil && s.String() != text {
			t.Errorf("%q is read as %q", text, s)
		}
		if p, err := ParseParameter(text); err == nil && p.String() != text {
			t.Errorf("%q is read as %q", text, p)
		}
		members, _ := members(value)
		for name := range members {
			for _, n := range []Naming{{}, {Files: true}} {
				if got := n.of(&Source{}, name); strings.ContainsAny(got, "/=\x00") || got == "." || got == ".." {
					t.Errorf("%q is called %q", name, got)
				}
			}
		}
	})
}
