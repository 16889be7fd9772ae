package events

import (
	"slices"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbound"
)

// connectionSecrets is what a connection knows, and tells only in part. As JSON it is what AWS puts into the connection's secret.
type connectionSecrets struct {
	Username              string                           `json:"username,omitempty"` // BASIC
	Password              string                           `json:"password,omitempty"`
	KeyName               string                           `json:"api_key_name,omitempty"` // API_KEY
	KeyValue              string                           `json:"api_key_value,omitempty"`
	ClientID              string                           `json:"client_id,omitempty"` // OAUTH_CLIENT_CREDENTIALS
	ClientSecret          string                           `json:"client_secret,omitempty"`
	AuthorizationEndpoint string                           `json:"authorization_endpoint,omitempty"`
	AuthorizationMethod   events.ConnectionOAuthHttpMethod `json:"http_method,omitempty"`
	AuthorizationRequest  *connectionParameters            `json:"oauth_http_parameters,omitempty"`      // what requests for tokens get beside
	Invocation            *connectionParameters            `json:"invocation_http_parameters,omitempty"` // what requests to API destinations get beside
}

// connectionParameters are added to requests.
type connectionParameters struct {
	Header []connectionParameter `json:"header_parameters,omitempty"`
	Query  []connectionParameter `json:"query_string_parameters,omitempty"`
	Body   []connectionParameter `json:"body_parameters,omitempty"`
}

type connectionParameter struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Secret bool   `json:"is_value_secret"`
}

// take sets what the parameters of a request say.
func (x *connectionSecrets) take(in *events.CreateConnectionAuthRequestParameters) {
	if b := in.BasicAuthParameters; b != nil {
		x.Username, x.Password = optional.Value(b.Username), optional.Value(b.Password)
	}
	if k := in.ApiKeyAuthParameters; k != nil {
		x.KeyName, x.KeyValue = optional.Value(k.ApiKeyName), optional.Value(k.ApiKeyValue)
	}
	if o := in.OAuthParameters; o != nil {
		x.AuthorizationEndpoint, x.AuthorizationMethod = optional.Value(o.AuthorizationEndpoint), o.HttpMethod
		if o.ClientParameters != nil {
			x.ClientID, x.ClientSecret = optional.Value(o.ClientParameters.ClientID), optional.Value(o.ClientParameters.ClientSecret)
		}
		if o.OAuthHttpParameters != nil {
			x.AuthorizationRequest = parametersOf(o.OAuthHttpParameters)
		}
	}
	if in.InvocationHttpParameters != nil {
		x.Invocation = parametersOf(in.InvocationHttpParameters)
	}
}

// change sets what the parameters of a request say, and leaves the rest.
func (x *connectionSecrets) change(in *events.UpdateConnectionAuthRequestParameters) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	if b := in.BasicAuthParameters; b != nil {
		set(&x.Username, b.Username)
		set(&x.Password, b.Password)
	}
	if k := in.ApiKeyAuthParameters; k != nil {
		set(&x.KeyName, k.ApiKeyName)
		set(&x.KeyValue, k.ApiKeyValue)
	}
	if o := in.OAuthParameters; o != nil {
		set(&x.AuthorizationEndpoint, o.AuthorizationEndpoint)
		if o.HttpMethod != "" {
			x.AuthorizationMethod = o.HttpMethod
		}
		if o.ClientParameters != nil {
			set(&x.ClientID, o.ClientParameters.ClientID)
			set(&x.ClientSecret, o.ClientParameters.ClientSecret)
		}
		if o.OAuthHttpParameters != nil {
			x.AuthorizationRequest = parametersOf(o.OAuthHttpParameters)
		}
	}
	if in.InvocationHttpParameters != nil {
		x.Invocation = parametersOf(in.InvocationHttpParameters)
	}
}

// check refuses what is not enough for a type of authorization, and forgets what belongs to others.
func (x *connectionSecrets) check(kind events.ConnectionAuthorizationType) error {
	switch kind {
	case events.ConnectionAuthorizationTypeBasic:
		if x.Username == "" || x.Password == "" {
			return badParameter("AuthParameters", "BasicAuthParameters are required for authorization type BASIC.")
		}
		*x = connectionSecrets{Username: x.Username, Password: x.Password, Invocation: x.Invocation}
	case events.ConnectionAuthorizationTypeApiKey:
		if x.KeyName == "" || x.KeyValue == "" {
			return badParameter("AuthParameters", "ApiKeyAuthParameters are required for authorization type API_KEY.")
		}
		*x = connectionSecrets{KeyName: x.KeyName, KeyValue: x.KeyValue, Invocation: x.Invocation}
	case events.ConnectionAuthorizationTypeOauthClientCredentials:
		if x.ClientID == "" || x.ClientSecret == "" || x.AuthorizationEndpoint == "" || x.AuthorizationMethod == "" {
			return badParameter("AuthParameters", "OAuthParameters are required for authorization type OAUTH_CLIENT_CREDENTIALS.")
		}
		if outbound.CheckURL(x.AuthorizationEndpoint) != nil {
			return badParameter("AuthorizationEndpoint", "Must be a valid URL.")
		}
		x.Username, x.Password, x.KeyName, x.KeyValue = "", "", "", ""
	}
	return nil
}

func parametersOf(in *events.ConnectionHttpParameters) *connectionParameters {
	p := &connectionParameters{}
	for _, h := range in.HeaderParameters {
		p.Header = append(p.Header, connectionParameter{optional.Value(h.Key), optional.Value(h.Value), optional.Value(h.IsValueSecret)})
	}
	for _, q := range in.QueryStringParameters {
		p.Query = append(p.Query, connectionParameter{optional.Value(q.Key), optional.Value(q.Value), optional.Value(q.IsValueSecret)})
	}
	for _, b := range in.BodyParameters {
		p.Body = append(p.Body, connectionParameter{optional.Value(b.Key), optional.Value(b.Value), optional.Value(b.IsValueSecret)})
	}
	return p
}

// public is what may be told of the secrets.
func (x *connectionSecrets) public() *connectionSecrets {
	p := *x
	p.Password, p.KeyValue, p.ClientSecret = "", "", ""
	p.AuthorizationRequest, p.Invocation = x.AuthorizationRequest.public(), x.Invocation.public()
	return &p
}

// public is the parameters without the values that are secret.
func (p *connectionParameters) public() *connectionParameters {
	if p == nil {
		return nil
	}
	without := func(list []connectionParameter) []connectionParameter {
		list = slices.Clone(list)
		for i := range list {
			if list[i].Secret {
				list[i].Value = ""
			}
		}
		return list
	}
	return &connectionParameters{without(p.Header), without(p.Query), without(p.Body)}
}

// show is the parameters without the values that are secret.
func (p *connectionParameters) show() *events.ConnectionHttpParameters {
	if p == nil {
		return nil
	}
	out := &events.ConnectionHttpParameters{}
	value := func(x connectionParameter) *string {
		if x.Secret {
			return nil
		}
		return &x.Value
	}
	for _, x := range p.Header {
		out.HeaderParameters = append(out.HeaderParameters, events.ConnectionHeaderParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	for _, x := range p.Query {
		out.QueryStringParameters = append(out.QueryStringParameters, events.ConnectionQueryStringParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	for _, x := range p.Body {
		out.BodyParameters = append(out.BodyParameters, events.ConnectionBodyParameter{Key: &x.Key, Value: value(x), IsValueSecret: &x.Secret})
	}
	return out
}

// show is what is told of the secrets.
func (x *connectionSecrets) show() *events.ConnectionAuthResponseParameters {
	out := &events.ConnectionAuthResponseParameters{InvocationHttpParameters: x.Invocation.show()}
	switch {
	case x.Username != "":
		out.BasicAuthParameters = &events.ConnectionBasicAuthResponseParameters{Username: &x.Username}
	case x.KeyName != "":
		out.ApiKeyAuthParameters = &events.ConnectionApiKeyAuthResponseParameters{ApiKeyName: &x.KeyName}
	case x.ClientID != "":
		out.OAuthParameters = &events.ConnectionOAuthResponseParameters{
			ClientParameters:      &events.ConnectionOAuthClientResponseParameters{ClientID: &x.ClientID},
			AuthorizationEndpoint: &x.AuthorizationEndpoint, HttpMethod: x.AuthorizationMethod, OAuthHttpParameters: x.AuthorizationRequest.show(),
		}
	}
	return out
}
