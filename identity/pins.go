package identity

import (
	"maps"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// Pins are the unique IDs of the users and roles that a resource's policy names, by their ARNs, at the time it was put. They are kept with the policy:
// somebody who is made later under the name of one that is gone is somebody else.
type Pins map[string]string

// Pin finds everybody whom a policy names. The first who is nobody is returned as unknown.
func (d *Directory) Pin(r store.Reader, p *policy.Policy) (pins Pins, unknown string, err error) {
	for ref := range p.Principals() {
		if ref.Type != "AWS" || ref.Value == "*" || isUniqueID(ref.Value) {
			continue
		}
		there, id, err := d.Find(r, ref.Value)
		if err != nil {
			return nil, "", err
		}
		if !there {
			return nil, ref.Value, nil
		}
		if id != "" {
			if pins == nil {
				pins = make(Pins)
			}
			pins[ref.Value] = id
		}
	}
	return pins, "", nil
}

// Adopt returns the pins of a policy that comes from another directory. Whom it names is who has the name here. Who has nobody's name here keeps the ID from there, which is nobody's
// here, not even of one who is made later under the name.
func (d *Directory) Adopt(r store.Reader, foreign Pins) (pins Pins, err error) {
	if len(foreign) > 0 {
		pins = maps.Clone(foreign)
	}
	for name := range foreign {
		there, id, err := d.Find(r, name)
		if err != nil {
			return nil, err
		}
		if there && id != "" {
			pins[name] = id
		}
	}
	return pins, nil
}

// isUniqueID reports whether a principal is the ID that stands in a policy for one who is gone.
func isUniqueID(name string) bool {
	return len(name) > 4 && (name[:4] == "AIDA" || name[:4] == "AROA")
}

// Bind returns the policy for those alone whom it was written for.
func (pins Pins) Bind(p *policy.Policy) *policy.Policy {
	if len(pins) == 0 {
		return p
	}
	return p.Bind(func(ref policy.PrincipalRef) string { return pins[ref.Value] })
}

// Show returns the policy's text as AWS shows it: with unique IDs in place of those who are gone.
func (d *Directory) Show(r store.Reader, p *policy.Policy, pins Pins) (text string, err error) {
	if len(pins) == 0 {
		return p.Text(), nil
	}
	text = p.Rewrite(func(ref policy.PrincipalRef) string {
		pin := pins[ref.Value]
		if pin == "" || ref.Type != "AWS" {
			return ref.Value
		}
		there, id, ferr := d.Find(r, ref.Value)
		if ferr != nil {
			err = ferr
		}
		if there && id == pin {
			return ref.Value
		}
		return pin
	})
	return text, err
}
