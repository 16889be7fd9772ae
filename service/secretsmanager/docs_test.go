package secretsmanager_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// TestGoTour is the tour in Go of docs/secrets.md. What the document prints is compared instead.
func TestGoTour(t *testing.T) {
	ctx := t.Context()
	// tour
	c := cloudtest.Start(t)
	secrets := secretsmanager.NewFromConfig(c.Config())
	_, err := secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("prod/api"), SecretString: aws.String("first")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("prod/api"), SecretString: aws.String("second")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/api")})
	if err != nil {
		t.Fatal(err)
	}
	// end
	if *out.SecretString != "second" {
		t.Errorf("it says %q", *out.SecretString)
	}
	doc := must(os.ReadFile("../../docs/secrets.md"))(t)
	own := must(os.ReadFile("docs_test.go"))(t)
	block := regexp.MustCompile("(?s)```go\n(.*?)fmt.Println").FindSubmatch(doc)
	_, code, _ := strings.Cut(string(own), "\t// tour\n")
	code, _, _ = strings.Cut(code, "\t// end\n")
	code = strings.ReplaceAll(strings.TrimPrefix(code, "\t"), "\n\t", "\n")
	if block == nil || string(block[1]) != code {
		t.Errorf("docs/secrets.md has another tour:\n%s\nwant:\n%s", block[1], code)
	}
}
