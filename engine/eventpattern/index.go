package eventpattern

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// hit is what a value is found to be: a condition that it meets, or one whose exception it is, which are told apart by the last bit.
type hit int32

func (h hit) condition() int32 { return int32(h >> 1) }
func (h hit) excepted() bool   { return h&1 != 0 }

// index finds what a value of one field hits.
type index struct {
	exists   []hit
	literals [3][]hit // of true, false and null
	strings  map[string][]hit
	folds    map[string][]hit
	numbers  map[int64][]hit
	big      map[string][]hit // numbers that cannot be compared, by how they are written
	ranges   intervals
	networks networks

	prefixes, suffixes, foldPrefixes, foldSuffixes affixes // suffixes are reversed

	// Wildcards are found by the piece they begin with, or end with, or by the longest; those finds are places in wildcards, where all pieces are.
	begun, ended affixes
	inside       substrings
	wildcards    []wildcard
	anyString    []hit // of a wildcard that is an asterisk
}

type wildcard struct {
	pieces []string
	hit    hit
}

func newIndex() *index {
	return &index{strings: map[string][]hit{}, folds: map[string][]hit{}, numbers: map[int64][]hit{}, big: map[string][]hit{}}
}

// add adds a test. Those for what is absent, and anything-but, are not found by values; the exceptions of the latter are.
func (x *index) add(t *test, h hit) {
	switch t.kind {
	case testExists:
		x.exists = append(x.exists, h)
	case testLiteral:
		i := literal(t.text[0])
		x.literals[i] = append(x.literals[i], h)
	case testString:
		x.strings[t.text] = append(x.strings[t.text], h)
	case testFold:
		x.folds[t.text] = append(x.folds[t.text], h)
	case testNumber:
		if n := &t.number; n.comparable {
			x.numbers[n.millionths] = append(x.numbers[n.millionths], h)
		} else {
			x.big[n.text] = append(x.big[n.text], h)
		}
	case testRange:
		x.ranges.add(t.low, t.high, h)
	case testAddress, testNetwork:
		x.networks.add(t.network, h)
	case testPrefix:
		x.prefixes.add(t.text, h)
	case testPrefixFold:
		x.foldPrefixes.add(t.text, h)
	case testSuffix:
		x.suffixes.add(string(reverse(nil, t.text)), h)
	case testSuffixFold:
		x.foldSuffixes.add(string(reverse(nil, t.text)), h)
	case testWildcard:
		x.addWildcard(wildcard{t.pieces, h})
	}
}

func (x *index) addWildcard(w wildcard) {
	place := hit(len(x.wildcards))
	longest := slices.MaxFunc(w.pieces, func(a, b string) int { return len(a) - len(b) })
	switch first, last := w.pieces[0], w.pieces[len(w.pieces)-1]; {
	case len(w.pieces) == 1:
		x.strings[first] = append(x.strings[first], w.hit)
		return
	case longest == "":
		x.anyString = append(x.anyString, w.hit)
		return
	case first != "":
		x.begun.add(first, place)
	case last != "":
		x.ended.add(string(reverse(nil, last)), place)
	default:
		x.inside.add(longest, place)
	}
	x.wildcards = append(x.wildcards, w)
}

// seal makes the index ready to be asked.
func (x *index) seal() {
	for _, a := range []*affixes{&x.prefixes, &x.suffixes, &x.foldPrefixes, &x.foldSuffixes, &x.begun, &x.ended} {
		a.seal()
	}
	x.inside.seal()
	x.ranges.seal()
}

func literal(first byte) int { return strings.IndexByte("tfn", first) }

// scratch is memory that look uses again and again.
type scratch struct {
	text []byte
	seen map[int32]bool
}

// look calls found with what a value hits; a hit may come more than once.
func (x *index) look(v *value, s *scratch, found func(hit)) {
	each(x.exists, found)
	switch v.kind {
	case valueLiteral:
		each(x.literals[literal(v.text[0])], found)
	case valueNumber:
		each(x.numbers[v.number], found)
		x.ranges.look(v.number, found)
	case valueBigNumber:
		each(x.big[string(v.text)], found)
	case valueString:
		each(x.strings[string(v.text)], found)
		x.prefixes.look(v.text, found)
		x.networks.look(v.text, found)
		each(x.anyString, found)
		wild := func(place hit) {
			if w := &x.wildcards[place]; matchPieces(w.pieces, v.text) {
				found(w.hit)
			}
		}
		x.begun.look(v.text, wild)
		x.inside.look(v.text, s.seen, wild)
		if !x.suffixes.empty() || !x.ended.empty() {
			s.text = reverse(s.text[:0], v.text)
			x.suffixes.look(s.text, found)
			x.ended.look(s.text, wild)
		}
		x.lookFolded(v.text, s, found)
	}
}

func (x *index) lookFolded(text []byte, s *scratch, found func(hit)) {
	if len(x.folds) == 0 && x.foldPrefixes.empty() && x.foldSuffixes.empty() {
		return
	}
	s.text = appendFold(s.text[:0], text)
	each(x.folds[string(s.text)], found)
	x.foldPrefixes.look(s.text, found)
	if !x.foldSuffixes.empty() {
		slices.Reverse(s.text)
		x.foldSuffixes.look(s.text, found)
	}
}

func each(hits []hit, found func(hit)) {
	for _, h := range hits {
		found(h)
	}
}

func reverse[T string | []byte](to []byte, text T) []byte {
	for i := len(text) - 1; i >= 0; i-- {
		to = append(to, text[i])
	}
	return to
}

// affixes finds which of many prefixes a text has. They are sorted, each with the next shorter one that it begins with itself, so that all prefixes of a
// text are one chain, whose longest is at or above the last that does not sort behind the text.
type affixes struct {
	added map[string][]hit // until sealed
	texts []string
	hits  [][]hit
	above []int32 // the next shorter prefix, or -1
}

func (a *affixes) empty() bool { return len(a.texts) == 0 }

func (a *affixes) add(text string, h hit) {
	if a.added == nil {
		a.added = map[string][]hit{}
	}
	a.added[text] = append(a.added[text], h)
}

func (a *affixes) seal() {
	for text := range a.added {
		a.texts = append(a.texts, text)
	}
	slices.Sort(a.texts)
	for i, text := range a.texts {
		a.hits = append(a.hits, a.added[text])
		up := int32(i - 1)
		for up >= 0 && !strings.HasPrefix(text, a.texts[up]) {
			up = a.above[up]
		}
		a.above = append(a.above, up)
	}
	a.added = nil
}

func (a *affixes) look(text []byte, found func(hit)) {
	if len(a.texts) == 0 {
		return
	}
	i := int32(sort.Search(len(a.texts), func(i int) bool { return a.texts[i] > string(text) }) - 1)
	for i >= 0 && (len(a.texts[i]) > len(text) || a.texts[i] != string(text[:len(a.texts[i])])) {
		i = a.above[i]
	}
	for ; i >= 0; i = a.above[i] {
		each(a.hits[i], found)
	}
}

// intervals finds which of many ranges a number is in. They are sorted by where they begin and are a tree whose root is in the middle, with the highest
// end in each part of it.
type intervals struct {
	all     []interval
	highest []int64
}

type interval struct {
	low, high int64
	hit       hit
}

func (t *intervals) add(low, high int64, h hit) { t.all = append(t.all, interval{low, high, h}) }

func (t *intervals) seal() {
	slices.SortFunc(t.all, func(a, b interval) int { return cmp.Compare(a.low, b.low) })
	t.highest = make([]int64, len(t.all))
	t.sealPart(0, len(t.all))
}

func (t *intervals) sealPart(from, to int) int64 {
	if from >= to {
		return -limit - 1
	}
	mid := (from + to) / 2
	t.highest[mid] = max(t.all[mid].high, t.sealPart(from, mid), t.sealPart(mid+1, to))
	return t.highest[mid]
}

func (t *intervals) look(n int64, found func(hit)) { t.lookPart(0, len(t.all), n, found) }

func (t *intervals) lookPart(from, to int, n int64, found func(hit)) {
	if from >= to {
		return
	}
	mid := (from + to) / 2
	if t.highest[mid] < n {
		return
	}
	t.lookPart(from, mid, n, found)
	if t.all[mid].low > n {
		return
	}
	if t.all[mid].high >= n {
		found(t.all[mid].hit)
	}
	t.lookPart(mid+1, to, n, found)
}

// networks finds which of many networks an IP address is in.
type networks struct {
	hits   map[netip.Prefix][]hit
	v4, v6 []int // the lengths there are
}

func (n *networks) add(network netip.Prefix, h hit) {
	if n.hits == nil {
		n.hits = map[netip.Prefix][]hit{}
	}
	n.hits[network] = append(n.hits[network], h)
	lengths := &n.v6
	if network.Addr().Is4() {
		lengths = &n.v4
	}
	if !slices.Contains(*lengths, network.Bits()) {
		*lengths = append(*lengths, network.Bits())
	}
}

func (n *networks) look(text []byte, found func(hit)) {
	if n.hits == nil {
		return
	}
	ip, ok := parseAddress(text)
	if !ok {
		return
	}
	lengths := n.v6
	if ip.Is4() {
		lengths = n.v4
	}
	for _, bits := range lengths {
		if network, err := ip.Prefix(bits); err == nil {
			each(n.hits[network], found)
		}
	}
}
