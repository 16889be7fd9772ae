package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a reference of two services.
func small() *reference {
	return &reference{
		keys: map[string]string{"aws:TagKeys": "ArrayOfString", "aws:ResourceTag/${TagKey}": "String", "box:Color": "String"},
		services: []service{
			{prefix: "box", name: "Boxes", actions: []action{
				{name: "DescribeBox", level: "Read"}, {name: "DescribeBoxes", level: "List"}, {name: "GetBox", level: "Read"},
				{name: "GetBoxContent", level: "Read"}, {name: "GetBoxTicket", level: "Read"}, {name: "GetawayBox", level: "Write"},
				{name: "InvokeBox", level: "Read"}, {name: "ListBoxes", level: "List", keys: []string{"box:Color"}},
				{name: "ListLids", level: "List", keys: []string{"box:Color"}}, {name: "OpenBox", level: "Write", resources: []string{"arn:box"}},
				{name: "TagBox", level: "Tagging"},
			}},
			{prefix: "lid", name: "Lids of Boxes", actions: []action{{name: "GetLid", level: "Read"}, {name: "ShutLid", level: "Permissions management"}}},
		},
	}
}

const smallLevels = `verb Get List Describe Invoke # what reads
audit-verb Get List Describe
view-verb Describe
never box:GetBoxTicket # opens boxes
data *:*Content
also audit box:OpenBox
`

func TestEmit(t *testing.T) {
	ref := small()
	levels, err := parseLevels(smallLevels, ref)
	if err != nil {
		t.Fatal(err)
	}
	table, err := parseTable(`
policy / Read ANPAAAAAAAAAAAAAAAAAA
  says Reads.
  allow read@*
policy /job-function/ Audit
  allow audit@* # not read
`)
	if err == nil {
		_, err = emit(table, ref, levels)
	}
	if err == nil || !strings.Contains(err.Error(), "# matches no action") {
		t.Errorf("a comment behind actions: %v", err)
	}

	for _, c := range []struct{ name, policy, want string }{
		{"Read", "allow read@*", `{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["box:Describe*","box:GetBox","box:GetBoxContent","box:InvokeBox","box:List*"],"Resource":"*"},
{"Effect":"Allow","Action":"lid:GetLid","Resource":"*"}
]}`},
		{"View", "allow view@*", `{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["box:Describe*","box:List*"],"Resource":"*"}
]}`},
		{"Audit", "allow audit@box lid:*", `{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","Action":["box:Describe*","box:GetBox","box:List*","box:OpenBox","lid:*"],"Resource":"*"}
]}`},
		{"Full", `deny-not box:OpenBox box:TagBox
    lid:GetLid
    not-on arn:aws:box:*:*:a
    not-on arn:aws:box:*:*:b
    if StringEquals aws:ResourceTag/Team red
    if StringEquals box:color blue green
    if ForAnyValue:StringLike aws:TagKeys x*
    sid Here`, `{"Version":"2012-10-17","Statement":[
{"Sid":"Here","Effect":"Deny","NotAction":["box:OpenBox","box:TagBox","lid:GetLid"],"NotResource":["arn:aws:box:*:*:a","arn:aws:box:*:*:b"],"Condition":{"StringEquals":{"aws:ResourceTag/Team":"red","box:color":["blue","green"]},"ForAnyValue:StringLike":{"aws:TagKeys":"x*"}}}
]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := parseTable("policy / P\n" + c.policy)
			if err != nil {
				t.Fatal(err)
			}
			got, err := table[0].document(ref, levels)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	ref := small()
	for name, text := range map[string]string{
		"NoPolicy":        "says Hello.",
		"NoName":          "policy /",
		"NoStatement":     "policy / P\n on arn:aws:box:*:*:a",
		"EmptyPolicy":     "policy / P",
		"UnknownAction":   "policy / P\n allow box:ShutBox",
		"UnknownSet":      "policy / P\n allow all@box",
		"UnknownService":  "policy / P\n allow read@crate",
		"UnknownKey":      "policy / P\n allow box:OpenBox\n if Bool box:Colour true",
		"NoValue":         "policy / P\n allow box:OpenBox\n if Bool box:Color",
		"OperatorsApart":  "policy / P\n allow box:OpenBox\n if Bool box:Color 1\n if Null box:Color 1\n if Bool aws:TagKeys 1",
		"SamePolicyTwice": "policy / P\n allow box:OpenBox\npolicy / P\n allow box:OpenBox",
	} {
		t.Run(name, func(t *testing.T) {
			levels, err := parseLevels(smallLevels, ref)
			if err != nil {
				t.Fatal(err)
			}
			table, err := parseTable(text)
			if err == nil {
				_, err = emit(table, ref, levels)
			}
			if err == nil {
				t.Errorf("taken: %q", text)
			}
		})
	}
	for name, text := range map[string]string{"UnknownWord": "verbs Get", "MatchesNothing": "never box:Shut*", "UnknownService": "data crate:*"} {
		t.Run("Levels"+name, func(t *testing.T) {
			if _, err := parseLevels(text, ref); err == nil {
				t.Errorf("taken: %q", text)
			}
		})
	}
}

func TestPack(t *testing.T) {
	want := `K ArrayOfString aws:TagKeys
K String aws:ResourceTag/${TagKey} box:Color
S box Boxes
R arn:box
C box:Color
A List - - DescribeBoxes
A List - 0 ListBoxes ListLids
A Read - - DescribeBox GetBox GetBoxContent GetBoxTicket InvokeBox
A Tagging - - TagBox
A Write - - GetawayBox
A Write 0 - OpenBox
S lid Lids of Boxes
R
C
A Permissions_management - - ShutLid
A Read - - GetLid
`
	if diff := cmp.Diff(want, string(small().pack())); diff != "" {
		t.Errorf("pack (-want +got):\n%s", diff)
	}
}
