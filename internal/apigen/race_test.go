//go:build race

package apigen

func init() { underRace = true }
