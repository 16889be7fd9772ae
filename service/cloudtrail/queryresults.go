package cloudtrail

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// maxResultPage bounds a page of results in bytes. It has one row at least.
const maxResultPage = 4 << 20

// GetQueryResults shows a page of what a query has found.
func (s *Service) GetQueryResults(c *call.Call, in *cloudtrail.GetQueryResultsRequest) (*cloudtrail.GetQueryResultsResponse, error) {
	r, d, err := s.query(c, in.EventDataStoreOwnerAccountId, in.EventDataStore, in.QueryId)
	if err != nil {
		return nil, err
	}
	stores := []*eventStoreRecord{d}
	for _, id := range r.Others {
		other, err := s.eventStoreOf(c, r.Account, id)
		if err != nil {
			return nil, err
		}
		stores = append(stores, other)
	}
	out := &cloudtrail.GetQueryResultsResponse{
		QueryStatus: r.Status, ErrorMessage: some(r.Error), QueryResultRows: [][]map[string]string{},
		QueryStatistics: &cloudtrail.QueryStatistics{ResultsCount: new(int32(0)), TotalResultsCount: new(int32(r.Rows)), BytesScanned: &r.Bytes},
	}
	at := int64(0)
	listing := "GetQueryResults " + r.ID
	if in.NextToken != nil {
		position, err := pagetoken.Decode(listing, *in.NextToken)
		if err != nil || len(position) != 8 || r.Blob == "" {
			return nil, badNextToken()
		}
		at = int64(binary.BigEndian.Uint64(position))
	}
	if r.Blob == "" {
		return out, nil
	}
	var k storeKey
	for _, d := range stores {
		of, err := s.dataKey(c, d)
		if err != nil {
			return nil, ofKMS(err, d.Key)
		}
		if d.ID == r.Keyed {
			k = of
		}
	}
	rows, next, err := s.readRows(c, k, r, at, pageLimit(in.MaxQueryResults, queryPage))
	if err != nil {
		return nil, err
	}
	out.QueryResultRows, out.QueryStatistics.ResultsCount = rows, new(int32(len(rows)))
	if next > 0 {
		out.NextToken = new(pagetoken.Encode(listing, binary.BigEndian.AppendUint64(nil, uint64(next))))
	}
	return out, nil
}

// readRows reads a page of rows from a place in the result on, and returns the place of the next page, or 0.
func (s *Service) readRows(c *call.Call, k storeKey, r *queryRecord, at int64, limit int) (rows [][]map[string]string, next int64, err error) {
	object, info, err := k.objects(s.cfg.Blob).Get(c.Context, r.Blob, at, -1)
	if errors.Is(err, blob.ErrRange) {
		return nil, 0, badNextToken()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening the results of query %s: %w", r.ID, err)
	}
	defer object.Close()
	rows = [][]map[string]string{}
	lines := bufio.NewReader(object)
	for begin := at; len(rows) < limit && at-begin < maxResultPage; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("reading the results of query %s: %w", r.ID, err)
		}
		at += int64(len(line))
		var fields []*string
		if json.Unmarshal(line, &fields) != nil || len(fields) != len(r.Columns) {
			return nil, 0, badNextToken() // a token that somebody made up leads into the middle of a row
		}
		row := make([]map[string]string, len(fields))
		for i, f := range fields {
			row[i] = map[string]string{r.Columns[i]: optional.Value(f)}
		}
		rows = append(rows, row)
	}
	if at >= info.Size {
		return rows, 0, nil
	}
	return rows, at, nil
}
