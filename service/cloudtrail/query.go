package cloudtrail

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/lakesql"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	maxQueries   = 10  // of an account that have not ended
	maxWaiting   = 100 // of all accounts
	queriesKept  = 7 * day
	queryPage    = 1000 // of ListQueries, and of GetQueryResults
	queryTimer   = "lakequery"
	queryAliases = "the query aliases of dashboards"
)

// StartQuery begins to answer a query. It is understood and allowed before StartQuery returns.
func (s *Service) StartQuery(c *call.Call, in *cloudtrail.StartQueryRequest) (*cloudtrail.StartQueryResponse, error) {
	if in.QueryAlias != nil {
		c.Open("nothing is done")
		return nil, notBuilt(c.Op, queryAliases)
	}
	if in.DeliveryS3Uri != nil {
		c.Open("nothing is done")
		return nil, notBuilt(c.Op, "DeliveryS3Uri")
	}
	statement, err := withParameters(optional.Value(in.QueryStatement), in.QueryParameters)
	var q *lakesql.Query
	if err == nil {
		q, err = lakesql.Parse(statement)
	}
	if err == nil && len(q.Stores()) == 0 {
		err = errors.New("the statement reads no event data store")
	}
	if err != nil {
		// Whoever may ask some event data store may know that this is no question.
		if denied := c.Authorize(&call.Resource{ARN: c.Scope.ARN("cloudtrail", eventStorePrefix+"*")}); denied != nil {
			return nil, denied
		}
		return nil, &cloudtrail.InvalidQueryStatementException{Message: err.Error()}
	}
	owner := c.Scope.Account
	if in.EventDataStoreOwnerAccountId != nil {
		owner = *in.EventDataStoreOwnerAccountId
	}
	j, err := s.prepare(c, owner, q)
	if err != nil {
		return nil, err
	}
	first := j.stores[q.Stores()[0]].d
	r := &queryRecord{
		Account: first.Account, Region: first.Region, ID: c.UUID(), Store: first.ID, Owner: c.Scope.Account, Statement: statement,
		Status: cloudtrail.QueryStatusQueued, Created: c.Time,
	}
	for _, name := range q.Stores() {
		if d := j.stores[name].d; d.ID != r.Store && !slices.Contains(r.Others, d.ID) {
			r.Others = append(r.Others, d.ID)
		}
		if j.keyed == "" && j.stores[name].k != nil {
			j.keyed, r.Keyed = name, j.stores[name].d.ID
		}
	}
	n, err := queryTable.In("", "").Count(c.Tx(), store.Query{Index: "active", Prefix: store.Key{r.Owner}})
	if err != nil {
		return nil, err
	}
	if n >= maxQueries || s.queries.waiting() >= maxWaiting {
		return nil, &cloudtrail.MaxConcurrentQueriesException{Message: "You are already running the maximum number of concurrent queries. Wait for some to end, and then run the query again."}
	}
	if err := queryTable.In(r.Account, r.Region).Insert(c.Tx(), r); err != nil {
		return nil, err
	}
	if err := c.At(c.Time.Add(queriesKept), call.Scope{Account: r.Account, Region: r.Region}, queryTimer, r.ID, nil); err != nil {
		return nil, err
	}
	j.account, j.region, j.id, j.owner = r.Account, r.Region, r.ID, r.Owner
	c.Tx().OnCommitted(func() { s.queries.add(j) })
	return &cloudtrail.StartQueryResponse{QueryId: &r.ID, EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId}, nil
}

// withParameters puts values in the places of a statement that are marked by question marks. A value stands as a string, whatever is in it.
func withParameters(statement string, values []string) (string, error) {
	if len(values) == 0 {
		return statement, nil
	}
	var b strings.Builder
	n := 0
	for rest := statement; rest != ""; {
		if size := opaque(rest); size > 0 {
			b.WriteString(rest[:size])
			rest = rest[size:]
			continue
		}
		if rest[0] != '?' {
			b.WriteByte(rest[0])
		} else if n++; n <= len(values) {
			b.WriteString("'" + strings.ReplaceAll(values[n-1], "'", "''") + "'")
		}
		rest = rest[1:]
	}
	if n != len(values) {
		return "", fmt.Errorf("the statement has %d parameters, and %d values were given", n, len(values))
	}
	return b.String(), nil
}

// opaque is how long what a statement begins with is if there are no places in it: something quoted, or a comment; 0 otherwise.
func opaque(s string) int {
	for _, o := range [][2]string{{"'", "'"}, {`"`, `"`}, {"--", "\n"}, {"/*", "*/"}} {
		if rest, ok := strings.CutPrefix(s, o[0]); ok {
			if end := strings.Index(rest, o[1]); end >= 0 {
				return len(o[0]) + end + len(o[1])
			}
			return len(s)
		}
	}
	return 0
}

// prepare asks for permission to read each of a query's event data stores, and opens their keys.
func (s *Service) prepare(c *call.Call, owner string, q *lakesql.Query) (*job, error) {
	j := &job{query: q, now: c.Time, stores: make(map[string]asked)}
	for _, name := range q.Stores() {
		_, id, err := eventStoreID(c, name)
		if err != nil {
			return nil, noEventStore(name)
		}
		d, err := s.eventStoreOf(c, owner, id)
		if err != nil {
			return nil, err
		}
		if d.Status == cloudtrail.EventDataStoreStatusPendingDeletion {
			return nil, inactive(d)
		}
		k, err := s.dataKey(c, d)
		if err != nil {
			return nil, ofKMS(err, d.Key)
		}
		j.stores[name] = asked{d, k}
	}
	return j, nil
}

// query finds a query by its ID and asks for permission to do the call's operation on its event data store. The store is nil if it is no more.
func (s *Service) query(c *call.Call, owner, eventStore, id *string) (*queryRecord, *eventStoreRecord, error) {
	account := c.Scope.Account
	if owner != nil {
		account = *owner
	}
	given := ""
	if eventStore != nil {
		var err error
		if account, given, err = eventStoreID(c, *eventStore); err != nil {
			return nil, nil, err
		}
	}
	r, err := queryTable.In(account, c.Scope.Region).Get(c.Tx(), optional.Value(id))
	if store.IgnoreNotFound(err) != nil {
		return nil, nil, err
	}
	of := "*"
	switch {
	case given != "":
		of = given
	case r != nil:
		of = r.Store
	}
	d, err := s.eventStoreOf(c, account, of)
	if err != nil {
		if _, gone := errors.AsType[*cloudtrail.EventDataStoreNotFoundException](err); !gone || given != "" {
			return nil, nil, err
		}
	}
	if r == nil || r.Store != of {
		return nil, nil, &cloudtrail.QueryIdNotFoundException{Message: "The query " + optional.Value(id) + " was not found."}
	}
	if d != nil && d.Status == cloudtrail.EventDataStoreStatusPendingDeletion {
		return nil, nil, inactive(d)
	}
	return r, d, nil
}

// DescribeQuery shows how a query does.
func (s *Service) DescribeQuery(c *call.Call, in *cloudtrail.DescribeQueryRequest) (*cloudtrail.DescribeQueryResponse, error) {
	if in.QueryAlias != nil || in.RefreshId != nil {
		c.Open("nothing is shown")
		return nil, notBuilt(c.Op, queryAliases)
	}
	r, _, err := s.query(c, in.EventDataStoreOwnerAccountId, in.EventDataStore, in.QueryId)
	if err != nil {
		return nil, err
	}
	return &cloudtrail.DescribeQueryResponse{
		QueryId: &r.ID, QueryString: &r.Statement, QueryStatus: r.Status, ErrorMessage: some(r.Error), EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId,
		QueryStatistics: &cloudtrail.QueryStatisticsForDescribeQuery{
			EventsMatched: &r.Matched, EventsScanned: &r.Scanned, BytesScanned: &r.Bytes, ExecutionTimeInMillis: new(int32(r.Millis)), CreationTime: &r.Created,
		},
	}, nil
}

// CancelQuery ends a query that has not ended by itself.
func (s *Service) CancelQuery(c *call.Call, in *cloudtrail.CancelQueryRequest) (*cloudtrail.CancelQueryResponse, error) {
	r, _, err := s.query(c, in.EventDataStoreOwnerAccountId, in.EventDataStore, in.QueryId)
	if err != nil {
		return nil, err
	}
	if !r.active() {
		return nil, &cloudtrail.InactiveQueryException{Message: "The query " + r.ID + " has ended, with the status " + string(r.Status) + "."}
	}
	r.Status = cloudtrail.QueryStatusCancelled
	if err := queryTable.In(r.Account, r.Region).Put(c.Tx(), r); err != nil {
		return nil, err
	}
	c.Tx().OnCommitted(func() { s.queries.cancel(r.ID) })
	return &cloudtrail.CancelQueryResponse{QueryId: &r.ID, QueryStatus: r.Status, EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId}, nil
}

// ListQueries lists the queries of an event data store of the past seven days, the newest first.
func (s *Service) ListQueries(c *call.Call, in *cloudtrail.ListQueriesRequest) (*cloudtrail.ListQueriesResponse, error) {
	d, err := s.eventStore(c, *in.EventDataStore)
	if err != nil {
		return nil, err
	}
	switch {
	case d.Status == cloudtrail.EventDataStoreStatusPendingDeletion:
		return nil, inactive(d)
	case in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime):
		return nil, &cloudtrail.InvalidDateRangeException{Message: "The start time must not be after the end time."}
	}
	q := store.Query{Index: "store", Prefix: store.Key{d.ID}, Reverse: true, Limit: pageLimit(in.MaxResults, queryPage)}
	keep := func(r *queryRecord) bool {
		return (in.QueryStatus == "" || r.Status == in.QueryStatus) && (in.StartTime == nil || !r.Created.Before(*in.StartTime)) && (in.EndTime == nil || !r.Created.After(*in.EndTime))
	}
	filters := fmt.Sprint(in.QueryStatus, in.StartTime, in.EndTime)
	found, next, err := queryTable.In(d.Account, d.Region).Page(c.Tx(), q, optional.Value(in.NextToken), filters, keep)
	if err != nil {
		return nil, badPage(err)
	}
	out := &cloudtrail.ListQueriesResponse{Queries: make([]cloudtrail.Query, len(found)), NextToken: some(next)}
	for i, r := range found {
		out.Queries[i] = cloudtrail.Query{QueryId: &r.ID, QueryStatus: r.Status, CreationTime: &r.Created}
	}
	return out, nil
}

// queryDue forgets a query and its results.
func (s *Service) queryDue(c *call.Call, id string, _ []byte) error {
	rows := queryTable.In(c.Scope.Account, c.Scope.Region)
	r, err := rows.Get(c.Tx(), id)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	if r.Blob != "" {
		s.dropObject(c, r.Blob)
	}
	c.Tx().OnCommitted(func() { s.queries.cancel(id) })
	return rows.Delete(c.Tx(), id)
}
