package cloudtrail

import (
	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/call"
)

// importing reports whether an import into an event data store is under way.
func importing(*call.Call, *eventStoreRecord) (bool, error) { return false, nil }

func hasImport(d *eventStoreRecord) error {
	return &cloudtrail.EventDataStoreHasOngoingImportException{Message: "The event data store " + d.ID + " is the destination of an import that has not ended."}
}
