package secretsmanager

import (
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/call"
)

// The events of rotations: https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
const (
	eventStarted   = "RotationStarted"
	eventSucceeded = "RotationSucceeded"
	eventFailed    = "RotationFailed"
	eventAbandoned = "RotationAbandoned"
	trial          = "Test" // before the name, where nothing is rotated
)

// event is the name of an event of the attempt.
func (a *attempt) event(name string) string {
	if a.test {
		return trial + name
	}
	return name
}

// raise tells of the rotation of a secret to a version, and what failed if anything did.
func raise(c *call.Call, sec *secret, name, token, failure string) {
	data, err := json.Marshal(map[string]string{"SecretId": sec.arn})
	if err != nil {
		return // strings can be marshalled
	}
	c.Raise(call.Event{Name: name, Additional: data, ErrorMessage: failure, RequestID: "Rotation-" + sec.arn + "-" + token})
}
