package secretsmanager

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// rotation is how a secret is rotated, and the rotation that is under way.
type rotation struct {
	Enabled    bool
	Lambda     string    `json:",omitempty"` // ARN
	Managed    *managed  `json:",omitempty"` // rotated without a function of the customer's
	Days       int64     `json:",omitempty"` // AutomaticallyAfterDays
	Duration   string    `json:",omitempty"`
	Expression string    `json:",omitempty"`
	Every      int64     `json:",omitempty"` // days between rotations of an expression, as they were after the last one
	Anchor     time.Time `json:",omitzero"`  // the midnight that a rate in hours counts from
	Changed    time.Time `json:",omitzero"`  // when the value was changed last by a rotation or by hand: days count from there
	Last       time.Time `json:",omitzero"`  // when the last rotation succeeded
	Next       time.Time `json:",omitzero"`  // when the next window ends
	Done       string    `json:",omitempty"` // the version that the last rotation has made
	Run        *run      `json:",omitempty"`
	Overlap    string    `json:",omitempty"` // the version since whose rotation the database has taken the password before, too
}

// run is a rotation under way, or one that has failed and is to go on in the next window.
type run struct {
	Token string    // the version that is to come; it has AWSPENDING
	Test  bool      `json:",omitempty"` // nothing is rotated
	Until time.Time // attempts are made
	Idle  bool      `json:",omitempty"` // no attempt will be made before the next window

	// Switching is set while a database may take either the password of AWSCURRENT or that of AWSPENDING, and nobody knows which: see held.
	Switching bool `json:",omitempty"`

	Pass    []byte `json:",omitempty"` // SHA-256 of the attempt's RotationToken
	Failure string `json:",omitempty"` // of the last attempt
}

// rotating is the rotation of a secret that was read in a transaction, to be changed.
func (sec *secret) rotating() *rotation {
	if sec.Rotation == nil {
		sec.Rotation = new(rotation)
	}
	return sec.Rotation
}

// running is the rotation under way for the version with a token, or nil.
func (r *secretRecord) running(token string) *run {
	if r.Rotation == nil || r.Rotation.Run == nil || r.Rotation.Run.Token != token {
		return nil
	}
	return r.Rotation.Run
}

// hanging is the version that has AWSPENDING and not AWSCURRENT: a rotation of it is not complete. "" is none.
func (r *secretRecord) hanging() string {
	if p := r.Labels[pendingLabel]; p != r.Labels[currentLabel] {
		return p
	}
	return ""
}

// switching reports whether AWSCURRENT may be a value that does not log in.
func (r *secretRecord) switching() bool {
	return r.Rotation != nil && r.Rotation.Run != nil && r.Rotation.Run.Switching
}

// rules are the secret's as answers have them.
func (r *rotation) rules() *secretsmanager.RotationRulesType {
	if r == nil || r.Days == 0 && r.Expression == "" && r.Duration == "" {
		return nil
	}
	days := r.Days
	if r.Expression != "" {
		days = r.Every
	}
	return &secretsmanager.RotationRulesType{AutomaticallyAfterDays: optional.NonZero(days), Duration: optional.NonZero(r.Duration), ScheduleExpression: optional.NonZero(r.Expression)}
}

// permitted refuses a RotationToken that is not that of the rotation under way. A function in another account, or one that has assumed a role, shows it that Secrets Manager called it:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html
func (r *secretRecord) permitted(rotationToken *string) error {
	if rotationToken == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(*rotationToken))
	if r.Rotation == nil || r.Rotation.Run == nil || subtle.ConstantTimeCompare(sum[:], r.Rotation.Run.Pass) != 1 {
		return invalidRequest("The rotation token isn't that of a rotation of this secret that is in progress.")
	}
	return nil
}

// replaced is called when somebody has made a version of the secret and given it AWSCURRENT. A rotation to another version is given up in its favor, and the next one counts from now. The
// secret has to be saved.
func (s *Service) replaced(c *call.Call, sec *secret, versionID string) error {
	if sec.Rotation == nil || sec.Labels[currentLabel] != versionID {
		return nil
	}
	r := sec.rotating()
	r.Changed = c.Time
	if r.Run != nil && r.Run.Token == versionID {
		return nil // it is the one that is rotated to, as a function does it
	}
	if pending := sec.hanging(); pending != "" {
		raise(c, sec, eventAbandoned, pending, "")
		if err := s.moveLabel(c, sec, pendingLabel, ""); err != nil {
			return err
		}
	}
	r.Run = nil
	return s.arm(c, sec)
}

// restored is called when the secret's deletion was cancelled: it is rotated as before, and a rotation that was under way goes on.
func (s *Service) restored(c *call.Call, sec *secret) error {
	if sec.Rotation == nil {
		return nil
	}
	if run := sec.Rotation.Run; run != nil {
		run.Until, run.Idle = c.Time.Add(untimely), false
		if err := s.begin(c, sec, run); err != nil {
			return err
		}
	}
	return s.arm(c, sec)
}
