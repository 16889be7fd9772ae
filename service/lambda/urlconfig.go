package lambda

import (
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// urlNamed finds what a request about a URL names, and its URL, which need not be there. authType is what the request asks for, "" where it asks for none.
func (s *Service) urlNamed(c *call.Call, function, qualifier *string, authType lambda.FunctionUrlAuthType) (*target, *urlRecord, error) {
	var u *urlRecord
	t, err := s.named(c, function, qualifier, func(t *target, r *call.Resource) (err error) {
		if u, err = get(c, urlTable, t.name, t.name.function, t.qualifier); err != nil {
			return err
		}
		if authType == "" && u != nil {
			authType = lambda.FunctionUrlAuthType(u.AuthType)
		}
		set(r, "lambda:functionurlauthtype", string(authType))
		set(r, "lambda:functionarn", t.asked)
		return nil
	})
	if isNotFound(err) {
		return nil, nil, notFound("Function does not exist")
	}
	if err != nil {
		return nil, nil, err
	}
	if t.qualifier != "" && t.alias == nil {
		return nil, nil, invalid("A function URL is that of a function or of an alias, not of a version: %s", t.asked)
	}
	return t, u, nil
}

// withURL is urlNamed for a URL that has to be there.
func (s *Service) withURL(c *call.Call, function, qualifier *string, authType lambda.FunctionUrlAuthType) (*target, *urlRecord, error) {
	t, u, err := s.urlNamed(c, function, qualifier, authType)
	if isNotFound(err) || err == nil && u == nil {
		return nil, nil, notFound("The resource you requested does not exist.")
	}
	return t, u, err
}

// shape tells of a URL.
func (u *urlRecord) shape(s *Service) *lambda.FunctionUrlConfig {
	scope := call.Scope{Partition: s.cfg.Partition, Account: u.Account, Region: u.Region}
	return &lambda.FunctionUrlConfig{
		FunctionUrl: new(s.cfg.FunctionURL(u.Region, u.ID)), FunctionArn: new(functionARN(scope, u.Function, u.Qualifier)), AuthType: lambda.FunctionUrlAuthType(u.AuthType),
		Cors: u.CORS, CreationTime: stamp(u.Created), LastModifiedTime: stamp(u.Modified), InvokeMode: lambda.InvokeMode(u.Mode),
	}
}

// newURLID is the first label of the host of a URL: 32 letters and digits.
func newURLID(c *call.Call) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567" // 32 of them, so that none is likelier
	var b [32]byte
	if _, err := io.ReadFull(c.Rand, b[:]); err != nil {
		return "", err
	}
	var id strings.Builder
	for _, x := range b {
		id.WriteByte(letters[x&31])
	}
	return id.String(), nil
}

// checkCORS refuses what no web page may be told.
func checkCORS(cors *lambda.Cors) error {
	if cors == nil {
		return nil
	}
	for _, o := range cors.AllowOrigins {
		if o != "*" && !strings.HasPrefix(o, "http://") && !strings.HasPrefix(o, "https://") {
			return invalid("Invalid origin in AllowOrigins: %s", o)
		}
	}
	return nil
}

// CreateFunctionUrlConfig gives a function or an alias a URL.
func (s *Service) CreateFunctionUrlConfig(c *call.Call, in *lambda.CreateFunctionUrlConfigRequest) (*lambda.CreateFunctionUrlConfigResponse, error) {
	t, u, err := s.urlNamed(c, in.FunctionName, in.Qualifier, in.AuthType)
	if err != nil {
		return nil, err
	}
	if u != nil {
		return nil, conflict("Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", t.asked)
	}
	if err := checkCORS(in.Cors); err != nil {
		return nil, err
	}
	u = &urlRecord{
		Function: t.function.Name, Qualifier: t.qualifier, Account: t.account, Region: t.region, AuthType: string(in.AuthType), Mode: string(lambda.InvokeModeBuffered),
		CORS: in.Cors, Created: c.Time, Modified: c.Time,
	}
	if in.InvokeMode != "" {
		u.Mode = string(in.InvokeMode)
	}
	if u.ID, err = newURLID(c); err != nil {
		return nil, err
	}
	if err := urlTable.In(t.account, t.region).Insert(c.Tx(), u); err != nil {
		return nil, fmt.Errorf("making a URL of %s: %w", t.asked, err)
	}
	told := u.shape(s)
	return &lambda.CreateFunctionUrlConfigResponse{
		FunctionUrl: told.FunctionUrl, FunctionArn: told.FunctionArn, AuthType: told.AuthType, Cors: told.Cors, CreationTime: told.CreationTime, InvokeMode: told.InvokeMode,
	}, nil
}

// GetFunctionUrlConfig tells of the URL of a function or an alias.
func (s *Service) GetFunctionUrlConfig(c *call.Call, in *lambda.GetFunctionUrlConfigRequest) (*lambda.GetFunctionUrlConfigResponse, error) {
	_, u, err := s.withURL(c, in.FunctionName, in.Qualifier, "")
	if err != nil {
		return nil, err
	}
	told := u.shape(s)
	return &lambda.GetFunctionUrlConfigResponse{
		FunctionUrl: told.FunctionUrl, FunctionArn: told.FunctionArn, AuthType: told.AuthType, Cors: told.Cors, CreationTime: told.CreationTime,
		LastModifiedTime: told.LastModifiedTime, InvokeMode: told.InvokeMode,
	}, nil
}

// UpdateFunctionUrlConfig changes a URL, which stays where it is. What the request leaves out stays, too.
func (s *Service) UpdateFunctionUrlConfig(c *call.Call, in *lambda.UpdateFunctionUrlConfigRequest) (*lambda.UpdateFunctionUrlConfigResponse, error) {
	t, u, err := s.withURL(c, in.FunctionName, in.Qualifier, in.AuthType)
	if err != nil {
		return nil, err
	}
	if err := checkCORS(in.Cors); err != nil {
		return nil, err
	}
	if in.AuthType != "" {
		u.AuthType = string(in.AuthType)
	}
	if in.InvokeMode != "" {
		u.Mode = string(in.InvokeMode)
	}
	if in.Cors != nil {
		u.CORS = in.Cors
	}
	u.Modified = c.Time
	if err := urlTable.In(t.account, t.region).Put(c.Tx(), u); err != nil {
		return nil, err
	}
	told := u.shape(s)
	return &lambda.UpdateFunctionUrlConfigResponse{
		FunctionUrl: told.FunctionUrl, FunctionArn: told.FunctionArn, AuthType: told.AuthType, Cors: told.Cors, CreationTime: told.CreationTime,
		LastModifiedTime: told.LastModifiedTime, InvokeMode: told.InvokeMode,
	}, nil
}

// DeleteFunctionUrlConfig takes a URL away. It does not come back.
func (s *Service) DeleteFunctionUrlConfig(c *call.Call, in *lambda.DeleteFunctionUrlConfigRequest) (*lambda.DeleteFunctionUrlConfigResponse, error) {
	t, u, err := s.withURL(c, in.FunctionName, in.Qualifier, "")
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionUrlConfigResponse{}, urlTable.In(t.account, t.region).Delete(c.Tx(), u.Function, u.Qualifier)
}

// ListFunctionUrlConfigs lists the URLs of a function and its aliases.
func (s *Service) ListFunctionUrlConfigs(c *call.Call, in *lambda.ListFunctionUrlConfigsRequest) (*lambda.ListFunctionUrlConfigsResponse, error) {
	t, err := s.unqualified(c, in.FunctionName)
	if isNotFound(err) {
		err = notFound("Function does not exist")
	}
	if err != nil {
		return nil, err
	}
	records, next, err := page(c, urlTable, t.name, store.Query{Prefix: store.Key{t.function.Name}}, in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionUrlConfigsResponse{FunctionUrlConfigs: []lambda.FunctionUrlConfig{}, NextMarker: next}
	for _, u := range records {
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, *u.shape(s))
	}
	return out, nil
}
