package eventpattern

// substrings finds which of many texts are in a text, in one pass over it, by the method of Aho and Corasick: a tree of the texts, in which each node
// knows the node of the longest end of what led to it that other texts begin with.
type substrings struct{ nodes []substring }

type substring struct {
	next map[byte]int32
	back int32 // to the longest end that is a node
	more int32 // to the longest end that is a text, or 0
	hits []hit
}

func (s *substrings) add(text string, h hit) {
	if s.nodes == nil {
		s.nodes = []substring{{}}
	}
	at := int32(0)
	for i := range len(text) {
		next, ok := s.nodes[at].next[text[i]]
		if !ok {
			next = int32(len(s.nodes))
			s.nodes = append(s.nodes, substring{})
			if s.nodes[at].next == nil {
				s.nodes[at].next = map[byte]int32{}
			}
			s.nodes[at].next[text[i]] = next
		}
		at = next
	}
	s.nodes[at].hits = append(s.nodes[at].hits, h)
}

// seal links the nodes, those near the root first.
func (s *substrings) seal() {
	if s.nodes == nil {
		return
	}
	queue := []int32{0}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for c, next := range s.nodes[at].next {
			n := &s.nodes[next]
			if at != 0 {
				n.back = s.step(s.nodes[at].back, c)
			}
			if n.more = n.back; len(s.nodes[n.back].hits) == 0 {
				n.more = s.nodes[n.back].more
			}
			queue = append(queue, next)
		}
	}
}

// step is where a byte leads from a node.
func (s *substrings) step(at int32, c byte) int32 {
	for {
		if next, ok := s.nodes[at].next[c]; ok {
			return next
		}
		if at == 0 {
			return 0
		}
		at = s.nodes[at].back
	}
}

// look calls found with the hits of the texts in a text. seen is memory to use.
func (s *substrings) look(text []byte, seen map[int32]bool, found func(hit)) {
	if s.nodes == nil {
		return
	}
	clear(seen)
	at := int32(0)
	for _, c := range text {
		at = s.step(at, c)
		n := at
		if len(s.nodes[n].hits) == 0 {
			n = s.nodes[n].more
		}
		for ; n != 0 && !seen[n]; n = s.nodes[n].more { // behind one that was seen all were seen
			seen[n] = true
			each(s.nodes[n].hits, found)
		}
	}
}
