package lambda

import (
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// layerType is what versions of layers are in audit records.
const layerType = "AWS::Lambda::LayerVersion"

// layerName is what names a layer, or a version of it.
type layerName struct {
	account, region string
	layer           string
	number          uint64 // 0 is no version
}

// place is where the layer is.
func (n layerName) place() name { return name{account: n.account, region: n.region} }

// arn is the layer's, and with a version that one's.
func (n layerName) arn(c *call.Call) string {
	a := call.Scope{Partition: c.Scope.Partition, Account: n.account, Region: n.region}.ARN("lambda", "layer:"+n.layer)
	if n.number > 0 {
		a += ":" + strconv.FormatUint(n.number, 10)
	}
	return a
}

// parseLayerARN takes the ARN of a layer apart, or that of a version of one.
func parseLayerARN(text string) (n layerName, ok bool) {
	a, err := arn.Parse(text)
	parts := strings.Split(a.Resource, ":")
	if err != nil || a.Service != "lambda" || parts[0] != "layer" || len(parts) < 2 || len(parts) > 3 || parts[1] == "" || !isAccount(a.Account) || a.Region == "" {
		return n, false
	}
	n = layerName{account: a.Account, region: a.Region, layer: parts[1]}
	if len(parts) == 3 {
		n.number, err = strconv.ParseUint(parts[2], 10, 63)
		ok = err == nil && n.number > 0
		return n, ok
	}
	return n, true
}

// parseLayer is a layer by its name or ARN, and a version of it.
func parseLayer(c *call.Call, text *string, number *int64) (layerName, error) {
	n := layerName{account: c.Scope.Account, region: c.Scope.Region, layer: optional.Value(text)}
	if strings.HasPrefix(n.layer, "arn:") {
		var ok bool
		if n, ok = parseLayerARN(n.layer); !ok || n.number > 0 {
			return n, invalid("Layer name or ARN is invalid: %s", optional.Value(text))
		}
		if n.region != c.Scope.Region {
			return n, notFound("Layers from '%s' are not reachable in this region ('%s')", n.region, c.Scope.Region)
		}
	}
	if number != nil {
		if *number < 1 {
			return n, invalid("Layer Version Cannot be less than 1")
		}
		n.number = uint64(*number)
	}
	return n, nil
}

// layerVersion finds a version of a layer and asks for an action on it. It is nil if it is not there.
func (s *Service) layerVersion(c *call.Call, n layerName, action string) (*layerVersionRecord, error) {
	l, err := get(c, layerVersionTable, n.place(), n.layer, n.number)
	if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: n.arn(c), Account: n.account, Type: layerType}
	if l != nil && l.Policy != "" && action == "lambda:GetLayerVersion" {
		if r.Policy, err = s.policies.Get(c.Context, l.Policy, l.Pins); err != nil {
			return nil, err
		}
	}
	return l, c.AuthorizeAction(action, r)
}

// thereLayer is layerVersion for the operation's own action on what has to be there.
func (s *Service) thereLayer(c *call.Call, n layerName) (*layerVersionRecord, error) {
	l, err := s.layerVersion(c, n, c.Op.Action)
	if err == nil && l == nil {
		err = notFound("Layer version %s does not exist.", n.arn(c))
	}
	return l, err
}

// PublishLayerVersion makes a version of a layer, and the layer with its first.
func (s *Service) PublishLayerVersion(c *call.Call, in *lambda.PublishLayerVersionRequest) (_ *lambda.PublishLayerVersionResponse, err error) {
	n, err := parseLayer(c, in.LayerName, nil)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(&call.Resource{ARN: n.arn(c), Account: n.account, Type: layerType}); err != nil {
		return nil, err
	}
	if err := s.isolated(c); err != nil {
		return nil, err
	}
	archive, unzipped, err := s.read(c, source{in.Content.ZipFile, in.Content.S3Bucket, in.Content.S3Key, in.Content.S3ObjectVersion, in.Content.S3ObjectStorageMode})
	if err != nil {
		return nil, err
	}
	layer, err := get(c, layerTable, n.place(), n.layer)
	if err != nil {
		return nil, err
	}
	if layer == nil {
		layer = &layerRecord{Name: n.layer}
	}
	layer.Published++
	l := &layerVersionRecord{
		Layer: n.layer, Number: layer.Published, Created: c.Time, Description: optional.Value(in.Description), License: optional.Value(in.LicenseInfo),
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures,
	}
	if l.Code, err = s.keep(c, archive, unzipped); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.drop(c, l.Code)
		}
	}()
	if err := layerTable.In(n.account, n.region).Put(c.Tx(), layer); err != nil {
		return nil, err
	}
	if err := layerVersionTable.In(n.account, n.region).Insert(c.Tx(), l); err != nil {
		return nil, err
	}
	n.number = l.Number
	out, err := s.layerShape(c, n, l)
	return (*lambda.PublishLayerVersionResponse)(out), err
}

// layerShape tells of a version of a layer, with where its archive is.
func (s *Service) layerShape(c *call.Call, n layerName, l *layerVersionRecord) (*lambda.GetLayerVersionResponse, error) {
	location, err := s.location(c, l.Code.Blob)
	if err != nil {
		return nil, err
	}
	item := l.item(c, n)
	n.number = 0
	return &lambda.GetLayerVersionResponse{
		Content:  &lambda.LayerVersionContentOutput{Location: &location, CodeSha256: &l.Code.Sum, CodeSize: &l.Code.Size},
		LayerArn: new(n.arn(c)), LayerVersionArn: item.LayerVersionArn, Description: item.Description, CreatedDate: item.CreatedDate, Version: item.Version,
		CompatibleArchitectures: item.CompatibleArchitectures, CompatibleRuntimes: item.CompatibleRuntimes, LicenseInfo: item.LicenseInfo,
	}, nil
}

// item is a version of a layer in a listing.
func (l *layerVersionRecord) item(c *call.Call, n layerName) lambda.LayerVersionsListItem {
	n.number = l.Number
	return lambda.LayerVersionsListItem{
		LayerVersionArn: new(n.arn(c)), Version: new(int64(l.Number)), Description: &l.Description, CreatedDate: stamp(l.Created),
		CompatibleArchitectures: l.Architectures, CompatibleRuntimes: l.Runtimes, LicenseInfo: optional.NonZero(l.License),
	}
}

// suits reports whether a version of a layer is for a runtime and an architecture, where those are asked for.
func (l *layerVersionRecord) suits(runtime lambda.Runtime, architecture lambda.Architecture) bool {
	return (runtime == "" || slices.Contains(l.Runtimes, runtime)) && (architecture == "" || slices.Contains(l.Architectures, architecture))
}

// GetLayerVersion tells of a version of a layer.
func (s *Service) GetLayerVersion(c *call.Call, in *lambda.GetLayerVersionRequest) (*lambda.GetLayerVersionResponse, error) {
	n, err := parseLayer(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return s.getLayer(c, n)
}

// GetLayerVersionByArn is GetLayerVersion by the ARN of the version.
func (s *Service) GetLayerVersionByArn(c *call.Call, in *lambda.GetLayerVersionByArnRequest) (*lambda.GetLayerVersionResponse, error) {
	n, ok := parseLayerARN(*in.Arn)
	if !ok || n.number == 0 || n.region != c.Scope.Region {
		return nil, invalid("%s is not the ARN of a version of a layer in this region ('%s').", *in.Arn, c.Scope.Region)
	}
	return s.getLayer(c, n)
}

func (s *Service) getLayer(c *call.Call, n layerName) (*lambda.GetLayerVersionResponse, error) {
	l, err := s.layerVersion(c, n, "lambda:GetLayerVersion")
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, notFound("The resource you requested does not exist.")
	}
	return s.layerShape(c, n, l)
}

// ListLayerVersions lists the versions of a layer, the last one first.
func (s *Service) ListLayerVersions(c *call.Call, in *lambda.ListLayerVersionsRequest) (*lambda.ListLayerVersionsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	n, err := parseLayer(c, in.LayerName, nil)
	if err != nil {
		return nil, err
	}
	if n.account != c.Scope.Account {
		return nil, c.Refuse(c.Op.Action, "on resource: "+n.arn(c)+" because layers are listed in one's own account")
	}
	q := store.Query{Prefix: store.Key{n.layer}, Reverse: true}
	versions, next, err := page(c, layerVersionTable, n.place(), q, in.Marker, in.MaxItems, filterOf(in.CompatibleRuntime, in.CompatibleArchitecture), func(l *layerVersionRecord) bool {
		return l.suits(in.CompatibleRuntime, in.CompatibleArchitecture)
	})
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayerVersionsResponse{LayerVersions: []lambda.LayerVersionsListItem{}, NextMarker: next}
	for _, l := range versions {
		out.LayerVersions = append(out.LayerVersions, l.item(c, n))
	}
	return out, nil
}

func filterOf(r lambda.Runtime, a lambda.Architecture) string { return string(r) + "/" + string(a) }

// ListLayers lists the layers of an account in a region by their names, each with its last version that suits.
func (s *Service) ListLayers(c *call.Call, in *lambda.ListLayersRequest) (*lambda.ListLayersResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	here := name{account: c.Scope.Account, region: c.Scope.Region}
	last := make(map[string]*layerVersionRecord)
	var failed error
	layers, next, err := page(c, layerTable, here, store.Query{}, in.Marker, in.MaxItems, filterOf(in.CompatibleRuntime, in.CompatibleArchitecture), func(l *layerRecord) bool {
		for v, err := range layerVersionTable.In(here.account, here.region).Scan(c.Tx(), store.Query{Prefix: store.Key{l.Name}, Reverse: true}) {
			if err != nil {
				failed = err
				return false
			}
			if v.suits(in.CompatibleRuntime, in.CompatibleArchitecture) {
				last[l.Name] = v
				return true
			}
		}
		return false
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayersResponse{Layers: []lambda.LayersListItem{}, NextMarker: next}
	for _, l := range layers {
		n := layerName{account: here.account, region: here.region, layer: l.Name}
		out.Layers = append(out.Layers, lambda.LayersListItem{LayerName: &l.Name, LayerArn: new(n.arn(c)), LatestMatchingVersion: new(last[l.Name].item(c, n))})
	}
	return out, nil
}

// DeleteLayerVersion deletes a version of a layer; that there is none is no error. Functions that have it keep it.
func (s *Service) DeleteLayerVersion(c *call.Call, in *lambda.DeleteLayerVersionRequest) (*lambda.DeleteLayerVersionResponse, error) {
	n, err := parseLayer(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	l, err := s.layerVersion(c, n, c.Op.Action)
	if err != nil || l == nil {
		return &lambda.DeleteLayerVersionResponse{}, err
	}
	if err := layerVersionTable.In(n.account, n.region).Delete(c.Tx(), n.layer, n.number); err != nil {
		return nil, err
	}
	return &lambda.DeleteLayerVersionResponse{}, s.free(c, l.Code.Blob)
}
