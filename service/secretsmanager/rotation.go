package secretsmanager

import "time"

// rotation is how a secret is rotated.
type rotation struct {
	Enabled    bool
	Lambda     string    `json:",omitempty"` // ARN
	Days       int64     `json:",omitempty"` // AutomaticallyAfterDays
	Duration   string    `json:",omitempty"`
	Expression string    `json:",omitempty"`
	Last       time.Time `json:",omitzero"`
	Next       time.Time `json:",omitzero"`
}
