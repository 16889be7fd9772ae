// Package trailfile writes the files that a trail leaves in its bucket, as CloudTrail does: log files, and signed digest files that chain up the hashes of
// the log files. It knows no store and no service; what checks such files is in package verify below it.
//
// The format is AWS's, byte for byte where a hash or a signature covers it:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
package trailfile

import "time"

// A Place is where the files of one account and region lie in a bucket.
type Place struct {
	Prefix  string // the trail's S3KeyPrefix; empty for none
	OrgID   string // of an organization trail, e.g. o-exampleorgid
	Account string
	Region  string
}

// A Kind is a sort of file, which is in its keys.
type Kind string

// The kinds of files.
const (
	Events   Kind = "CloudTrail"
	Insights Kind = "CloudTrail-Insight"
	Digests  Kind = "CloudTrail-Digest"
)

// LogKey is the object key of a log file that is delivered at a time. unique tells apart the files of one minute: 16 letters and digits.
func (p Place) LogKey(kind Kind, delivered time.Time, unique string) string {
	t := delivered.UTC()
	return p.folder(kind, t) + p.Account + "_" + string(kind) + "_" + p.Region + "_" + t.Format("20060102T1504Z") + "_" + unique + ".json.gz"
}

// DigestKey is the object key of the digest file that ends at a time, of a trail whose home is another region than the files' perhaps.
func (p Place) DigestKey(trail, home string, end time.Time) string {
	t := end.UTC()
	return p.folder(Digests, t) + p.Account + "_" + string(Digests) + "_" + p.Region + "_" + trail + "_" + home + "_" + t.Format("20060102T150405Z") + ".json.gz"
}

func (p Place) folder(kind Kind, t time.Time) string {
	folder := "AWSLogs/"
	if p.Prefix != "" {
		folder = p.Prefix + "/" + folder
	}
	if p.OrgID != "" {
		folder += p.OrgID + "/"
	}
	return folder + p.Account + "/" + string(kind) + "/" + p.Region + t.Format("/2006/01/02/")
}
