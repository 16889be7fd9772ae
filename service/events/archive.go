package events

import (
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// Stored as (see store.Table): events / account / region / archive / name → archiveRecord. The index "api" has those of default buses: API calls come to them.
var archiveTable = store.NewTable("events", "archive", func(a *archiveRecord) store.Key { return store.Key{a.Name} },
	store.Index[archiveRecord]{Name: "bus", Entries: func(a *archiveRecord) []store.Key { return []store.Key{{a.Bus, a.Name}} }},
	store.Index[archiveRecord]{Name: "api", Global: true, Entries: func(a *archiveRecord) []store.Key {
		if a.Bus != defaultBus {
			return nil
		}
		return []store.Key{{}}
	}})

// archiveRecord is an archive: the events of a bus that match a pattern, kept for a time.
type archiveRecord struct {
	Name, Account, Region string
	Bus                   string // its name
	Created               time.Time
	ID                    string // of this one among all that ever had the name: what is kept of the events is found by it
	Description           string `json:",omitempty"`
	Pattern               string `json:",omitempty"` // empty keeps all events
	Retention             int32  `json:",omitempty"` // in days; 0 is for ever
	KMSKey                string `json:",omitempty"` // as it was given; empty is a key of the service's own

	Keys []archiveKey `json:",omitempty"` // data keys, of which Key is the number of the one in use, beginning with 1; 0 is none
	Key  int          `json:",omitempty"`
}

const (
	archiveType = "AWS::Events::Archive"
	// maxArchives is how many archives a bus may have: each of its events is matched with all of their patterns.
	maxArchives = 100
)

func archiveARN(s call.Scope, name string) string { return s.ARN("events", "archive/"+name) }

func (a *archiveRecord) arn(partition string) string {
	return archiveARN(call.Scope{Partition: partition, Account: a.Account, Region: a.Region}, a.Name)
}

// retains reports whether what was archived at a time is still kept at another.
func (a *archiveRecord) retains(archived, now time.Time) bool {
	return a.Retention == 0 || now.Before(archived.Add(a.retention()))
}

func (a *archiveRecord) retention() time.Duration { return time.Duration(a.Retention) * 24 * time.Hour }

func noArchive(name string) error {
	return &events.ResourceNotFoundException{Message: "Archive " + name + " does not exist."}
}

// archive asks for the operation's own action on an archive, and finds it.
func (s *Service) archive(c *call.Call, name string) (*archiveRecord, error) {
	if err := c.Authorize(&call.Resource{ARN: archiveARN(c.Scope, name), Type: archiveType}); err != nil {
		return nil, err
	}
	a, err := archiveTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noArchive(name)
	}
	return a, err
}

// CreateArchive begins to keep the events of a bus.
func (s *Service) CreateArchive(c *call.Call, in *events.CreateArchiveRequest) (*events.CreateArchiveResponse, error) {
	a := &archiveRecord{
		Name: *in.ArchiveName, Account: c.Scope.Account, Region: c.Scope.Region, Created: c.Time.UTC(), ID: c.EventID, Description: optional.Value(in.Description),
		Pattern: optional.Value(in.EventPattern), Retention: optional.Value(in.RetentionDays),
	}
	if err := c.Authorize(&call.Resource{ARN: a.arn(c.Scope.Partition), Type: archiveType}); err != nil {
		return nil, err
	}
	bus, err := s.heardBus(c, *in.EventSourceArn)
	if err != nil {
		return nil, err
	}
	a.Bus = bus.Name
	if err := checkArchivePattern(a.Pattern); err != nil {
		return nil, err
	}
	n, err := archiveTable.In(a.Account, a.Region).Count(c.Tx(), store.Query{Index: "bus", Prefix: store.Key{a.Bus}, Limit: maxArchives})
	if err != nil {
		return nil, err
	}
	if n == maxArchives {
		return nil, limitExceeded()
	}
	if err := s.encryptUnder(c, a, optional.Value(in.KmsKeyIdentifier)); err != nil {
		return nil, err
	}
	if a.Bus == defaultBus {
		if err := s.listen(c); err != nil {
			return nil, err
		}
	}
	err = archiveTable.In(a.Account, a.Region).Insert(c.Tx(), a)
	if errors.Is(err, store.ErrExists) {
		return nil, &events.ResourceAlreadyExistsException{Message: "Archive " + a.Name + " already exists."}
	}
	if err != nil {
		return nil, err
	}
	return &events.CreateArchiveResponse{ArchiveArn: new(a.arn(c.Scope.Partition)), CreationTime: &a.Created, State: events.ArchiveStateEnabled}, nil
}

// heardBus asks for the operation's own action on a bus of the caller's whose events are archived or replayed, and finds it.
func (s *Service) heardBus(c *call.Call, busARN string) (*busRecord, error) {
	b, err := s.named(c, &busARN)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(b.resource(c.Scope.Partition)); err != nil {
		return nil, err
	}
	return s.ownBus(c, busARN)
}

// UpdateArchive changes what an archive keeps, and for how long. A shorter time holds for what it has already, too.
func (s *Service) UpdateArchive(c *call.Call, in *events.UpdateArchiveRequest) (*events.UpdateArchiveResponse, error) {
	a, err := s.archive(c, *in.ArchiveName)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		a.Description = *in.Description
	}
	if in.EventPattern != nil {
		if err := checkArchivePattern(*in.EventPattern); err != nil {
			return nil, err
		}
		a.Pattern = *in.EventPattern
	}
	if in.RetentionDays != nil {
		a.Retention = *in.RetentionDays
	}
	if in.KmsKeyIdentifier != nil && *in.KmsKeyIdentifier != a.KMSKey {
		if err := s.encryptUnder(c, a, *in.KmsKeyIdentifier); err != nil {
			return nil, err
		}
	}
	if err := archiveTable.In(a.Account, a.Region).Put(c.Tx(), a); err != nil {
		return nil, err
	}
	if err := s.expireLater(c, a); err != nil {
		return nil, err
	}
	return &events.UpdateArchiveResponse{ArchiveArn: new(a.arn(c.Scope.Partition)), CreationTime: &a.Created, State: events.ArchiveStateEnabled}, nil
}

// DescribeArchive tells of an archive.
func (s *Service) DescribeArchive(c *call.Call, in *events.DescribeArchiveRequest) (*events.DescribeArchiveResponse, error) {
	a, err := s.archive(c, *in.ArchiveName)
	if err != nil {
		return nil, err
	}
	count, size, err := a.holds(c.Tx())
	if err != nil {
		return nil, err
	}
	return &events.DescribeArchiveResponse{
		ArchiveArn: new(a.arn(c.Scope.Partition)), ArchiveName: &a.Name, EventSourceArn: new(busARN(c.Scope, a.Bus)), Description: optional.NonZero(a.Description), EventPattern: optional.NonZero(a.Pattern),
		State: events.ArchiveStateEnabled, KmsKeyIdentifier: optional.NonZero(a.KMSKey), RetentionDays: &a.Retention, SizeBytes: &size, EventCount: &count, CreationTime: &a.Created,
	}, nil
}

// ListArchives lists the archives of the account and region by name.
func (s *Service) ListArchives(c *call.Call, in *events.ListArchivesRequest) (*events.ListArchivesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	if err := oneFilter("ListArchives", in.NamePrefix != nil, in.EventSourceArn != nil, in.State != ""); err != nil {
		return nil, err
	}
	busName := ""
	if in.EventSourceArn != nil {
		bus, err := s.ownBus(c, *in.EventSourceArn)
		if err != nil {
			return nil, err
		}
		busName = bus.Name
	}
	keep := func(a *archiveRecord) bool {
		return (busName == "" || a.Bus == busName) && (in.State == "" || in.State == events.ArchiveStateEnabled)
	}
	page, next, err := archiveTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), optional.Value(in.NextToken), busName+string(in.State), keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListArchivesResponse{Archives: []events.Archive{}, NextToken: optional.NonZero(next)}
	for _, a := range page {
		count, size, err := a.holds(c.Tx())
		if err != nil {
			return nil, err
		}
		out.Archives = append(out.Archives, events.Archive{
			ArchiveName: &a.Name, EventSourceArn: new(busARN(c.Scope, a.Bus)), State: events.ArchiveStateEnabled, RetentionDays: &a.Retention, SizeBytes: &size, EventCount: &count,
			CreationTime: &a.Created,
		})
	}
	return out, nil
}

// oneFilter refuses listings with more than one filter.
func oneFilter(operation string, filters ...bool) error {
	n := 0
	for _, f := range filters {
		if f {
			n++
		}
	}
	if n > 1 {
		return invalid("At most one filter is allowed for " + operation + ". Use either : State, EventSourceArn, or NamePrefix.")
	}
	return nil
}

// DeleteArchive removes an archive. What it holds goes later, piece by piece.
func (s *Service) DeleteArchive(c *call.Call, in *events.DeleteArchiveRequest) (*events.DeleteArchiveResponse, error) {
	a, err := s.archive(c, *in.ArchiveName)
	if err != nil {
		return nil, err
	}
	return &events.DeleteArchiveResponse{}, s.removeArchive(c, a)
}

// removeArchive removes an archive, or one of a bus that is removed.
func (s *Service) removeArchive(c *call.Call, a *archiveRecord) error {
	if err := archiveTable.In(a.Account, a.Region).Delete(c.Tx(), a.Name); err != nil {
		return err
	}
	for _, kind := range []string{timerArchivePack, timerArchiveExpire} {
		if err := c.Cancel(a.scope(c), kind, a.ID); err != nil {
			return err
		}
	}
	return c.At(c.Time, a.scope(c), timerArchiveErase, a.ID, nil)
}

func (a *archiveRecord) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: a.Account, Region: a.Region}
}

// removeArchives removes the archives of a bus that is removed.
func (s *Service) removeArchives(c *call.Call, account, region, bus string) error {
	var all []*archiveRecord
	for a, err := range archiveTable.In(account, region).Scan(c.Tx(), store.Query{Index: "bus", Prefix: store.Key{bus}}) {
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	for _, a := range all {
		if err := s.removeArchive(c, a); err != nil {
			return err
		}
	}
	return nil
}

// checkArchivePattern refuses what is no pattern.
func checkArchivePattern(pattern string) error {
	if pattern == "" {
		return nil
	}
	if _, err := eventpattern.Compile(pattern); err != nil {
		return &events.InvalidEventPatternException{Message: err.Error()}
	}
	return nil
}

// hear implements listener: what is replayed is not archived again.
func (a *archiveRecord) hear(s *Service, c *call.Call, e *heard) error {
	if e.Replayed {
		return nil
	}
	return s.keep(c, a, e.Event.Time, e.JSON)
}

// archives returns who keeps the events of a bus. What it is made of has to be watched, see Service.watch.
func (s *Service) archives(r store.Reader, bus busKey) (all []listening, err error) {
	for a, err := range archiveTable.In(bus.Account, bus.Region).Scan(r, store.Query{Index: "bus", Prefix: store.Key{bus.Name}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, listening{a.Pattern, a})
	}
	return all, nil
}

// watchArchives forgets who listens on buses when archives change. The key of an archive does not name its bus, and this is seldom: all is forgotten.
func (s *Service) watchArchives() {
	archiveTable.Watch(s.cfg.Store, func(string, string, []string) { s.audiences.Clear() })
}
