package secretsmanager

import (
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// The labels that mean something to the service.
const (
	currentLabel  = "AWSCURRENT"
	previousLabel = "AWSPREVIOUS"
	pendingLabel  = "AWSPENDING"
)

// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const (
	maxLabels    = 20  // of a secret, over all of its versions
	keptVersions = 100 // that are kept whatever their age
	maxVersions  = 1000
	keptFor      = 24 * time.Hour // versions are kept, however many there are
)

func sortLabels(labels []string) { slices.Sort(labels) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// moveLabel attaches a label to a version of the secret, and takes it from the one that has it; no version, "", is taking it away. AWSPREVIOUS follows AWSCURRENT to the version that this leaves.
func (s *Service) moveLabel(c *call.Call, sec *secret, label, to string) error {
	from := sec.Labels[label]
	if from == to {
		return nil
	}
	if err := s.attach(c, sec, label, to); err != nil {
		return err
	}
	if label == currentLabel && from != "" && to != "" {
		if sec.Labels[pendingLabel] == from { // what was pending is over
			if err := s.attach(c, sec, pendingLabel, ""); err != nil {
				return err
			}
		}
		return s.attach(c, sec, previousLabel, from)
	}
	if len(sec.Labels) > maxLabels {
		return &secretsmanager.LimitExceededException{Message: "The secret has the maximum of 20 staging labels attached to its versions."}
	}
	return nil
}

// attach attaches one label, and nothing follows it.
func (s *Service) attach(c *call.Call, sec *secret, label, to string) error {
	from := sec.Labels[label]
	sec.label(label, to)
	for _, id := range []string{from, to} {
		if err := s.settle(c, sec, id); err != nil {
			return err
		}
	}
	return nil
}

// label attaches a label to a version, or takes it away.
func (sec *secret) label(label, to string) {
	sec.Labels = maps.Clone(sec.Labels) // the cache may have the same
	if sec.Labels == nil {
		sec.Labels = make(map[string]string)
	}
	if to == "" {
		delete(sec.Labels, label)
		return
	}
	sec.Labels[label] = to
}

// settle has a version know whether it has a label.
func (s *Service) settle(c *call.Call, sec *secret, id string) error {
	if id == "" {
		return nil
	}
	rows := versionTable.In(sec.Account, sec.Region)
	v, err := rows.Get(c.Tx(), sec.Name, id)
	if err != nil {
		return err
	}
	deprecated := len(sec.labels(id)) == 0
	if v.Deprecated == deprecated {
		return nil
	}
	if v.Deprecated = deprecated; deprecated {
		sec.Deprecated++
	} else {
		sec.Deprecated--
	}
	return rows.Put(c.Tx(), v)
}

// prune deletes the oldest versions without a label of a secret that has more than are kept, and refuses one that has too many.
func (s *Service) prune(c *call.Call, sec *secret) error {
	rows := versionTable.In(sec.Account, sec.Region)
	if more := min(sec.Versions-keptVersions, sec.Deprecated); more > 0 {
		q := store.Query{Index: "old", Prefix: store.Key{sec.Name}, To: store.Key{c.Time.Add(-keptFor)}, Limit: more}
		for v, err := range rows.Scan(c.Tx(), q) {
			if err != nil {
				return err
			}
			if err := rows.Delete(c.Tx(), sec.Name, v.ID); err != nil {
				return err
			}
			sec.Versions--
			sec.Deprecated--
		}
	}
	if sec.Versions > maxVersions {
		return &secretsmanager.LimitExceededException{Message: "The secret has the maximum number of versions that are less than a day old."}
	}
	return nil
}
