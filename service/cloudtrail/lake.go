package cloudtrail

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The limits of event data stores.
const (
	eventStorePrefix = "eventdatastore/" // of IDs in ARNs

	maxEventStores = 10 // of an account in a region, those that wait for their deletion included
	eventStorePage = 1000

	minRetention          = 7 // days
	maxRetention          = 3653
	maxFixedRetention     = 2557
	defaultRetention      = 366
	defaultFixedRetention = 2557
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// eventStoreID takes the ID out of an ARN or an ID suffix, and the account out of the ARN.
func eventStoreID(c *call.Call, name string) (account, id string, err error) {
	account, id = c.Scope.Account, name
	if arn.Is(name) {
		a, err := arn.Parse(name)
		if err != nil || a.Partition != c.Scope.Partition || a.Service != "cloudtrail" || a.Region != c.Scope.Region || a.ResourceType() != "eventdatastore" {
			return "", "", badEventStore(name)
		}
		account, id = a.Account, a.ResourceID()
	}
	if !uuidPattern.MatchString(id) {
		return "", "", badEventStore(name)
	}
	return account, id, nil
}

func badEventStore(name string) error {
	return &cloudtrail.EventDataStoreARNInvalidException{Message: "The event data store ARN " + name + " is not valid."}
}

func noEventStore(name string) error {
	return &cloudtrail.EventDataStoreNotFoundException{Message: "The event data store " + name + " was not found."}
}

func inactive(d *eventStoreRecord) error {
	return &cloudtrail.InactiveEventDataStoreException{Message: "The event data store " + d.ID + " is inactive: it is pending deletion."}
}

// eventStore finds an event data store by its ARN or ID, and asks for permission to do the call's operation on it.
func (s *Service) eventStore(c *call.Call, name string) (*eventStoreRecord, error) {
	account, id, err := eventStoreID(c, name)
	if err != nil {
		return nil, err
	}
	return s.eventStoreOf(c, account, id)
}

// eventStoreOf is eventStore for a store of an account. Those of an organization belong to its management account, and its delegated administrators have them as their own.
func (s *Service) eventStoreOf(c *call.Call, account, id string) (*eventStoreRecord, error) {
	d, err := eventStoreTable.In(account, c.Scope.Region).Get(c.Tx(), id)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	scope := c.Scope
	scope.Account = account
	name := scope.ARN("cloudtrail", eventStorePrefix+id)
	r, err := s.resource(c, account, name, aStore)
	if err != nil {
		return nil, err
	}
	if account != c.Scope.Account && d != nil && d.Organization != "" {
		o, err := membership(c)
		if err != nil {
			return nil, err
		}
		if o != nil && o.ID == d.Organization && o.mayManage(c) == nil {
			r.Account = ""
		}
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if d == nil {
		return nil, noEventStore(name)
	}
	return d, nil
}

// resource is an event data store or a channel as permission is asked for it, with its tags and its policy.
func (s *Service) resource(c *call.Call, account, name string, k kind) (r *call.Resource, err error) {
	r = &call.Resource{ARN: name, Account: account, Type: k.audited()}
	if r.Tags, err = tagsOf(c.Tx(), account, c.Scope.Region, name); err != nil {
		return nil, err
	}
	r.Policy, err = s.resourcePolicy(c.Context, c.Tx(), account, c.Scope.Region, name)
	return r, err
}

// lakeHolds reports whether a channel or an event data store is there.
func lakeHolds(c *call.Call, th thing) (bool, error) {
	var err error
	if th.kind == aChannel {
		_, err = channelTable.In(th.account, th.region).Get(c.Tx(), th.id)
	} else {
		_, err = eventStoreTable.In(th.account, th.region).Get(c.Tx(), th.id)
	}
	return err == nil, store.IgnoreNotFound(err)
}

// dropTrimmings removes the tags and the policy of what is deleted.
func dropTrimmings(c *call.Call, account, region, arn string) error {
	if err := putTags(c.Tx(), account, region, arn, nil); err != nil {
		return err
	}
	return dropPolicy(c.Tx(), account, region, arn)
}

// CreateEventDataStore makes an event data store, which takes events at once if nobody says otherwise.
func (s *Service) CreateEventDataStore(c *call.Call, in *cloudtrail.CreateEventDataStoreRequest) (*cloudtrail.CreateEventDataStoreResponse, error) {
	d := &eventStoreRecord{
		Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Name: *in.Name, Created: c.Time, Updated: c.Time,
		Status: cloudtrail.EventDataStoreStatusEnabled, MultiRegion: truth(in.MultiRegionEnabled, true), Protected: truth(in.TerminationProtectionEnabled, true),
		Billing: in.BillingMode,
	}
	tags, err := tagMap(nil, in.TagsList)
	if err != nil {
		return nil, err
	}
	if err := s.ask(c, aStore.audited(), d.Account, d.arn(c.Scope.Partition), nil, tags, nil); err != nil {
		return nil, err
	}
	if d.Billing == "" {
		d.Billing = cloudtrail.BillingModeExtendableRetentionPricing
	}
	if err := d.retain(in.RetentionPeriod); err != nil {
		return nil, err
	}
	if err := d.choose(c.Op, in.AdvancedEventSelectors); err != nil {
		return nil, err
	}
	if truth(in.OrganizationEnabled, false) {
		if err := d.organize(c); err != nil {
			return nil, err
		}
	}
	rows := eventStoreTable.In(d.Account, d.Region)
	if n, err := rows.Count(c.Tx(), store.Query{}); err != nil {
		return nil, err
	} else if n >= maxEventStores {
		return nil, tooManyEventStores()
	}
	if in.KmsKeyId != nil {
		if err := s.encryptUnder(c, d, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	if !truth(in.StartIngestion, true) && d.fromTrail() {
		d.Status = cloudtrail.EventDataStoreStatusStoppedIngestion
	} else if err := s.begin(c, d); err != nil {
		return nil, err
	}
	if err := insertNamed(rows, c.Tx(), d); err != nil {
		return nil, err
	}
	if err := putTags(c.Tx(), d.Account, d.Region, d.arn(c.Scope.Partition), tags); err != nil {
		return nil, err
	}
	if err := c.At(c.Time.Add(day), call.Scope{Account: d.Account, Region: d.Region}, retentionTimer, d.ID, nil); err != nil {
		return nil, err
	}
	show := d.show(c.Scope.Partition)
	return &cloudtrail.CreateEventDataStoreResponse{
		EventDataStoreArn: show.EventDataStoreArn, Name: show.Name, Status: cloudtrail.EventDataStoreStatusCreated, AdvancedEventSelectors: show.AdvancedEventSelectors,
		MultiRegionEnabled: show.MultiRegionEnabled, OrganizationEnabled: show.OrganizationEnabled, RetentionPeriod: show.RetentionPeriod,
		TerminationProtectionEnabled: show.TerminationProtectionEnabled, TagsList: in.TagsList, CreatedTimestamp: &d.Created, UpdatedTimestamp: &d.Updated,
		KmsKeyId: show.KmsKeyId, BillingMode: d.Billing,
	}, nil
}

// organize has the store take the events of the caller's organization, whose management account it belongs to then.
func (d *eventStoreRecord) organize(c *call.Call) error {
	if !d.fromTrail() {
		return &cloudtrail.InvalidParameterException{Message: "Only event data stores of management and data events can be an organization's."}
	}
	o, err := forTrail(c)
	if err != nil {
		return err
	}
	if d.Account != o.Management && d.Organization == "" && !d.Created.Equal(c.Time) {
		return &cloudtrail.OperationNotPermittedException{Message: "An event data store of a member account cannot become the organization's."}
	}
	d.Account, d.Organization = o.Management, o.ID
	return nil
}

// lakeBreach is breach for what only the operations of CloudTrail Lake take.
func lakeBreach(e *wire.Error) wire.ModeledError {
	at := func(members ...string) bool {
		return slices.ContainsFunc(members, func(m string) bool { return strings.Contains(e.Message, "at '"+m) })
	}
	switch {
	case at("eventDataStore'"):
		return &cloudtrail.EventDataStoreARNInvalidException{Message: e.Message}
	case at("channel'"):
		return &cloudtrail.ChannelARNInvalidException{Message: e.Message}
	case at("source'"):
		return &cloudtrail.InvalidSourceException{Message: e.Message}
	case at("queryStatement'"):
		return &cloudtrail.InvalidQueryStatementException{Message: e.Message}
	case at("kmsKeyId'"):
		return &cloudtrail.InvalidKmsKeyIdException{Message: e.Message}
	case at("nextToken'"):
		return &cloudtrail.InvalidNextTokenException{Message: e.Message}
	case at("retentionPeriod'", "billingMode'", "queryId'", "eventDataStoreOwnerAccountId'", "destinations"), at("name'") && !strings.Contains(e.Message, "null"):
		return &cloudtrail.InvalidParameterException{Message: e.Message}
	}
	return nil
}

// notBuilt is the answer of what is left out of an operation.
func notBuilt(op *wire.Operation, what string) error {
	return wire.NotImplemented(cloudtrail.Service.Package, op.Name+" with "+what)
}

// truth is what a flag says, or what holds without it.
func truth(flag *bool, otherwise bool) bool {
	if flag == nil {
		return otherwise
	}
	return *flag
}

func tooManyEventStores() error {
	return &cloudtrail.EventDataStoreMaxLimitExceededException{Message: "The account has the maximum of 10 event data stores in this Region."}
}

// insertNamed writes a new or renamed event data store.
func insertNamed(rows store.Rows[eventStoreRecord], tx store.Tx, d *eventStoreRecord) error {
	err := rows.Put(tx, d)
	if errors.Is(err, store.ErrExists) {
		return &cloudtrail.EventDataStoreAlreadyExistsException{Message: "An event data store with the name " + d.Name + " already exists."}
	}
	return err
}

// retain sets how long events are kept, as the billing mode allows.
func (d *eventStoreRecord) retain(days *int32) error {
	longest, usual := maxRetention, defaultRetention
	if d.Billing == cloudtrail.BillingModeFixedRetentionPricing {
		longest, usual = maxFixedRetention, defaultFixedRetention
	}
	switch {
	case days != nil:
		d.Retention = int(*days)
	case d.Retention == 0:
		d.Retention = usual
	}
	if d.Retention < minRetention || d.Retention > longest {
		return &cloudtrail.InvalidParameterException{Message: "The retention period is not valid for the billing mode " + string(d.Billing) + "."}
	}
	return nil
}

// choose sets which events the store takes. All events of a store are of one category, but for management and data events, which go together.
func (d *eventStoreRecord) choose(op *wire.Operation, given []cloudtrail.AdvancedEventSelector) error {
	selectors := []eventselect.Selector{{Name: "Default management events", Fields: []eventselect.Field{{Field: "eventCategory", Equals: []string{eventselect.Management}}}}}
	if len(given) > 0 {
		var err error
		if selectors, err = advancedOf(op, given); err != nil {
			return err
		}
	}
	d.Category = ""
	for i := range selectors {
		k := categoryOf(&selectors[i])
		switch k {
		case eventselect.Data:
			k = eventselect.Management
		case eventselect.Configuration, eventselect.Evidence, eventselect.Insight:
			return notBuilt(op, k+" events")
		}
		if d.Category != "" && d.Category != k {
			return badSelectors("The event selectors of an event data store have to be of one event category.")
		}
		d.Category = k
	}
	d.Selectors = selectors
	return nil
}

// categoryOf is the category of the events that a selector lets through, which is one.
func categoryOf(s *eventselect.Selector) string {
	for i := range s.Fields {
		if s.Fields[i].Field == "eventCategory" {
			return s.Fields[i].Equals[0]
		}
	}
	return ""
}

// fromTrail reports whether the store's events are those of calls.
func (d *eventStoreRecord) fromTrail() bool { return d.Category == eventselect.Management }

// UpdateEventDataStore changes an event data store.
func (s *Service) UpdateEventDataStore(c *call.Call, in *cloudtrail.UpdateEventDataStoreRequest) (*cloudtrail.UpdateEventDataStoreResponse, error) {
	d, err := s.eventStore(c, *in.EventDataStore)
	if err != nil {
		return nil, err
	}
	if d.Status == cloudtrail.EventDataStoreStatusPendingDeletion {
		return nil, inactive(d)
	}
	if busy, err := importing(c, d); err != nil {
		return nil, err
	} else if busy {
		return nil, hasImport(d)
	}
	if in.Name != nil {
		d.Name = *in.Name
	}
	if err := d.rebill(in.BillingMode); err != nil {
		return nil, err
	}
	if err := d.retain(in.RetentionPeriod); err != nil {
		return nil, err
	}
	if in.AdvancedEventSelectors != nil {
		before := d.Category
		if err := d.choose(c.Op, in.AdvancedEventSelectors); err != nil {
			return nil, err
		}
		if d.Category != before {
			return nil, badSelectors("The event category of an event data store cannot be changed.")
		}
	}
	d.MultiRegion, d.Protected = truth(in.MultiRegionEnabled, d.MultiRegion), truth(in.TerminationProtectionEnabled, d.Protected)
	if truth(in.OrganizationEnabled, d.Organization != "") {
		if err := d.organize(c); err != nil {
			return nil, err
		}
	} else {
		d.Organization = ""
	}
	if in.KmsKeyId != nil {
		if err := s.rekey(c, d, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	d.Updated = c.Time
	if err := insertNamed(eventStoreTable.In(d.Account, d.Region), c.Tx(), d); err != nil {
		return nil, err
	}
	show := d.show(c.Scope.Partition)
	return &cloudtrail.UpdateEventDataStoreResponse{
		EventDataStoreArn: show.EventDataStoreArn, Name: show.Name, Status: show.Status, AdvancedEventSelectors: show.AdvancedEventSelectors,
		MultiRegionEnabled: show.MultiRegionEnabled, OrganizationEnabled: show.OrganizationEnabled, RetentionPeriod: show.RetentionPeriod,
		TerminationProtectionEnabled: show.TerminationProtectionEnabled, CreatedTimestamp: &d.Created, UpdatedTimestamp: &d.Updated,
		KmsKeyId: show.KmsKeyId, BillingMode: d.Billing, FederationStatus: show.FederationStatus,
	}, nil
}

// rebill changes the billing mode, which goes one way only.
func (d *eventStoreRecord) rebill(mode cloudtrail.BillingMode) error {
	if mode == "" || mode == d.Billing {
		return nil
	}
	if mode == cloudtrail.BillingModeFixedRetentionPricing {
		return &cloudtrail.InvalidParameterException{
			Message: "The billing mode cannot be changed from EXTENDABLE_RETENTION_PRICING to FIXED_RETENTION_PRICING.",
		}
	}
	d.Billing = mode
	return nil
}

// rekey gives a store that has none a KMS key. One that has a key keeps it.
func (s *Service) rekey(c *call.Call, d *eventStoreRecord, keyID string) error {
	if d.Key != "" {
		if same := (&eventStoreRecord{Account: d.Account, Region: d.Region, ID: d.ID}); s.encryptUnder(c, same, keyID) == nil && same.Key == d.Key {
			return nil
		}
		return &cloudtrail.InvalidParameterException{Message: "The KMS key of an event data store cannot be changed or removed."}
	}
	return s.encryptUnder(c, d, keyID)
}

// GetEventDataStore shows an event data store.
func (s *Service) GetEventDataStore(c *call.Call, in *cloudtrail.GetEventDataStoreRequest) (*cloudtrail.GetEventDataStoreResponse, error) {
	d, err := s.eventStore(c, *in.EventDataStore)
	if err != nil {
		return nil, err
	}
	return d.show(c.Scope.Partition), nil
}

// ListEventDataStores lists the account's event data stores in the region.
func (s *Service) ListEventDataStores(c *call.Call, in *cloudtrail.ListEventDataStoresRequest) (*cloudtrail.ListEventDataStoresResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	q := store.Query{Index: "name", Limit: pageLimit(in.MaxResults, eventStorePage)}
	found, next, err := eventStoreTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badPage(err)
	}
	out := &cloudtrail.ListEventDataStoresResponse{EventDataStores: make([]cloudtrail.EventDataStore, len(found)), NextToken: some(next)}
	for i, d := range found {
		// The other members are on their way out of the API, and AWS leaves them empty.
		out.EventDataStores[i] = cloudtrail.EventDataStore{EventDataStoreArn: new(d.arn(c.Scope.Partition)), Name: &d.Name}
	}
	return out, nil
}

// show is the event data store as the API has it.
func (d *eventStoreRecord) show(partition string) *cloudtrail.GetEventDataStoreResponse {
	return &cloudtrail.GetEventDataStoreResponse{
		EventDataStoreArn: new(d.arn(partition)), Name: &d.Name, Status: d.Status, AdvancedEventSelectors: showSelectors(d.Selectors),
		MultiRegionEnabled: &d.MultiRegion, OrganizationEnabled: new(d.Organization != ""), RetentionPeriod: new(int32(d.Retention)),
		TerminationProtectionEnabled: &d.Protected, CreatedTimestamp: &d.Created, UpdatedTimestamp: &d.Updated,
		KmsKeyId: some(d.Key), BillingMode: d.Billing, FederationStatus: cloudtrail.FederationStatusDisabled,
	}
}

// matcher is what the selectors let through.
func (d *eventStoreRecord) matcher() (*eventselect.Matcher, error) {
	return eventselect.Compile(d.Selectors)
}

// covers reports whether an account's events of a region are the store's to keep, as far as its selectors let them.
func (d *eventStoreRecord) covers(account, org, region string) bool {
	if account != d.Account && (d.Organization == "" || org != d.Organization) {
		return false
	}
	return d.MultiRegion || region == d.Region
}

const day = 24 * time.Hour

// pageLimit is the page size asked for, or the usual one.
func pageLimit(asked *int32, usual int) int {
	if asked == nil {
		return usual
	}
	return int(*asked)
}

func badNextToken() error {
	return &cloudtrail.InvalidNextTokenException{Message: "The token is not of a previous call with the same parameters."}
}

// badPage is what CloudTrail says of a token that is not from the listing.
func badPage(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return badNextToken()
	}
	return err
}
