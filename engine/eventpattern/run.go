package eventpattern

import (
	"slices"
	"sort"
)

// run is one event going through an automaton. It is used again for other events: what it knows of one is marked with the event's number.
type run struct {
	reader
	a       *automaton
	event   uint32
	met     []uint32     // by condition: the event that met it by a value found
	hits    [][]int32    // by field: the conditions met
	except  []exceptions // by condition
	decided []decision   // by condition: of those that have to be thought about
	done    []uint32     // by rule: the event that matched it
	matched []int32
	budget  int
	scratch scratch
}

// exceptions counts the values of a field that are exceptions of a condition.
type exceptions struct {
	event uint32
	last  int32
	count int32
}

type decision struct {
	event uint32
	met   bool
}

func newRun(a *automaton) *run {
	n := len(a.conditions)
	return &run{
		a: a, met: make([]uint32, n), except: make([]exceptions, n), decided: make([]decision, n), hits: make([][]int32, len(a.indexes)),
		done: make([]uint32, a.rules), scratch: scratch{seen: map[int32]bool{}},
	}
}

// run takes an event through the automaton. It returns nil if that is none.
func (a *automaton) run(event []byte) *run {
	r := a.runs.Get().(*run)
	if r.event++; r.event == 0 { // after four thousand million events the marks would be those of old ones
		*r = *newRun(a)
		r.event = 1
	}
	r.matched = r.matched[:0]
	r.reset(event, len(a.indexes))
	if r.reader.event(a.root) != nil {
		a.runs.Put(r)
		return nil
	}
	for _, field := range r.present {
		r.hits[field] = r.hits[field][:0]
		for i := range r.values[field] {
			r.look(field, int32(i))
		}
	}
	r.visit(a.tree)
	return r
}

// look marks what a value of a field hits.
func (r *run) look(field, i int32) {
	r.a.indexes[field].look(&r.values[field][i], &r.scratch, func(h hit) {
		id := h.condition()
		if !h.excepted() {
			if r.met[id] != r.event {
				r.met[id] = r.event
				r.hits[field] = append(r.hits[field], id)
			}
			return
		}
		switch x := &r.except[id]; {
		case x.event != r.event:
			*x = exceptions{r.event, i, 1}
		case x.last != i:
			x.last = i
			x.count++
		}
	})
}

// visit goes down the tree from a node whose conditions are met.
func (r *run) visit(n *node) {
	for _, end := range n.ends {
		r.end(&r.a.branches[end])
	}
	for i := range n.absent {
		if r.meets(n.absent[i].condition) {
			r.visit(n.absent[i].to)
		}
	}
	if len(n.groups) <= 2*len(r.present) {
		for i := range n.groups {
			if g := &n.groups[i]; len(r.values[g.field]) > 0 {
				r.visitGroup(g)
			}
		}
		return
	}
	for _, field := range r.present {
		i, ok := slices.BinarySearchFunc(n.groups, field, func(g group, field int32) int { return int(g.field) - int(field) })
		if ok {
			r.visitGroup(&n.groups[i])
		}
	}
}

func (r *run) visitGroup(g *group) {
	if hits := r.hits[g.field]; len(hits) < len(g.narrow) && g.find != nil {
		for _, id := range hits {
			if to := g.find[id]; to != nil {
				r.visit(to)
			}
		}
	} else {
		for i := range g.narrow {
			if e := &g.narrow[i]; r.met[e.condition] == r.event {
				r.visit(e.to)
			}
		}
	}
	for i := range g.broad {
		if e := &g.broad[i]; r.meets(e.condition) {
			r.visit(e.to)
		}
	}
}

// meets reports whether any value of its field meets a condition.
func (r *run) meets(id int32) bool {
	if r.met[id] == r.event {
		return true
	}
	c := &r.a.conditions[id]
	values := r.values[c.field]
	switch {
	case len(values) == 0:
		return c.absent
	case c.but == 0:
		return false
	case c.but == 1:
		x := &r.except[id]
		return x.event != r.event || int(x.count) < len(values)
	}
	// The exceptions of several anything-buts are counted together: think again.
	d := &r.decided[id]
	if d.event != r.event {
		*d = decision{r.event, slices.ContainsFunc(values, func(v value) bool { return c.holds(&v) })}
	}
	return d.met
}

// holds reports whether a value meets a condition.
func (c *compiled) holds(v *value) bool {
	for i := range c.tests {
		if c.tests[i].holds(v) {
			return true
		}
	}
	return false
}

// end is where all conditions of a branch are met: what is left to see is whether elements of arrays that meet them fit together.
func (r *run) end(e *ending) {
	if r.done[e.rule] == r.event || len(r.members) > 1 && len(e.conditions) > 1 && !r.fits(e) {
		return
	}
	r.done[e.rule] = r.event
	r.matched = append(r.matched, e.rule)
}

// fits reports whether the conditions of a branch are met by values that fit together.
func (r *run) fits(e *ending) bool {
	var in [][]int32 // for each condition the members in which it is met
	for _, id := range e.conditions {
		c := &r.a.conditions[id]
		values := r.values[c.field]
		if len(values) == 0 {
			continue // met by its absence
		}
		var members []int32
		for i := range values {
			if c.holds(&values[i]) {
				members = append(members, values[i].member)
			}
		}
		slices.Sort(members)
		in = append(in, slices.Compact(members))
	}
	r.budget = maxFits
	return r.fit(0, in)
}

// maxFits is how often fit looks for one branch. Only an event that names one field in several ways, {"a.b": [...], "a": {"b": [...]}}, can need more
// than its size, and then it does not match.
const maxFits = 100_000

// fit reports whether conditions can be met by values that fit together and lie in a member. in has for each condition the members in which it is met,
// all within that member and in order.
func (r *run) fit(within int32, in [][]int32) bool {
	if r.budget--; r.budget < 0 {
		return false
	}
	var left [][]int32
	for _, members := range in {
		if members[0] != within { // else a value in the member itself meets it, which fits to all
			left = append(left, members)
		}
	}
	if len(left) <= 1 {
		return true
	}
	// Each condition is to be met in one of the arrays in the member. That is one array, unless a field is named in several ways.
	together := map[int32][][]int32{}
	for i, members := range left {
		first, last := r.arrayIn(within, members[0]), r.arrayIn(within, members[len(members)-1])
		if first != last {
			return r.fitSplit(within, left, i, first)
		}
		together[first] = append(together[first], members)
	}
	for id, conditions := range together {
		if len(conditions) > 1 && !r.fitElement(id, conditions) {
			return false
		}
	}
	return true
}

// fitSplit tries condition i in its first array, and then in those behind.
func (r *run) fitSplit(within int32, in [][]int32, i int, id int32) bool {
	cut := sort.Search(len(in[i]), func(j int) bool { return in[i][j] >= r.arrays[id].end })
	try := slices.Clone(in)
	try[i] = in[i][:cut]
	if r.fit(within, try) {
		return true
	}
	try[i] = in[i][cut:]
	return r.fit(within, try)
}

// fitElement reports whether one element of an array can meet all conditions.
func (r *run) fitElement(id int32, in [][]int32) bool {
	fewest := slices.MinFunc(in, func(a, b []int32) int { return len(a) - len(b) })
	for i := 0; i < len(fewest); {
		element := r.elementOf(id, fewest[i])
		end := r.members[element].end
		var inside [][]int32
		for _, members := range in {
			from := sort.Search(len(members), func(j int) bool { return members[j] >= element })
			to := sort.Search(len(members), func(j int) bool { return members[j] >= end })
			if from == to {
				inside = nil
				break
			}
			inside = append(inside, members[from:to])
		}
		if inside != nil && r.fit(element, inside) {
			return true
		}
		for i < len(fewest) && fewest[i] < end {
			i++
		}
	}
	return false
}

// arrayIn is the array, directly in a member, in which a member below lies.
func (r *run) arrayIn(within, m int32) int32 {
	for r.members[m].parent != within {
		m = r.members[m].parent
	}
	return r.members[m].array
}

// elementOf is the element of an array in which a member lies.
func (r *run) elementOf(id, m int32) int32 {
	for r.members[m].array != id {
		m = r.members[m].parent
	}
	return m
}
