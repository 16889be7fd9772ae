package logs

func (s *Service) dropFilters(g *group) error                                { return nil }
func (s *Service) filtered(g *group, st *streamRecord, events []event) error { return nil }
