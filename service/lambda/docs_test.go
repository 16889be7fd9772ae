package lambda_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// The function that docs/lambda.md begins with answers what it is asked, more than once.
func TestDocumentedFunction(t *testing.T) {
	page, err := os.ReadFile("../../docs/lambda.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "cat > bootstrap <<'END'\n")
	script, _, found := strings.Cut(rest, "END\n")
	if !found {
		t.Fatal("there is no bootstrap in docs/lambda.md")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	h := start(t)
	h.create("hello", func(in *lambda.CreateFunctionInput) {
		in.Handler, in.Code, in.Timeout = aws.String("bootstrap"), &types.FunctionCode{ZipFile: zipOf("bootstrap", script)}, aws.Int32(30)
	})
	for _, event := range []string{`{"who":"you"}`, `{"who":"me"}`} {
		if out := h.invoke("hello", event); out.FunctionError != nil || string(out.Payload) != event {
			t.Errorf("%s is answered with %s, %s", event, out.Payload, aws.ToString(out.FunctionError))
		}
	}
}
