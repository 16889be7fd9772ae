package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func filter(key types.FilterNameStringType, values ...string) []types.Filter {
	return []types.Filter{{Key: key, Values: values}}
}

func TestListSecrets(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	for _, x := range []struct{ name, description, tag string }{
		{"prod/db", "Shop database", "red"}, {"prod/api", "Key of the shop", "blue"}, {"test/db", "", "red"}, {"Zoo", "Lions", ""},
	} {
		h.create(x.name, x.name, func(in *secretsmanager.CreateSecretInput) {
			if x.description != "" {
				in.Description = &x.description
			}
			if x.tag != "" {
				in.Tags = []types.Tag{{Key: aws.String("Team"), Value: &x.tag}}
			}
		})
		h.Advance(time.Minute)
	}
	list := func(in *secretsmanager.ListSecretsInput) string {
		t.Helper()
		var names []string
		for {
			l := must(h.ListSecrets(ctx, in))(t)
			for _, s := range l.SecretList {
				names = append(names, *s.Name)
			}
			if in.NextToken = l.NextToken; in.NextToken == nil {
				return strings.Join(names, " ")
			}
		}
	}
	for _, x := range []struct {
		name string
		in   secretsmanager.ListSecretsInput
		want string
	}{
		{"All", secretsmanager.ListSecretsInput{}, "prod/db prod/api test/db Zoo"},
		{"Pages", secretsmanager.ListSecretsInput{MaxResults: aws.Int32(1)}, "prod/db prod/api test/db Zoo"},
		{"Descending", secretsmanager.ListSecretsInput{SortOrder: types.SortOrderTypeDesc, MaxResults: aws.Int32(3)}, "Zoo test/db prod/api prod/db"},
		{"ByName", secretsmanager.ListSecretsInput{SortBy: types.SortByTypeName}, "Zoo prod/api prod/db test/db"},
		{"Name", secretsmanager.ListSecretsInput{Filters: filter("name", "prod/")}, "prod/db prod/api"},
		{"NameHasCase", secretsmanager.ListSecretsInput{Filters: filter("name", "zoo")}, ""},
		{"Either", secretsmanager.ListSecretsInput{Filters: filter("name", "test", "Zoo")}, "test/db Zoo"},
		{"Not", secretsmanager.ListSecretsInput{Filters: filter("name", "!prod", "!test")}, "Zoo"},
		{"Description", secretsmanager.ListSecretsInput{Filters: filter("description", "shop")}, "prod/db"},
		{"TagKey", secretsmanager.ListSecretsInput{Filters: filter("tag-key", "Te")}, "prod/db prod/api test/db"},
		{"TagValue", secretsmanager.ListSecretsInput{Filters: filter("tag-value", "red")}, "prod/db test/db"},
		{"Both", secretsmanager.ListSecretsInput{Filters: append(filter("tag-value", "red"), filter("name", "prod")...)}, "prod/db"},
		{"AllAttributes", secretsmanager.ListSecretsInput{Filters: filter("all", "SHOP key")}, "prod/api"},
		{"AllNames", secretsmanager.ListSecretsInput{Filters: filter("all", "db")}, "prod/db test/db"},
		{"Owner", secretsmanager.ListSecretsInput{Filters: filter("owning-service", "rds")}, ""},
		{"Region", secretsmanager.ListSecretsInput{Filters: filter("primary-region", region)}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := list(&x.in); got != x.want {
				t.Errorf("listed %q, want %q", got, x.want)
			}
		})
	}
	t.Run("ByChange", func(t *testing.T) {
		h.put("prod/db", "new")
		if got := list(&secretsmanager.ListSecretsInput{SortBy: types.SortByTypeLastChangedDate, SortOrder: types.SortOrderTypeDesc}); got != "prod/db Zoo test/db prod/api" {
			t.Errorf("listed %q", got)
		}
	})
	t.Run("ByAccess", func(t *testing.T) {
		h.get("test/db")
		got := ""
		for end := time.Now().Add(time.Minute); !strings.HasPrefix(got, "test/db ") && time.Now().Before(end); { // it is written within a second
			got = list(&secretsmanager.ListSecretsInput{SortBy: types.SortByTypeLastAccessedDate, SortOrder: types.SortOrderTypeDesc})
		}
		if !strings.HasPrefix(got, "test/db ") {
			t.Errorf("listed %q", got)
		}
	})
	t.Run("Refused", func(t *testing.T) {
		_, err := h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{NextToken: aws.String("x")})
		wantError(t, err, "InvalidNextTokenException", "")
		l := must(h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(1)}))(t)
		_, err = h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{NextToken: l.NextToken, Filters: filter("name", "prod")})
		wantError(t, err, "InvalidNextTokenException", "")
		_, err = h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: filter("color", "red")})
		wantError(t, err, "ValidationException", "")
		_, err = h.ListSecrets(ctx, &secretsmanager.ListSecretsInput{Filters: []types.Filter{{Key: "name"}}})
		wantError(t, err, "InvalidParameterException", "")
	})
}

func TestBatchGetSecretValue(t *testing.T) {
	h := start(t)
	ctx := t.Context()
	h.create("a/1", "one")
	h.create("a/2", "two")
	h.create("b", "three")
	h.create("gone", "four")
	must(h.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("gone")}))(t)
	out := must(h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"b", "missing", "a/1", "gone"}}))(t)
	if len(out.SecretValues) != 2 || *out.SecretValues[0].SecretString != "three" || *out.SecretValues[1].SecretString != "one" {
		t.Errorf("got %d values", len(out.SecretValues))
	}
	if len(out.Errors) != 2 || *out.Errors[0].ErrorCode != "ResourceNotFoundException" || *out.Errors[0].SecretId != "missing" || *out.Errors[1].ErrorCode != "InvalidRequestException" {
		t.Errorf("errors %+v", out.Errors)
	}
	out = must(h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: filter("name", "a/"), MaxResults: aws.Int32(1)}))(t)
	if len(out.SecretValues) != 1 || *out.SecretValues[0].Name != "a/1" || out.NextToken == nil {
		t.Errorf("got %+v", out)
	}
	out = must(h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: filter("name", "a/"), MaxResults: aws.Int32(1), NextToken: out.NextToken}))(t)
	if len(out.SecretValues) != 1 || *out.SecretValues[0].Name != "a/2" || out.NextToken != nil {
		t.Errorf("got %+v", out)
	}
	t.Run("DeniedOne", func(t *testing.T) {
		some := h.by(home, "some", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:BatchGetSecretValue","Resource":"*"},
			{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"`+secretARN+`a/*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}]}`)
		out := must(some.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"a/1", "b"}}))(t)
		if len(out.SecretValues) != 1 || len(out.Errors) != 1 || *out.Errors[0].ErrorCode != "AccessDeniedException" || !strings.Contains(*out.Errors[0].Message, "secretsmanager:GetSecretValue") {
			t.Errorf("got %+v", out)
		}
		var got []string
		for _, e := range h.recorded("GetSecretValue") {
			if e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/some" {
				got = append(got, e.ErrorCode)
			}
		}
		if len(got) != 2 || got[0] == got[1] {
			t.Errorf("recorded %q", got)
		}
		_, err := some.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{Filters: filter("name", "a/")})
		wantError(t, err, "AccessDeniedException", "secretsmanager:ListSecrets")
	})
	t.Run("Refused", func(t *testing.T) {
		_, err := h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{})
		wantError(t, err, "InvalidParameterException", "")
		_, err = h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"b"}, Filters: filter("name", "a")})
		wantError(t, err, "InvalidParameterException", "")
		_, err = h.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"b"}, MaxResults: aws.Int32(1)})
		wantError(t, err, "InvalidParameterException", "")
	})
}
