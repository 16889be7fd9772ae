package logs

import (
	"encoding/hex"
	"io"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// breach is what CloudWatch Logs says of an input that breaks a constraint of its model.
func breach(e *wire.Error) wire.ModeledError {
	for _, member := range []string{"'logGroupName'", "'logStreamName'"} {
		if strings.Contains(e.Message, " at "+member+" failed to satisfy constraint: Member must have length less than or equal to 512") {
			return &logs.InvalidParameterException{Message: "Invalid LogGroup or LogStream, both must have length less than or equal to 512."}
		}
	}
	return &logs.InvalidParameterException{Message: e.Message}
}

func invalid(message string) error { return &logs.InvalidParameterException{Message: message} }

func noGroup() error {
	return &logs.ResourceNotFoundException{Message: "The specified log group does not exist."}
}

func noStream() error {
	return &logs.ResourceNotFoundException{Message: "The specified log stream does not exist."}
}

func limitExceeded() error {
	return &logs.LimitExceededException{Message: "Resource limit exceeded."}
}

// groupARN names a log group of an account and region, without the ":*" behind it that many places want.
func groupARN(s call.Scope, name string) string { return s.ARN("logs", "log-group:"+name) }

func streamARN(s call.Scope, group, stream string) string {
	return groupARN(s, group) + ":log-stream:" + stream
}

// groupOf reads the ARN of a log group, with or without ":*" behind it.
func groupOf(text string) (a arn.ARN, name string, ok bool) {
	a, err := arn.Parse(text)
	name, isGroup := strings.CutPrefix(a.Resource, "log-group:")
	name = strings.TrimSuffix(name, ":*")
	if err != nil || !isGroup || a.Service != "logs" || name == "" || strings.ContainsAny(name, ":*") {
		return arn.ARN{}, "", false
	}
	return a, name, true
}

// randomID tells apart what has had the same name.
func randomID(random io.Reader) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
