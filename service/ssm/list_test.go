package ssm_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
)

func by(key, option string, values ...string) types.ParameterStringFilter {
	return types.ParameterStringFilter{Key: &key, Option: present(option), Values: values}
}

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// below returns the names that GetParametersByPath gives, over all pages.
func (h *house) below(path string, recursive bool, filters ...types.ParameterStringFilter) (names []string) {
	h.t.Helper()
	in := &ssm.GetParametersByPathInput{Path: &path, Recursive: &recursive, ParameterFilters: filters, MaxResults: aws.Int32(2)}
	for {
		out := must(h.GetParametersByPath(h.t.Context(), in))(h.t)
		for _, p := range out.Parameters {
			names = append(names, *p.Name+aws.ToString(p.Selector))
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return names
		}
	}
}

// TestByPath lists hierarchies.
func TestByPath(t *testing.T) {
	h := start(t)
	for _, name := range []string{"top", "/a/1", "/a/2", "/a/b/3", "/a/b/c/4", "/a-b/5", "/a.b/6", "/a/b2/7", "/ab/8"} {
		h.put(name, "v")
	}
	h.put("/a/s", "v", secure)
	h.put("/a/1", "v2", overwrite)
	h.label("/a/1", 1, "old")
	for _, c := range []struct {
		path      string
		recursive bool
		filters   []types.ParameterStringFilter
		want      string
	}{
		{"/", false, nil, "top"},
		{"/", true, nil, "top /a/1 /a/2 /a/s /a-b/5 /a.b/6 /a/b/3 /a/b/c/4 /a/b2/7 /ab/8"},
		{"/a", false, nil, "/a/1 /a/2 /a/s"},
		{"/a/", false, nil, "/a/1 /a/2 /a/s"},
		{"/a", true, nil, "/a/1 /a/2 /a/s /a/b/3 /a/b/c/4 /a/b2/7"},
		{"/a/b", true, nil, "/a/b/3 /a/b/c/4"},
		{"/a/1", true, nil, ""},
		{"/none", true, nil, ""},
		{"/a", true, []types.ParameterStringFilter{by("Type", "", "SecureString")}, "/a/s"},
		{"/a", true, []types.ParameterStringFilter{by("KeyId", "BeginsWith", "alias/")}, "/a/s"},
		{"/a", true, []types.ParameterStringFilter{by("Label", "", "none", "old")}, "/a/1:old"},
	} {
		t.Run(fmt.Sprint(c.path, c.recursive, len(c.filters)), func(t *testing.T) {
			if d := cmp.Diff(strings.Fields(c.want), append([]string{}, h.below(c.path, c.recursive, c.filters...)...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	list := func(in *ssm.GetParametersByPathInput) error {
		return answer(h.GetParametersByPath(t.Context(), in))
	}
	with := func(f types.ParameterStringFilter) *ssm.GetParametersByPathInput {
		return &ssm.GetParametersByPathInput{Path: aws.String("/a"), ParameterFilters: []types.ParameterStringFilter{f}}
	}
	wantError(t, list(&ssm.GetParametersByPathInput{Path: aws.String("a")}), "ValidationException", `The parameter name must begin with a forward slash "/".`)
	wantError(t, list(&ssm.GetParametersByPathInput{Path: aws.String("/a"), NextToken: aws.String("x")}), "InvalidNextToken", "")
	wantError(t, list(with(by("Name", "", "x"))), "InvalidFilterKey", "")
	wantError(t, list(with(by("Type", "Contains", "x"))), "InvalidFilterOption", "The following filter option is not valid: Contains. Valid options include: [Equals, BeginsWith].")
	wantError(t, list(with(by("Type", "", "x"))), "InvalidFilterValue", "The following filter value is not valid: x.")
	wantError(t, list(with(by("Type", ""))), "InvalidFilterValue", "The following filter values are missing : null for filter key Type.")
	if out := must(h.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/a"), WithDecryption: aws.Bool(true)}))(t); *out.Parameters[2].Value != "v" || *out.Parameters[0].Value != "v2" {
		t.Errorf("values %s, %s", *out.Parameters[2].Value, *out.Parameters[0].Value)
	}
}

// TestDescribe holds all filters of DescribeParameters.
func TestDescribe(t *testing.T) {
	h := start(t)
	h.put("web", "v", func(in *ssm.PutParameterInput) {
		in.Tags = []types.Tag{{Key: aws.String("env"), Value: aws.String("prod")}}
	})
	h.put("/db/host", "v", inAdvanced)
	h.put("/db/pass", "v", secure)
	h.put("/db/x/ami", "ami-0123456789abcdef0", func(in *ssm.PutParameterInput) { in.DataType = aws.String("aws:ec2:image") })
	h.put("/dbs", "a,b", func(in *ssm.PutParameterInput) { in.Type = types.ParameterTypeStringList })
	describe := func(in *ssm.DescribeParametersInput) (names []string) {
		in.MaxResults = aws.Int32(1)
		for {
			out := must(h.DescribeParameters(t.Context(), in))(t)
			for _, p := range out.Parameters {
				names = append(names, *p.Name)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return names
			}
		}
	}
	for _, c := range []struct {
		filters []types.ParameterStringFilter
		want    string
	}{
		{nil, "/dbs web /db/host /db/pass /db/x/ami"},
		{[]types.ParameterStringFilter{by("Name", "", "web", "/dbs", "/none", "a b")}, "/dbs web"},
		{[]types.ParameterStringFilter{by("Name", "BeginsWith", "/db")}, "/dbs /db/host /db/pass /db/x/ami"},
		{[]types.ParameterStringFilter{by("Name", "BeginsWith", "db/", "/db/x/a")}, "/db/host /db/pass /db/x/ami"},
		{[]types.ParameterStringFilter{by("Name", "Contains", "a")}, "/db/pass /db/x/ami"},
		{[]types.ParameterStringFilter{by("Path", "", "/db")}, "/db/host /db/pass"},
		{[]types.ParameterStringFilter{by("Path", "Recursive", "/db", "/db/x")}, "/db/host /db/pass /db/x/ami"},
		{[]types.ParameterStringFilter{by("Path", "OneLevel", "/")}, "/dbs web"},
		{[]types.ParameterStringFilter{by("Type", "BeginsWith", "String")}, "/dbs web /db/host /db/x/ami"},
		{[]types.ParameterStringFilter{by("Tier", "", "Advanced")}, "/db/host"},
		{[]types.ParameterStringFilter{by("DataType", "", "aws:ec2:image")}, "/db/x/ami"},
		{[]types.ParameterStringFilter{by("tag:env", "", "prod")}, "web"},
		{[]types.ParameterStringFilter{by("tag:env", "", "test")}, ""},
		{[]types.ParameterStringFilter{by("Path", "Recursive", "/db"), by("Type", "", "SecureString")}, "/db/pass"},
	} {
		t.Run(c.want, func(t *testing.T) {
			if d := cmp.Diff(strings.Fields(c.want), append([]string{}, describe(&ssm.DescribeParametersInput{ParameterFilters: c.filters})...)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	old := &ssm.DescribeParametersInput{Filters: []types.ParametersFilter{{Key: types.ParametersFilterKeyName, Values: []string{"/db/"}}}}
	if got := describe(old); !slices.Equal(got, []string{"/db/host", "/db/pass", "/db/x/ami"}) {
		t.Errorf("by the deprecated filter: %v", got)
	}
	refused := func(filters ...types.ParameterStringFilter) error {
		return answer(h.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{ParameterFilters: filters}))
	}
	wantError(t, refused(by("Label", "", "x")), "InvalidFilterKey", "")
	wantError(t, refused(by("Name", "", "x"), by("Name", "", "y")), "InvalidFilterKey", "")
	wantError(t, refused(by("Path", "Equals", "/x")), "InvalidFilterOption", "Valid options include: [OneLevel, Recursive].")
	wantError(t, refused(by("Path", "", "/aws/x")), "ValidationException", `Filters for common parameters can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	wantError(t, refused(by("Nothing", "", "x")), "ValidationException", "tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType")
	_, err := h.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{Filters: old.Filters, ParameterFilters: []types.ParameterStringFilter{by("Name", "", "x")}})
	wantError(t, err, "ValidationException", "You can use either Filters or ParameterFilters in a single request.")
}

// TestPagingWhileWriting lists again and again while parameters come and go: those that stay are in every listing once.
func TestPagingWhileWriting(t *testing.T) {
	h := start(t)
	var stay []string
	for i := range 30 {
		stay = append(stay, fmt.Sprintf("/p/%02d", i*3))
		h.put(stay[i], "v")
	}
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("/p/%02d", i%30*3+1+w)
				if _, err := h.PutParameter(t.Context(), input(name, "v", overwrite)); err != nil {
					t.Error(err)
					return
				}
				if _, err := h.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: &name}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		names := h.below("/p", true)
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("some come twice: %v", names)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(stay, n) })
		if d := cmp.Diff(stay, names); d != "" {
			t.Errorf("those that stay (-want +got):\n%s", d)
		}
	}
	close(stop)
	writers.Wait()
}
