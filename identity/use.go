package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// Use is the last time that somebody called a service.
type Use struct {
	Subject string // an access key's ID, or the unique ID of a user or a role
	Service string // its namespace in actions, e.g. kms
	Region  string // the one called
	Time    time.Time
}

// Uses are kept in the account of their subject and no region:
//
//	identity / account // use / subject / service → Use
var Uses = store.NewTable("identity", "use", func(u *Use) store.Key { return store.Key{u.Subject, u.Service} })

// useKey names what is used for what.
type useKey struct{ account, subject, service string }

// used is a use that is not written yet.
type used struct {
	name   string // of the user or role
	region string
	time   time.Time
}

// stamp is a use of a credential that has been noted.
type stamp struct {
	second          int64
	service, region string
}

// noted are the last stamps of a credential, each in the slot of its service. Times of last use are told in seconds, so that of the uses within one only the
// first need be noted.
type noted struct{ slots [8]atomic.Pointer[stamp] }

// fresh reports whether a use has not been noted yet. Of two at the same time both may be.
func (n *noted) fresh(service, region string, now time.Time) bool {
	sum := byte(len(region))
	for i := range len(service) {
		sum += service[i]
	}
	slot := &n.slots[sum%byte(len(n.slots))]
	second := now.Unix()
	if s := slot.Load(); s != nil && s.second == second && s.service == service && s.region == region {
		return false
	}
	slot.Store(&stamp{second, service, strings.Clone(region)})
	return true
}

// Used notes that a credential was used to call a service, named as actions name it, in a region. It is called for every call.
func (d *Directory) Used(c *Credential, service, region string, now time.Time) {
	if !c.noted.fresh(service, region, now) {
		return
	}
	p := c.Principal
	u := used{region: strings.Clone(region), time: now}
	if p.Temporary == nil {
		d.uses.Note(useKey{p.Account, p.AccessKeyID, service}, u)
		u.name = p.UserName
		d.uses.Note(useKey{p.Account, p.ID, service}, u)
		return
	}
	if p.Temporary.ID == "" {
		return // a session of the root user, which has no uses of its own
	}
	u.name = p.Temporary.Name
	d.uses.Note(useKey{p.Account, p.Temporary.ID, service}, u)
}

// RunUses writes last uses, until ctx ends.
func (d *Directory) RunUses(ctx context.Context, report func(error)) { d.uses.Run(ctx, report) }

// writeUse writes a last use, of what is still there.
func writeUse(tx store.Tx, k useKey, u used) error {
	there, err := isThere(tx, k, u.name)
	if err != nil || !there {
		return err
	}
	return Uses.In(k.account, "").Put(tx, &Use{Subject: k.subject, Service: k.service, Region: u.region, Time: u.time})
}

func isThere(r store.Reader, k useKey, name string) (bool, error) {
	var id string
	switch {
	case strings.HasPrefix(k.subject, "AKIA"):
		key, err := AccessKeys.In("", "").Get(r, k.subject)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		id = key.ID
	case strings.HasPrefix(k.subject, "AIDA"):
		user, err := Users.In(k.account, "").Get(r, name)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		id = user.ID
	case strings.HasPrefix(k.subject, "AROA"):
		role, err := Roles.In(k.account, "").Get(r, name)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		id = role.ID
	}
	return id == k.subject, nil // the root user has no uses of its own, only its access keys have
}

// LastUses returns the last use of each service that an access key, or a user or role by its unique ID, has called, the latest first.
func (d *Directory) LastUses(r store.Reader, account, subject string) ([]Use, error) {
	return d.lastUses(r, account, store.Query{Prefix: store.Key{subject}}, func(k useKey) bool { return k.account == account && k.subject == subject })
}

// AccountUses returns the last uses of all that is in an account, see LastUses.
func (d *Directory) AccountUses(r store.Reader, account string) ([]Use, error) {
	return d.lastUses(r, account, store.Query{}, func(k useKey) bool { return k.account == account })
}

func (d *Directory) lastUses(r store.Reader, account string, q store.Query, match func(useKey) bool) ([]Use, error) {
	pending := d.uses.Pending(match)
	var found []Use
	for u, err := range Uses.In(account, "").Scan(r, q) {
		if err != nil {
			return nil, fmt.Errorf("reading last uses: %w", err)
		}
		if _, later := pending[useKey{account, u.Subject, u.Service}]; !later {
			found = append(found, *u)
		}
	}
	for k, u := range pending {
		found = append(found, Use{Subject: k.subject, Service: k.service, Region: u.region, Time: u.time})
	}
	slices.SortFunc(found, func(a, b Use) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Service, b.Service)) })
	return found, nil
}

// ForgetUses removes the last uses of what is deleted.
func ForgetUses(tx store.Tx, account, subject string) error {
	rows := Uses.In(account, "")
	for u, err := range rows.Scan(tx, store.Query{Prefix: store.Key{subject}}) {
		if err != nil {
			return fmt.Errorf("forgetting last uses: %w", err)
		}
		if err := rows.Delete(tx, u.Subject, u.Service); err != nil {
			return err
		}
	}
	return nil
}
