package ssm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
)

// maxLabels is how many labels a version has at most.
const maxLabels = 10

// labelled finds and authorizes a parameter whose labels are to be changed.
func (s *Service) labelled(c *call.Call, given string) (*parameterRecord, error) {
	text := strings.TrimSpace(given)
	n, err := parseName(text)
	if err != nil {
		return nil, err
	}
	p, err := s.change(c, n, nil)
	if err == nil && p == nil {
		err = notFound(text)
	}
	return p, err
}

// LabelParameterVersion puts labels on a version, from whichever version they are on.
func (s *Service) LabelParameterVersion(c *call.Call, in *ssm.LabelParameterVersionRequest) (*ssm.LabelParameterVersionResult, error) {
	p, err := s.labelled(c, *in.Name)
	if err != nil {
		return nil, err
	}
	number := p.Current.Version
	if in.ParameterVersion != nil {
		number = *in.ParameterVersion
	}
	if number < p.Oldest || number > p.Current.Version {
		return nil, noVersion(number, p.Name)
	}
	out := &ssm.LabelParameterVersionResult{InvalidLabels: []string{}, ParameterVersion: &number}
	if p.Labels == nil {
		p.Labels = make(map[string]int64)
	}
	var moved []string
	for _, l := range slices.Compact(slices.Sorted(slices.Values(in.Labels))) {
		switch {
		case !validLabel(l):
			out.InvalidLabels = append(out.InvalidLabels, l)
		case p.Labels[l] != number:
			p.Labels[l] = number
			moved = append(moved, l)
		}
	}
	if len(p.labelsOf(number)) > maxLabels {
		return nil, &ssm.ParameterVersionLabelLimitExceeded{Message: fmt.Sprintf(
			"A parameter version can have maximum %d labels.Move one or more labels to another version and try again.", maxLabels)}
	}
	if len(moved) == 0 {
		return out, nil
	}
	for _, l := range moved {
		if err := emitLabel(c, p, l); err != nil {
			return nil, err
		}
	}
	return out, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

// UnlabelParameterVersion takes labels off a version.
func (s *Service) UnlabelParameterVersion(c *call.Call, in *ssm.UnlabelParameterVersionRequest) (*ssm.UnlabelParameterVersionResult, error) {
	p, err := s.labelled(c, *in.Name)
	if err != nil {
		return nil, err
	}
	number := *in.ParameterVersion
	if number < p.Oldest || number > p.Current.Version {
		return nil, noVersion(number, p.Name)
	}
	out := &ssm.UnlabelParameterVersionResult{RemovedLabels: []string{}, InvalidLabels: []string{}}
	for _, l := range slices.Compact(slices.Sorted(slices.Values(in.Labels))) {
		if p.Labels[l] != number {
			out.InvalidLabels = append(out.InvalidLabels, l)
			continue
		}
		delete(p.Labels, l)
		out.RemovedLabels = append(out.RemovedLabels, l)
	}
	if len(out.RemovedLabels) == 0 {
		return out, nil
	}
	return out, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

// labelsOf returns the labels of a version, sorted.
func (p *parameterRecord) labelsOf(number int64) []string {
	labels := []string{}
	for l, v := range p.Labels {
		if v == number {
			labels = append(labels, l)
		}
	}
	slices.Sort(labels)
	return labels
}

// validLabel holds a label against the rules: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html
func validLabel(l string) bool {
	return l != "" && nameCharacters(l) && !strings.Contains(l, "/") && (l[0] < '0' || l[0] > '9') && !reserved(l)
}
