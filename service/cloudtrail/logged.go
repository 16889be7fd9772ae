package cloudtrail

import (
	"context"
	"fmt"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

// Logs reports whether a trail that logs has an event: EventBridge gets what trails have, and nothing else.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
func (s *Service) Logs(ctx context.Context, r store.Reader, e *eventselect.Event) (bool, error) {
	found, err := logging(r)
	if err != nil {
		return false, err
	}
	p := &pass{s: s, c: &call.Call{Context: ctx}, orgs: make(map[string]string)}
	for _, t := range found {
		org := ""
		if e.Account != t.Account && t.Organization != "" {
			if org, err = p.organization(e.Account); err != nil {
				return false, err
			}
		}
		if !t.covers(e.Account, org, e.Region, p.isGlobal(e.Source)) {
			continue
		}
		m, err := t.matcher()
		if err != nil {
			return false, fmt.Errorf("the selectors of trail %s of account %s: %w", t.Name, t.Account, err)
		}
		if m.Match(e) {
			return true, nil
		}
	}
	return false, nil
}
