package apigen

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// export makes an exported Go identifier of a name of the model and keeps AWS's spelling as far as Go can:
// "keyId" becomes KeyId, "__listOf__string" ListOf__string.
func export(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, strings.TrimLeft(name, "_"))
	return capital(name)
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// reserved are the exported identifiers that each generated package has besides those of the model.
var reserved = []string{"Client", "Endpoints", "Handler", "Operations", "Service", "Unimplemented"}

// fieldName is the Go name of a member of a structure. Where the shape has a method of that name, the field
// gives way.
func (m *Model) fieldName(s *Shape, member string) string {
	name := export(member)
	taken := false
	switch name {
	case "ReadMembers", "Schema", "WriteMembers":
		taken = true
	case "Error":
		taken = s.Exception
	case "SetStream", "Stream":
		taken = m.streamOf(s) != nil
	}
	if taken {
		return name + "_"
	}
	return name
}

// name chooses the Go names of all reachable shapes. Exported names that clash are an error: the table of
// special cases has to say which one gives way. Others are numbered, in the order of the model's names.
func (g *service) name() error {
	taken := map[string]string{}
	for _, name := range reserved {
		taken[name] = "generated code"
	}
	for _, op := range g.operations {
		taken["Op"+op] = "the operation " + op
	}
	g.types, g.idents = map[string]string{}, map[string]string{}
	used := map[string]bool{}
	for _, name := range g.shapes {
		s := g.model.Shapes[name]
		goName := export(name)
		if renamed, ok := g.special.rename[name]; ok {
			goName = renamed
		}
		ident := goName
		for n := 2; used[ident]; n++ {
			ident = goName + "_" + strconv.Itoa(n)
		}
		used[ident] = true
		g.idents[name] = ident

		switch kindOf(s) {
		case "Struct", "Union", "Enum":
			if other, ok := taken[goName]; ok {
				return fmt.Errorf("%s: %s wants the name of %s", g.model.Folder, name, other)
			}
			taken[goName] = "the shape " + name
			g.types[name] = goName
		}
		fields := map[string]bool{}
		for _, member := range s.Members {
			if f := g.model.fieldName(s, member.Name); fields[f] {
				return fmt.Errorf("%s: %s has two members for the field %s", g.model.Folder, name, f)
			} else {
				fields[f] = true
			}
		}
	}
	g.constants = map[string][]string{}
	for _, name := range g.shapes {
		s := g.model.Shapes[name]
		for i, value := range s.Enum {
			constant := g.types[name] + constantName(value, i)
			for n := 2; ; n++ {
				if _, ok := taken[constant]; !ok {
					break
				}
				constant = g.types[name] + constantName(value, i) + "_" + strconv.Itoa(n)
			}
			taken[constant] = "a value of " + name
			g.constants[name] = append(g.constants[name], constant)
		}
	}
	return nil
}

// constantName is what a value adds to the name of its enumeration, as the AWS SDK for Go v2 spells it:
// "RSA_2048" is Rsa2048, "public-read" PublicRead, "GenerateDataKey" itself.
func constantName(value string, index int) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return !isWord(r) }) {
		if word == strings.ToUpper(word) {
			word = strings.ToLower(word)
		}
		b.WriteString(capital(word))
	}
	if b.Len() == 0 {
		return "Value" + strconv.Itoa(index+1) // such as "*" or "=="
	}
	return b.String()
}

func isWord(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// packageName is the Go package of a model's folder.
func packageName(folder string) string { return strings.ReplaceAll(folder, "-", "") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
