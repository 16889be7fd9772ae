package apigen

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Reference is what the Service Authorization Reference says about one prefix of IAM actions.
type Reference struct {
	Prefix    string
	Actions   map[string]*Action // by lower-case name
	Resources map[string]ResourceType
}

// Action is an IAM action.
type Action struct {
	Name          string           `json:"name"`
	AccessLevel   string           `json:"accessLevel"` // may be composite: "Tagging, Write"
	ResourceTypes []ActionResource `json:"resourceTypes"`
	ConditionKeys []string         `json:"conditionKeys"`
}

// ActionResource is a resource type that an action is authorized on.
type ActionResource struct {
	Name          string   `json:"name"`
	Required      bool     `json:"required"`
	ConditionKeys []string `json:"conditionKeys"`
}

// ResourceType is a kind of resource.
type ResourceType struct {
	ARN           string   `json:"arn"`
	ConditionKeys []string `json:"conditionKeys"`
}

// ReadReference reads the reference of one prefix.
func ReadReference(folder, prefix string) (*Reference, error) {
	r := &Reference{Prefix: prefix}
	if err := readJSON(filepath.Join(folder, "actions", prefix+".json"), &r.Actions); err != nil {
		return nil, fmt.Errorf("IAM actions of %s: %w", prefix, err)
	}
	if err := readJSON(filepath.Join(folder, "resourceTypes", prefix+".json"), &r.Resources); err != nil {
		return nil, fmt.Errorf("IAM resource types of %s: %w", prefix, err)
	}
	return r, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// level is the access level; of a composite one the first part, which is the narrower.
func (a *Action) level() string {
	level, _, _ := strings.Cut(a.AccessLevel, ",")
	return level
}

// keys are the condition keys that the action or its resources bring, sorted.
func (a *Action) keys() []string {
	keys := slices.Clone(a.ConditionKeys)
	for _, r := range a.ResourceTypes {
		keys = append(keys, r.ConditionKeys...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
