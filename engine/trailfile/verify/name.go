package verify

import (
	"cmp"
	"strings"
	"time"
)

// A Chain names a chain of digests. Each region of a trail has its own, and each account of an organization's trail.
type Chain struct {
	Prefix       string `json:"prefix,omitempty"`       // before AWSLogs/
	Organization string `json:"organization,omitempty"` // of an organization's trail
	Account      string `json:"account"`
	Region       string `json:"region"`
	Trail        string `json:"trail"`
	Home         string `json:"home"` // region of the trail
	Backfill     bool   `json:"backfill,omitempty"`
}

func (c Chain) compare(d Chain) int {
	return cmp.Or(cmp.Compare(c.Prefix, d.Prefix), cmp.Compare(c.Organization, d.Organization), cmp.Compare(c.Account, d.Account), cmp.Compare(c.Region, d.Region),
		cmp.Compare(c.Trail, d.Trail), cmp.Compare(c.Home, d.Home))
}

// folder is where the log files are that a chain names.
type folder struct{ prefix, organization, account, region string }

// String says which folder it is at the beginning of a note.
func (f folder) String() string {
	text := "Account " + f.account + ", region " + f.region
	if f.organization != "" {
		text += ", organization " + f.organization
	}
	if f.prefix != "" {
		text += ", below " + f.prefix
	}
	return text
}

func (c Chain) folder() folder { return folder{c.Prefix, c.Organization, c.Account, c.Region} }

// split takes the key of a file apart:
//
//	[PREFIX/]AWSLogs/[ORGANIZATION/]ACCOUNT/KIND/REGION/YYYY/MM/DD/NAME
//
// kind is empty if it has no such form.
func split(key string) (at folder, kind, name string) {
	parts := strings.Split(key, "/")
	n := len(parts)
	if n < 8 {
		return folder{}, "", ""
	}
	at.account, kind, at.region, name = parts[n-7], parts[n-6], parts[n-5], parts[n-1]
	before := parts[:n-7]
	if last := len(before) - 1; strings.HasPrefix(before[last], "o-") && last > 0 {
		at.organization, before = before[last], before[:last]
	}
	if before[len(before)-1] != "AWSLogs" {
		return folder{}, "", ""
	}
	at.prefix = strings.Join(before[:len(before)-1], "/")
	if len(at.account) != 12 || strings.Trim(at.account, "0123456789") != "" || at.region == "" || strings.Contains(at.region, "_") {
		return folder{}, "", ""
	}
	return at, kind, name
}

const digests = "CloudTrail-Digest"

// parseDigestKey reads the key of a digest file, whose name is
//
//	ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOME_YYYYMMDDTHHMMSSZ[_backfill].json.gz
//
// A trail's name may have underscores.
func parseDigestKey(key string) (c Chain, end time.Time, ok bool) {
	at, kind, name := split(key)
	name, whole := strings.CutPrefix(name, at.account+"_"+digests+"_"+at.region+"_")
	if kind != digests || !whole {
		return Chain{}, time.Time{}, false
	}
	if name, whole = strings.CutSuffix(name, ".json.gz"); !whole {
		return Chain{}, time.Time{}, false
	}
	name, backfill := strings.CutSuffix(name, "_backfill")
	name, stamp, _ := cutLast(name, "_")
	trail, home, _ := cutLast(name, "_")
	end, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || trail == "" || home == "" {
		return Chain{}, time.Time{}, false
	}
	return Chain{at.prefix, at.organization, at.account, at.region, trail, home, backfill}, end, true
}

// parseLogKey reads the key of a log file, whose name is
//
//	ACCOUNT_KIND_REGION_YYYYMMDDTHHMMZ_UNIQUE.json.gz
//
// with the minute of its delivery. within tells whether the key is one in a folder of log files, whatever its name.
func parseLogKey(key string) (at folder, minute time.Time, ok, within bool) {
	at, kind, name := split(key)
	if kind != "CloudTrail" && kind != "CloudTrail-Insight" || name == "" {
		return folder{}, time.Time{}, false, false
	}
	name, whole := strings.CutPrefix(name, at.account+"_"+kind+"_"+at.region+"_")
	stamp, unique, _ := strings.Cut(name, "_")
	unique, suffix := strings.CutSuffix(unique, ".json.gz")
	minute, err := time.Parse("20060102T1504Z", stamp)
	return at, minute, whole && suffix && err == nil && unique != "", true
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
