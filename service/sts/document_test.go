package sts_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	api "github.com/holdfast-cloud/holdfast/api/sts"
)

// docs/sts.md has every operation of the model, and names tests that are there.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/sts.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			text, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests = append(tests, m[1])
			}
		}
	}
	rows := regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no, answered by name) \| (.*) \|$`).FindAllStringSubmatch(string(doc), -1)
	for _, op := range api.Operations() {
		i := slices.IndexFunc(rows, func(r []string) bool { return r[1] == op.Name })
		if i < 0 {
			t.Errorf("docs/sts.md lacks %s", op.Name)
			continue
		}
		for name := range strings.SplitSeq(rows[i][3], ", ") {
			if !slices.Contains(tests, name) {
				t.Errorf("docs/sts.md names %s for %s, and there is no such test", name, op.Name)
			}
		}
	}
}

func TestMissing(t *testing.T) {
	h := build(t)
	_, err := h.user(home, "ann", allow(`"*"`)).GetDelegatedAccessToken(t.Context(), &sts.GetDelegatedAccessTokenInput{TradeInToken: aws.String("token")})
	wantError(t, err, "NotImplemented", "Holdfast does not implement sts:GetDelegatedAccessToken.")
}
