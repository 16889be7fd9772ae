package wire

// Rule is a kind of constraint, for services that answer each with a reason of its own.
type Rule uint8

const (
	RuleNone Rule = iota
	RuleRequired
	RuleMinLength
	RuleMaxLength
	RuleMinValue
	RuleMaxValue
	RulePattern
	RuleEnum
	RuleItem // any of them, for what is in a list or a map
)
