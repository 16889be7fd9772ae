package sigv4

import (
	"fmt"
	"strings"
	"time"
)

// Expect is what a signature must be meant for.
type Expect struct {
	// Now is the server's time.
	Now time.Time
	// Region and Service are the ones called, as credential scopes name them. Empty accepts any.
	Region, Service string
	// Skew is taken for MaxSkew if it is not 0, and shorter. Presigned URLs, too, live no longer then.
	Skew time.Duration
}

// Check refuses a signature that is out of date or scoped to something else, in the order in which AWS looks.
// Within its time a request can be sent again: AWS keeps no list of signatures it has seen, and neither do we.
func (a *Authorization) Check(want Expect) error {
	skew := MaxSkew
	if want.Skew != 0 {
		skew = min(skew, want.Skew)
	}
	if err := a.checkTime(want.Now.UTC(), skew); err != nil {
		return err
	}
	if err := a.checkScope(want); err != nil {
		return err
	}
	a.checked = true
	return nil
}

func (a *Authorization) checkTime(now time.Time, skew time.Duration) error {
	if latest := now.Add(skew); a.RequestTime.After(latest) {
		return a.refuse(NotYetCurrent, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %d min.)",
			a.timestamp, latest.Format(TimeFormat), now.Format(TimeFormat), skew/time.Minute), "")
	}
	kind, life := Expired, skew
	if a.Presigned {
		kind, life = PresignExpired, a.Expires
		if skew < MaxSkew {
			life = min(life, skew)
		}
	}
	if earliest := now.Add(-life); a.RequestTime.Before(earliest) {
		return a.refuse(kind, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %d min.)",
			a.timestamp, earliest.Format(TimeFormat), now.Format(TimeFormat), life/time.Minute), "")
	}
	return nil
}

// checkScope collects everything that is wrong with the scope, as AWS does; S3 names the first.
func (a *Authorization) checkScope(want Expect) error {
	badRegion := want.Region != "" && a.Region != want.Region
	badService := want.Service != "" && a.Service != want.Service
	badTerminator := a.terminator != terminator
	badDate := a.Date != a.timestamp[:len(dateFormat)]
	if !badRegion && !badService && !badTerminator && !badDate {
		return nil
	}
	var texts []string
	var s3Text string
	add := func(text, s3 string) {
		texts = append(texts, text)
		if s3Text == "" {
			s3Text = a.s3Prefix() + s3
		}
	}
	if badRegion {
		add(fmt.Sprintf("Credential should be scoped to a valid region, not '%s'. ", a.Region),
			fmt.Sprintf("the region '%s' is wrong; expecting '%s'", a.Region, want.Region))
	}
	if badService {
		add(fmt.Sprintf("Credential should be scoped to correct service: '%s'. ", want.Service),
			fmt.Sprintf(`incorrect service "%s". This endpoint belongs to "%s".`, a.Service, want.Service))
	}
	if badTerminator {
		add(fmt.Sprintf("Credential should be scoped with a valid terminator: '%s', not '%s'. ", terminator, a.terminator),
			fmt.Sprintf(`incorrect terminal "%s". This endpoint uses "%s".`, a.terminator, terminator))
	}
	if badDate {
		day := a.timestamp[:len(dateFormat)]
		add(fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", a.Date, day, a.timestamp),
			fmt.Sprintf(`Invalid credential date "%s". This date is not the same as X-Amz-Date: "%s".`, a.Date, day))
	}
	e := a.refuse(BadScope, strings.Join(texts, ""), s3Text)
	if badRegion {
		e.Region = want.Region
	}
	return e
}
