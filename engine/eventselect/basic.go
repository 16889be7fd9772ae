package eventselect

import (
	"fmt"
	"slices"
	"strings"
)

// ReadWrite says which events a basic selector lets through.
type ReadWrite string

// The empty ReadWrite is All.
const (
	All       ReadWrite = "All"
	ReadOnly  ReadWrite = "ReadOnly"
	WriteOnly ReadWrite = "WriteOnly"
)

// BasicSelector is the older form of a selector.
type BasicSelector struct {
	ReadWrite  ReadWrite
	Management bool           // management events
	Data       []DataResource `json:",omitempty"` // data events
	Excluded   []string       `json:",omitempty"` // sources whose management events are left out
}

// DataResource is a type of resources whose data events a basic selector lets through, with their ARNs or what the ARNs begin with.
type DataResource struct {
	Type   string
	Values []string
}

// The limits of the basic selectors of a trail.
const (
	MaxBasic     = 5
	MaxResources = 250
)

// kinds are the types of resources that basic selectors know, with the service in their ARNs.
var kinds = map[string]string{"AWS::S3::Object": "s3", "AWS::Lambda::Function": "lambda", "AWS::DynamoDB::Table": "dynamodb"}

// excludable are the sources of management events that a trail can leave out.
var excludable = []string{"kms.amazonaws.com", "rdsdata.amazonaws.com"}

// CheckBasic returns an error, of what is wrong with them, for selectors that CloudTrail does not take.
func CheckBasic(selectors []BasicSelector) error {
	if n := len(selectors); n < 1 || n > MaxBasic {
		return fmt.Errorf("a trail has 1 to %d event selectors, and %d were given", MaxBasic, n)
	}
	total := 0
	for i := range selectors {
		s := &selectors[i]
		switch s.ReadWrite {
		case "", All, ReadOnly, WriteOnly:
		default:
			return fmt.Errorf("value %s for ReadWriteType is invalid", s.ReadWrite)
		}
		if !s.Management && len(s.Data) == 0 {
			return fmt.Errorf("an event selector has to include management events or to name data resources")
		}
		if !s.Management && len(s.Excluded) > 0 {
			return fmt.Errorf("ExcludeManagementEventSources needs IncludeManagementEvents")
		}
		for j, source := range s.Excluded {
			if !slices.Contains(excludable, source) || slices.Contains(s.Excluded[:j], source) {
				return fmt.Errorf("value %s for ExcludeManagementEventSources is invalid", source)
			}
		}
		n, err := checkResources(s.Data)
		if err != nil {
			return err
		}
		total += n
	}
	if total > MaxResources {
		return fmt.Errorf("a trail has at most %d data resources, and %d were given", MaxResources, total)
	}
	return check(Basic(selectors)) // values that stand for a service count there
}

// checkResources returns how many resources are named, of those that count: a prefix that stands for all of a type does not.
func checkResources(data []DataResource) (n int, err error) {
	var seen []string
	for _, r := range data {
		service, ok := kinds[r.Type]
		if !ok || slices.Contains(seen, r.Type) {
			return 0, fmt.Errorf("value %s for DataResources.Type is invalid", r.Type)
		}
		seen = append(seen, r.Type)
		if len(r.Values) == 0 {
			return 0, fmt.Errorf("DataResources.Values of %s is empty", r.Type)
		}
		for j, v := range r.Values {
			if slices.Contains(r.Values[:j], v) {
				return 0, fmt.Errorf("value %s for DataResources.Values is there twice", v)
			}
			if everything(v, service) {
				continue
			}
			if !resourceARN(v, service) {
				return 0, fmt.Errorf("value %s for DataResources.Values is invalid", v)
			}
			n++
		}
	}
	return n, nil
}

// everything reports whether a value stands for all resources of a service.
func everything(v, service string) bool {
	parts := strings.SplitN(v, ":", 4)
	if len(parts) < 3 || parts[0] != "arn" || parts[2] != service {
		return false
	}
	return len(parts) == 3 || service == "s3" && parts[3] == "::"
}

// resourceARN reports whether a value names a resource of a service, or in S3 the objects of a bucket with a prefix.
func resourceARN(v, service string) bool {
	parts := strings.SplitN(v, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != service || strings.ContainsAny(v, "*?") {
		return false
	}
	switch service {
	case "s3":
		bucket, _, ok := strings.Cut(parts[5], "/")
		return ok && bucket != "" && parts[3] == "" && parts[4] == ""
	case "lambda":
		return strings.HasPrefix(parts[5], "function:") && len(parts[5]) > len("function:")
	default:
		return strings.HasPrefix(parts[5], "table/") && len(parts[5]) > len("table/")
	}
}

// Basic translates selectors that CheckBasic takes.
func Basic(selectors []BasicSelector) []Selector {
	var out []Selector
	for i := range selectors {
		s := &selectors[i]
		if s.Management {
			t := s.ReadWrite.category("Management")
			if len(s.Excluded) > 0 {
				t.Fields = append(t.Fields, Field{Field: "eventSource", NotEquals: s.Excluded})
			}
			out = append(out, t)
		}
		for _, r := range s.Data {
			t := s.ReadWrite.category("Data")
			t.Fields = append(t.Fields, Field{Field: "resources.type", Equals: []string{r.Type}})
			arn := Field{Field: "resources.ARN"}
			for _, v := range r.Values {
				if service := kinds[r.Type]; service == "s3" || everything(v, service) {
					arn.StartsWith = append(arn.StartsWith, v)
				} else {
					arn.Equals = append(arn.Equals, v)
				}
			}
			t.Fields = append(t.Fields, arn)
			out = append(out, t)
		}
	}
	return out
}

// category is a selector of a category's events that read, or write.
func (rw ReadWrite) category(name string) Selector {
	s := Selector{Fields: []Field{{Field: "eventCategory", Equals: []string{name}}}}
	switch rw {
	case ReadOnly:
		s.Fields = append(s.Fields, Field{Field: "readOnly", Equals: []string{"true"}})
	case WriteOnly:
		s.Fields = append(s.Fields, Field{Field: "readOnly", Equals: []string{"false"}})
	}
	return s
}
