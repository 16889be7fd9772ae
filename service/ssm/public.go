package ssm

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// Public parameters are AWS's own, and everybody's to read. Those here tell of regions and of the services that are built:
// https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-global-infrastructure.html
//
//	/aws/service/global-infrastructure/regions/REGION               the region, and below it longName, partition, domain and services/SERVICE
//	/aws/service/global-infrastructure/services/SERVICE             the service, and below it longName and regions/REGION
const infrastructure = "/aws/service/global-infrastructure/"

// public is the public parameters. They are made when the first is asked for: when the service is made, not all others are there.
type public struct {
	once   sync.Once // guards what follows
	byName map[name]string
	sorted []name
}

// publicSince is when the public parameters were changed last.
var publicSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// publicParameters returns the public parameters.
func (s *Service) publicParameters() *public {
	p := &s.public
	p.once.Do(func() {
		p.byName = make(map[name]string)
		put := func(value string, path ...string) {
			p.byName[splitName(infrastructure+strings.Join(path, "/"))] = value
		}
		for _, r := range awsRegions() {
			if r.partition == s.cfg.Partition {
				s.describeRegion(r, put)
			}
		}
		for n := range p.byName {
			p.sorted = append(p.sorted, n)
		}
		slices.SortFunc(p.sorted, func(a, b name) int { return cmp.Or(strings.Compare(a.dir, b.dir), strings.Compare(a.leaf, b.leaf)) })
	})
	return p
}

func (s *Service) describeRegion(r region, put func(value string, path ...string)) {
	domain := "amazonaws.com"
	if r.partition == "aws-cn" {
		domain = "amazonaws.com.cn"
	}
	put(r.name, "regions", r.name)
	put(r.longName, "regions", r.name, "longName")
	put(r.partition, "regions", r.name, "partition")
	put(domain, "regions", r.name, "domain")
	if s.cfg.Services == nil {
		return
	}
	for _, svc := range s.cfg.Services() {
		put(svc.Package, "regions", r.name, "services", svc.Package)
		put(svc.Package, "services", svc.Package)
		put(svc.FullName, "services", svc.Package, "longName")
		put(r.name, "services", svc.Package, "regions", r.name)
	}
}

// getPublic returns a public parameter.
func (s *Service) getPublic(c *call.Call, r *reference) (*ssm.Parameter, error) {
	scope := c.Scope
	scope.Account = ""
	if err := authorize(c, &call.Resource{ARN: r.in(scope)}, &conditions{}); err != nil {
		return nil, err
	}
	value, ok := s.publicParameters().byName[r.name]
	if !ok {
		return nil, notFound(r.asked)
	}
	if r.selector != "" && r.selector != "1" {
		return nil, &ssm.ParameterVersionNotFound{Message: "Systems Manager could not find version " + r.selector + " of " + r.asked + ". Verify the version and try again."}
	}
	p := publicParameter(scope, r.name, value)
	if r.selector != "" {
		p.Selector = new(":" + r.selector)
	}
	return p, nil
}

func publicParameter(s call.Scope, n name, value string) *ssm.Parameter {
	return &ssm.Parameter{
		Name: new(n.String()), Type: ssm.ParameterTypeString, Value: &value, Version: new(int64(1)), LastModifiedDate: &publicSince, ARN: new(n.in(s)), DataType: new(textType),
	}
}

// publicPage lists public parameters in a hierarchy.
func (s *Service) publicPage(c *call.Call, dir string, deep bool, fs filters, l *listing, token *string) (*ssm.GetParametersByPathResult, error) {
	p := s.publicParameters()
	scope := c.Scope
	scope.Account = ""
	after := ""
	if optional.Value(token) != "" {
		at, err := pagetoken.Decode(l.name, *token)
		if err != nil {
			return nil, badToken()
		}
		after = string(at)
	}
	out := &ssm.GetParametersByPathResult{Parameters: []ssm.Parameter{}}
	last, reached := "", after == ""
	for _, n := range p.sorted {
		if !reached {
			reached = n.String() == after
			continue
		}
		record := &parameterRecord{Dir: n.dir, Leaf: n.leaf, Name: n.String(), Current: version{Type: string(ssm.ParameterTypeString), Tier: standard, DataType: textType}}
		if n.dir != dir && !(deep && strings.HasPrefix(n.dir, dir+"/")) || !fs.keep(record) {
			continue
		}
		if len(out.Parameters) == l.limit {
			out.NextToken = new(pagetoken.Encode(l.name, []byte(last)))
			break
		}
		out.Parameters = append(out.Parameters, *publicParameter(scope, n, p.byName[n]))
		last = n.String()
	}
	return out, nil
}
