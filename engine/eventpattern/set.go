package eventpattern

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Set holds the patterns of many rules, each under a key. It is safe for concurrent use.
type Set[K comparable] struct {
	// current is the matcher of what is in the set, or nil if that has changed.
	current atomic.Pointer[Matcher[K]]
	// mu guards what follows, and that only one matcher is made at a time.
	mu       sync.Mutex
	patterns map[K]*Pattern
	order    []K
}

// NewSet returns an empty set.
func NewSet[K comparable]() *Set[K] { return &Set[K]{patterns: map[K]*Pattern{}} }

// Add puts a pattern into the set, in the place of an earlier one with the key.
func (s *Set[K]) Add(key K, p *Pattern) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.patterns[key]; !ok {
		s.order = append(s.order, key)
	}
	s.patterns[key] = p
	s.current.Store(nil)
}

// Remove takes a pattern out of the set.
func (s *Set[K]) Remove(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.patterns[key]; !ok {
		return
	}
	delete(s.patterns, key)
	s.order = slices.DeleteFunc(s.order, func(k K) bool { return k == key })
	s.current.Store(nil)
}

// Len returns how many patterns are in the set.
func (s *Set[K]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

// Matcher returns the matcher of what is in the set. It is made anew only after a change, by whoever asks first.
func (s *Set[K]) Matcher() *Matcher[K] {
	if m := s.current.Load(); m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.current.Load(); m != nil {
		return m
	}
	b := newBuilder()
	for i, key := range s.order {
		b.add(int32(i), s.patterns[key])
	}
	m := &Matcher[K]{keys: slices.Clone(s.order), automaton: b.build()}
	s.current.Store(m)
	return m
}

// Matcher finds the rules that an event matches. It is immutable: a change of the set that it comes from makes another. It is safe for concurrent use,
// and never locks.
type Matcher[K comparable] struct {
	keys      []K
	automaton *automaton
}

// Match returns the keys of all patterns that match an event, in the order in which they were added. What is no event matches none: see Check.
func (m *Matcher[K]) Match(event []byte) []K {
	if len(m.keys) == 0 {
		return nil
	}
	run := m.automaton.run(event)
	if run == nil {
		return nil
	}
	defer m.automaton.runs.Put(run)
	slices.Sort(run.matched)
	var keys []K
	for _, rule := range run.matched {
		keys = append(keys, m.keys[rule])
	}
	return keys
}

// The automaton of a set has for each field that patterns name an index, which finds the conditions that a value meets, and a tree of conditions. Each
// alternative of each pattern is a path of the tree: its conditions, those that least patterns share first. Conditions that only something unusual does
// not meet (anything-but, or that a field is absent) come last. An event goes down the tree wherever it meets the condition, so that it comes past few
// patterns but those that it matches.
type automaton struct {
	root       *step
	indexes    []*index
	conditions []compiled
	tree       *node
	branches   []ending
	rules      int
	runs       sync.Pool
}

// compiled is a condition with what it takes to know whether an event meets it.
type compiled struct {
	field  int32
	tests  []test
	but    int  // how many tests are anything-but
	absent bool // one test is for what is absent
}

// rank orders the conditions of a branch: what values find, what they except, what is absent.
func (c *compiled) rank() int {
	switch {
	case c.absent:
		return 2
	case c.but > 0:
		return 1
	}
	return 0
}

// ending is where a branch ends in the tree.
type ending struct {
	rule       int32
	conditions []int32
}

// node is a node of the tree of conditions.
type node struct {
	ends   []int32 // branches
	groups []group // by field
	absent []edge  // conditions that may be met by a field that is absent
	byID   map[int32]*node
}

// group are the edges for one field.
type group struct {
	field  int32
	narrow []edge          // which values find
	find   map[int32]*node // the same, if they are many
	broad  []edge          // anything-but
}

type edge struct {
	condition int32
	to        *node
}

// builder makes an automaton.
type builder struct {
	a      *automaton
	paths  map[string]int32
	known  map[string]int32 // conditions, by what they say
	shared []int            // in how many branches a condition is
}

func newBuilder() *builder {
	return &builder{a: &automaton{root: newStep(), tree: &node{}}, paths: map[string]int32{}, known: map[string]int32{}}
}

func (b *builder) add(rule int32, p *Pattern) {
	for _, branch := range p.branches {
		e := ending{rule: rule}
		for i := range branch {
			id := b.condition(&branch[i])
			b.shared[id]++
			e.conditions = append(e.conditions, id)
		}
		b.a.branches = append(b.a.branches, e)
	}
}

// condition returns the number of a condition, the same for all that say the same.
func (b *builder) condition(c *condition) int32 {
	said := c.said()
	if id, ok := b.known[said]; ok {
		return id
	}
	field, ok := b.paths[c.path]
	if !ok {
		field = int32(len(b.paths))
		b.paths[c.path] = field
		b.a.root.into(c.path).field = field
		b.a.indexes = append(b.a.indexes, newIndex())
	}
	id := int32(len(b.a.conditions))
	b.known[said] = id
	b.shared = append(b.shared, 0)
	made := compiled{field: field, tests: c.tests}
	for i := range c.tests {
		t := &c.tests[i]
		switch t.kind {
		case testBut:
			made.but++
			for j := range t.except {
				b.a.indexes[field].add(&t.except[j], hit(id<<1|1))
			}
		case testAbsent:
			made.absent = true
		default:
			b.a.indexes[field].add(t, hit(id<<1))
		}
	}
	b.a.conditions = append(b.a.conditions, made)
	return id
}

// said is what a condition says, as a text.
func (c *condition) said() string {
	var b strings.Builder
	b.WriteString(strconv.Quote(c.path))
	sayTests(&b, c.tests)
	return b.String()
}

func sayTests(b *strings.Builder, tests []test) {
	for i := range tests {
		t := &tests[i]
		b.WriteByte('A' + byte(t.kind))
		switch t.kind {
		case testBut:
			b.WriteByte('(')
			sayTests(b, t.except)
			b.WriteByte(')')
		case testNumber:
			if b.WriteString(t.number.text); t.number.comparable {
				b.WriteString("=" + strconv.FormatInt(t.number.millionths, 10))
			}
		case testRange:
			b.WriteString(strconv.FormatInt(t.low, 10) + "," + strconv.FormatInt(t.high, 10))
		case testAddress, testNetwork:
			b.WriteString(t.network.String())
		default:
			b.WriteString(strconv.Quote(t.text))
		}
		b.WriteByte(';')
	}
}

// build finishes the automaton.
func (b *builder) build() *automaton {
	a := b.a
	for _, x := range a.indexes {
		x.seal()
	}
	for i := range a.branches {
		e := &a.branches[i]
		slices.SortFunc(e.conditions, func(x, y int32) int {
			return cmp.Or(cmp.Compare(a.conditions[x].rank(), a.conditions[y].rank()), cmp.Compare(b.shared[x], b.shared[y]), cmp.Compare(x, y))
		})
		n := a.tree
		for _, id := range e.conditions {
			n = n.into(id)
		}
		n.ends = append(n.ends, int32(i))
		a.rules = max(a.rules, int(e.rule)+1)
	}
	a.tree.seal(a.conditions)
	a.runs.New = func() any { return newRun(a) }
	return a
}

// into is the node behind a condition, made if it is missing.
func (n *node) into(condition int32) *node {
	next := n.byID[condition]
	if next == nil {
		next = &node{}
		if n.byID == nil {
			n.byID = map[int32]*node{}
		}
		n.byID[condition] = next
	}
	return next
}

// few is up to how many edges are tried one by one.
const few = 8

// seal sorts the edges of a node, and of those below.
func (n *node) seal(conditions []compiled) {
	groups := map[int32]*group{}
	for id, next := range n.byID {
		next.seal(conditions)
		c := &conditions[id]
		if c.absent {
			n.absent = append(n.absent, edge{id, next})
			continue
		}
		g := groups[c.field]
		if g == nil {
			g = &group{field: c.field}
			groups[c.field] = g
		}
		if c.but > 0 {
			g.broad = append(g.broad, edge{id, next})
		} else {
			g.narrow = append(g.narrow, edge{id, next})
		}
	}
	for _, g := range groups {
		if len(g.narrow) > few {
			g.find = make(map[int32]*node, len(g.narrow))
			for _, e := range g.narrow {
				g.find[e.condition] = e.to
			}
		}
		n.groups = append(n.groups, *g)
	}
	slices.SortFunc(n.groups, func(x, y group) int { return cmp.Compare(x.field, y.field) })
	n.byID = nil
}
