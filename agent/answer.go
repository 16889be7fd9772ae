package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote"
)

// refusal is an answer that is no value.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return r.body }

// contentType: the agent's own refusals are a few words, and the services' are JSON.
func (r *refusal) contentType() string {
	if strings.HasPrefix(r.body, "{") {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// failed turns an error of a service into the answer, in the form in which the service itself would have told it.
func (a *Agent) failed(ctx context.Context, err error) *refusal {
	f := remote.Judge(err)
	if f.Code == "" {
		if ctx.Err() == nil {
			a.cfg.Log.Error("a value could not be fetched", "cause", err.Error())
		}
		return &refusal{500, `{"__type":"InternalFailure"}`}
	}
	body, err := asJSON(struct {
		Type    string `json:"__type"`
		Message string `json:"message,omitempty"`
	}{f.Code, f.Message})
	if err != nil {
		return &refusal{500, `{"__type":"InternalFailure"}`}
	}
	return &refusal{f.Status, string(body)}
}

func (a *Agent) secret(ctx context.Context, q query) ([]byte, error) {
	client, err := a.cfg.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	in := &secretsmanager.GetSecretValueRequest{SecretId: new(q.id)}
	if q.version != "" {
		in.VersionId = new(q.version)
	}
	if q.stage != "" {
		in.VersionStage = new(q.stage)
	}
	out, err := client.GetSecretValue(&call.Call{Context: ctx}, in)
	if err != nil {
		return nil, err
	}
	if out.VersionId == nil {
		return nil, errors.New("the secret came without a version")
	}
	return asJSON(secretAnswer{out.ARN, out.Name, out.VersionId, out.SecretString, out.SecretBinary, out.VersionStages, seconds(out.CreatedDate)})
}

// secretAnswer is GetSecretValue's, but for the date, which the AWS agent gives as a text.
type secretAnswer struct {
	ARN           *string
	Name          *string
	VersionId     *string
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   *string
}

func seconds(t *time.Time) *string {
	if t == nil {
		return nil
	}
	return new(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64))
}

func (a *Agent) parameter(ctx context.Context, q query) ([]byte, error) {
	client, err := a.cfg.Parameters(ctx)
	if err != nil {
		return nil, err
	}
	name := q.id
	if selector := q.version + q.stage; selector != "" {
		name += ":" + selector
	}
	out, err := client.GetParameter(&call.Call{Context: ctx}, &ssm.GetParameterRequest{Name: new(name), WithDecryption: new(q.decrypt)})
	if err != nil {
		return nil, err
	}
	if out.Parameter == nil {
		return nil, errors.New("the answer has no parameter")
	}
	p := out.Parameter
	return asJSON(parameterAnswer{Parameter: parameterValue{p.ARN, p.DataType, p.LastModifiedDate, p.Name, p.Selector, p.SourceResult, string(p.Type), p.Value, p.Version}})
}

// parameterAnswer is as the AWS Parameters and Secrets Lambda Extension writes it.
type parameterAnswer struct {
	Parameter      parameterValue
	ResultMetadata struct{}
}

type parameterValue struct {
	ARN              *string
	DataType         *string
	LastModifiedDate *time.Time
	Name             *string
	Selector         *string
	SourceResult     *string
	Type             string
	Value            *string
	Version          *int64
}

// asJSON is json.Marshal that leaves <, > and & of values as they are.
func asJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
