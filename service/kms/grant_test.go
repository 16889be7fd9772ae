package kms_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// grant makes a grant as c and returns its ID and token.
func grant(t *testing.T, c *kms.Client, key, grantee string, change func(*kms.CreateGrantInput), ops ...types.GrantOperation) (id, token string) {
	t.Helper()
	in := &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: &grantee, Operations: ops}
	if change != nil {
		change(in)
	}
	out, err := c.CreateGrant(ctx, in)
	ok(t)(out, err)
	return *out.GrantId, *out.GrantToken
}

const (
	opEncrypt     = types.GrantOperationEncrypt
	opDecrypt     = types.GrantOperationDecrypt
	opCreateGrant = types.GrantOperationCreateGrant
	opRetireGrant = types.GrantOperationRetireGrant
	opDescribe    = types.GrantOperationDescribeKey
)

func TestCreateGrant(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.user(account, "ann")
	annARN := userARN(account, "ann")
	encrypt := func(key string, tokens ...string) (any, error) {
		return ann.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, GrantTokens: tokens})
	}
	t.Run("OK", func(t *testing.T) {
		key := w.key(t)
		denied(t)(encrypt(key))
		id, token := grant(t, w.Client, key, annARN, nil, opEncrypt)
		if len(id) != 64 || len(token) < 64 {
			t.Errorf("the grant is %s, its token %s", id, token)
		}
		ok(t)(encrypt(key))
		ok(t)(encrypt(key, token))
		denied(t)(ann.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, key, "x")}))
		denied(t)(encrypt(w.key(t), token)) // a token is no use for another key
		r := w.recorded(t, account, "CreateGrant", "")
		if r.ReadOnly || r.ResponseElements["grantId"] != id || r.RequestParameters["granteePrincipal"] != annARN {
			t.Errorf("recorded as %s", r.Raw)
		}
		ok(t)(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &id}))
		denied(t)(encrypt(key))
		denied(t)(encrypt(key, token))
	})
	t.Run("DeniedAllTheSame", func(t *testing.T) {
		key := w.key(t, under(keyPolicy(`"Effect":"Deny","Principal":{"AWS":"`+annARN+`"},"Action":"kms:Encrypt","Resource":"*"`)))
		grant(t, w.Client, key, annARN, nil, opEncrypt)
		denied(t)(encrypt(key))
	})
	t.Run("ToAnAccount", func(t *testing.T) {
		key := w.key(t)
		grant(t, w.Client, key, "arn:aws:iam::"+other+":root", nil, opEncrypt)
		in := &kms.EncryptInput{KeyId: &key, Plaintext: message}
		ok(t)(kms.NewFromConfig(w.Root(other)).Encrypt(ctx, in))
		ok(t)(w.user(other, "fay", anything).Encrypt(ctx, in))
		denied(t)(w.user(other, "fay").Encrypt(ctx, in))
	})
	t.Run("IdempotentByName", func(t *testing.T) {
		key := w.key(t)
		named := func(in *kms.CreateGrantInput) { in.Name = aws.String("n") }
		a, tokenA := grant(t, w.Client, key, annARN, named, opEncrypt, opDecrypt)
		b, tokenB := grant(t, w.Client, key, annARN, named, opDecrypt, opEncrypt)
		if a != b || tokenA == tokenB {
			t.Errorf("the same named grant is %s and %s, equal tokens %t", a, b, tokenA == tokenB)
		}
		if c, _ := grant(t, w.Client, key, annARN, named, opEncrypt); c == a {
			t.Error("another grant of the name is the same")
		}
		c, _ := grant(t, w.Client, key, annARN, nil, opEncrypt)
		if d, _ := grant(t, w.Client, key, annARN, nil, opEncrypt); c == d {
			t.Error("unnamed grants are the same")
		}
	})
	t.Run("Constraints", func(t *testing.T) {
		key := w.key(t)
		use := func(kv ...string) (any, error) {
			return ann.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: pairs(kv)})
		}
		id, _ := grant(t, w.Client, key, annARN, func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{"A": "1"}}
		}, opEncrypt, opDescribe)
		ok(t)(use("A", "1"))
		denied(t)(use("a", "1"))
		denied(t)(use("A", "2"))
		denied(t)(use("A", "1", "B", "2"))
		denied(t)(use())
		ok(t)(ann.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})) // has no context to be constrained
		ok(t)(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &id}))
		grant(t, w.Client, key, annARN, func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: map[string]string{"A": "1"}}
		}, opEncrypt)
		ok(t)(use("A", "1"))
		ok(t)(use("A", "1", "B", "2"))
		denied(t)(use("a", "1"))
		denied(t)(use("B", "2"))
	})
	t.Run("EmptyConstraint", func(t *testing.T) {
		key := w.key(t)
		grant(t, w.Client, key, annARN, func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{}}
		}, opEncrypt)
		ok(t)(encrypt(key))
		denied(t)(ann.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: map[string]string{"a": "b"}}))
	})
	key := w.key(t)
	signer := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
	for name, c := range map[string]struct {
		key    string
		ops    []types.GrantOperation
		change func(*kms.CreateGrantInput)
		code   string
	}{
		"NoGrantee":   {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.GranteePrincipal = nil }, "ValidationException"},
		"TwoGrantees": {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.GranteeServicePrincipal = aws.String("s3.amazonaws.com") }, "ValidationException"},
		"TwoRetirers": {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) {
			in.RetiringPrincipal, in.RetiringServicePrincipal = &annARN, aws.String("s3.amazonaws.com")
		}, "ValidationException"},
		"UnknownGrantee": {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(userARN(account, "nobody")) }, "InvalidArnException"},
		"UnknownRetirer": {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String(userARN(account, "nobody")) }, "InvalidArnException"},
		"NoOperation":    {key, nil, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{} }, "ValidationException"},
		"SignOnEncrypt":  {key, []types.GrantOperation{types.GrantOperationSign}, nil, "ValidationException"},
		"EncryptOnSign":  {signer, []types.GrantOperation{opEncrypt}, nil, "ValidationException"},
		"DataKeyOnSign":  {signer, []types.GrantOperation{types.GrantOperationGenerateDataKey}, nil, "ValidationException"},
		"PublicKeyOfAES": {key, []types.GrantOperation{types.GrantOperationGetPublicKey}, nil, "ValidationException"},
		"ContextOnSign": {signer, []types.GrantOperation{types.GrantOperationSign}, func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}}
		}, "ValidationException"},
		"BadName":      {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.Name = aws.String("a b") }, "ValidationException"},
		"NotFound":     {unknownKey, []types.GrantOperation{opEncrypt}, nil, "NotFoundException"},
		"DryRun":       {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.DryRun = aws.Bool(true) }, "DryRunOperationException"},
		"InvalidToken": {key, []types.GrantOperation{opEncrypt}, func(in *kms.CreateGrantInput) { in.GrantTokens = []string{"x"} }, "InvalidGrantTokenException"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &kms.CreateGrantInput{KeyId: &c.key, GranteePrincipal: &annARN, Operations: c.ops}
			if c.change != nil {
				c.change(in)
			}
			refused(t, c.code, "-")(w.CreateGrant(ctx, in))
			list, err := w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key})
			ok(t)(list, err)
			if len(list.Grants) != 0 {
				t.Error("a refused grant was made")
			}
		})
	}
	t.Run("Conditions", func(t *testing.T) {
		for condition, good := range map[string]func(*kms.CreateGrantInput){
			`"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt"]}`: nil,
			`"StringEquals":{"kms:GranteePrincipal":"` + annARN + `"}`:        nil,
			`"StringEquals":{"kms:GrantConstraintType":"EncryptionContextSubset"}`: func(in *kms.CreateGrantInput) {
				in.Constraints = &types.GrantConstraints{EncryptionContextSubset: map[string]string{"a": "b"}}
			},
			`"StringEquals":{"kms:GrantConstraintType":"EncryptionContextEquals"}`: func(in *kms.CreateGrantInput) {
				in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}}
			},
			`"StringEquals":{"kms:EncryptionContext:a":"b"}`: func(in *kms.CreateGrantInput) {
				in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}}
			},
			`"StringEquals":{"kms:RetiringPrincipal":"` + annARN + `"}`: func(in *kms.CreateGrantInput) { in.RetiringPrincipal = &annARN },
		} {
			c := w.user(account, "granter", `"Action":"kms:CreateGrant","Resource":"*","Condition":{`+condition+`}`)
			grant(t, c, key, annARN, good, opEncrypt)
			denied(t)(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: aws.String("arn:aws:iam::" + account + ":root"), Operations: []types.GrantOperation{opEncrypt, opDecrypt}}))
		}
		c := w.user(account, "granter", `"Action":["kms:CreateGrant","kms:ListGrants","kms:RevokeGrant"],"Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}`)
		denied(t)(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: &annARN, Operations: []types.GrantOperation{opEncrypt}}))
		denied(t)(c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key}))
	})
}

// TestGrantPassing holds that who makes grants by a grant passes on no more than what it has.
func TestGrantPassing(t *testing.T) {
	w := start(t)
	key := w.key(t)
	ann, ben := w.user(account, "ann"), userARN(account, "ben")
	w.user(account, "ben")
	subset := func(kv ...string) func(*kms.CreateGrantInput) {
		return func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs(kv)}
		}
	}
	equals := func(kv ...string) func(*kms.CreateGrantInput) {
		return func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextEquals: pairs(kv)}
		}
	}
	pass := func(change func(*kms.CreateGrantInput), ops ...types.GrantOperation) (any, error) {
		in := &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: &ben, Operations: ops}
		if change != nil {
			change(in)
		}
		return ann.CreateGrant(ctx, in)
	}
	id, _ := grant(t, w.Client, key, userARN(account, "ann"), subset("a", "1"), opEncrypt, opCreateGrant)
	ok(t)(pass(subset("a", "1"), opEncrypt))
	ok(t)(pass(subset("a", "1", "b", "2"), opEncrypt))
	ok(t)(pass(equals("a", "1"), opEncrypt, opCreateGrant))
	denied(t)(pass(nil, opEncrypt))
	denied(t)(pass(subset("b", "2"), opEncrypt))
	denied(t)(pass(subset("a", "1"), opEncrypt, opDecrypt))
	denied(t)(pass(equals("A", "1"), opEncrypt))
	ok(t)(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &id}))
	denied(t)(pass(subset("a", "1"), opEncrypt))

	grant(t, w.Client, key, userARN(account, "ann"), equals("a", "1"), opEncrypt, opCreateGrant)
	ok(t)(pass(equals("a", "1"), opEncrypt))
	denied(t)(pass(subset("a", "1"), opEncrypt))
	denied(t)(pass(equals("a", "1", "b", "2"), opEncrypt))

	// Two grants do not add up to one.
	second := w.key(t)
	key = second
	grant(t, w.Client, key, userARN(account, "ann"), nil, opEncrypt, opCreateGrant)
	grant(t, w.Client, key, userARN(account, "ann"), nil, opDecrypt)
	ok(t)(pass(nil, opEncrypt))
	denied(t)(pass(nil, opDecrypt))
}

func TestRetireGrant(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	ann, ben, eve := w.user(account, "ann"), w.user(account, "ben"), w.user(other, "eve", anything)
	annARN, benARN := userARN(account, "ann"), userARN(account, "ben")
	retirable := func(in *kms.CreateGrantInput) { in.RetiringPrincipal = &benARN }
	byToken := func(c *kms.Client, token string) (any, error) {
		return c.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: &token})
	}
	count := func() int {
		out, err := w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key})
		ok(t)(out, err)
		return len(out.Grants)
	}
	t.Run("ByRetiringPrincipal", func(t *testing.T) {
		_, token := grant(t, w.Client, key, annARN, retirable, opEncrypt)
		denied(t)(byToken(ann, token))
		denied(t)(byToken(eve, token))
		refused(t, "DryRunOperationException", wouldHave)(ben.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: &token, DryRun: aws.Bool(true)}))
		if count() != 1 {
			t.Error("the grant is gone")
		}
		ok(t)(byToken(ben, token))
		if count() != 0 {
			t.Error("the grant is still there")
		}
		refused(t, "NotFoundException", "-")(byToken(ben, token))
	})
	t.Run("ByGrantee", func(t *testing.T) {
		_, token := grant(t, w.Client, key, annARN, nil, opEncrypt, opRetireGrant)
		denied(t)(byToken(ben, token))
		ok(t)(byToken(ann, token))
	})
	t.Run("ByID", func(t *testing.T) {
		g, _ := grant(t, w.Client, key, annARN, retirable, opEncrypt)
		refused(t, "InvalidArnException", "-")(ben.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: aws.String(id(key)), GrantId: &g}))
		ok(t)(ben.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &g}))
	})
	t.Run("ByIssuingAccount", func(t *testing.T) {
		g, _ := grant(t, w.Client, key, annARN, nil, opEncrypt)
		denied(t)(ben.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &g}))
		ok(t)(w.user(account, "retirer", `"Action":"kms:RetireGrant","Resource":"*"`).RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &g}))
	})
	t.Run("KeyPolicyHasNoSay", func(t *testing.T) {
		shared := w.key(t, under(keyPolicy(`"Principal":{"AWS":"`+userARN(other, "eve")+`"},"Action":"kms:RetireGrant","Resource":"*"`)))
		g, token := grant(t, w.Client, shared, annARN, nil, opEncrypt)
		denied(t)(eve.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &shared, GrantId: &g}))
		denied(t)(byToken(eve, token))
	})
	t.Run("OfAnotherAccount", func(t *testing.T) {
		g, _ := grant(t, w.Client, key, "arn:aws:iam::"+other+":root", nil, opEncrypt, opRetireGrant)
		refused(t, "AccessDeniedException", "User: "+userARN(other, "eve")+" is not authorized to perform: kms:RetireGrant "+foreign)(
			eve.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: aws.String("1")}))
		ok(t)(eve.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: &key, GrantId: &g}))
		mine, theirs := w.recorded(t, account, "RetireGrant", ""), w.recorded(t, other, "RetireGrant", "")
		if mine.SharedEventID == "" || mine.SharedEventID != theirs.SharedEventID {
			t.Errorf("recorded as %s and %s", mine.Raw, theirs.Raw)
		}
	})
	g, token := grant(t, w.Client, key, annARN, nil, opEncrypt)
	for name, c := range map[string]struct {
		in   kms.RetireGrantInput
		code string
	}{
		"Nothing":           {kms.RetireGrantInput{}, "ValidationException"},
		"KeyOnly":           {kms.RetireGrantInput{KeyId: &key}, "ValidationException"},
		"TokenAndID":        {kms.RetireGrantInput{KeyId: &key, GrantId: &g, GrantToken: &token}, "ValidationException"},
		"InvalidGrantToken": {kms.RetireGrantInput{GrantToken: aws.String("bm90IG91cnM=")}, "InvalidGrantTokenException"},
		"UnknownGrant":      {kms.RetireGrantInput{KeyId: &key, GrantId: aws.String("1")}, "NotFoundException"},
		"UnknownKey":        {kms.RetireGrantInput{KeyId: aws.String("arn:aws:kms:us-east-1:" + account + ":key/" + unknownKey), GrantId: &g}, "NotFoundException"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.code, "-")(w.RetireGrant(ctx, &c.in)) })
	}
	t.Run("OtherRegion", func(t *testing.T) {
		cfg := w.Config()
		cfg.Region = "eu-west-1"
		refused(t, "InvalidGrantTokenException", "-")(byToken(kms.NewFromConfig(cfg), token))
	})
	t.Run("Revoke", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: aws.String("1")}))
		refused(t, "NotFoundException", "-")(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: aws.String(unknownKey), GrantId: &g}))
		refused(t, "DryRunOperationException", wouldHave)(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &g, DryRun: aws.Bool(true)}))
		denied(t)(ann.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &g})) // the grantee may not
		ok(t)(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &g}))
		refused(t, "NotFoundException", "-")(w.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &key, GrantId: &g}))
	})
}

func TestListGrants(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	w.user(account, "ann")
	w.user(account, "ben")
	annARN, benARN := userARN(account, "ann"), userARN(account, "ben")
	var ids []string
	for i := range 60 {
		grantee := annARN
		if i%3 == 0 {
			grantee = benARN
		}
		g, _ := grant(t, w.Client, key, grantee, func(in *kms.CreateGrantInput) { in.RetiringPrincipal = &annARN }, opEncrypt)
		ids = append(ids, g)
	}
	service, err := w.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteeServicePrincipal: aws.String("s3.amazonaws.com"), RetiringServicePrincipal: aws.String("s3.amazonaws.com"),
		Name: aws.String("svc"), Operations: []types.GrantOperation{opEncrypt}, Constraints: &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}, SourceArn: aws.String("arn:aws:s3:us-east-1:111122223333:bucket")}})
	ok(t)(service, err)
	list := func(in *kms.ListGrantsInput) (found []types.GrantListEntry, pages int) {
		in.KeyId = &key
		p := kms.NewListGrantsPaginator(w.Client, in)
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			ok(t)(out, err)
			pages++
			found = append(found, out.Grants...)
		}
		return found, pages
	}
	for name, c := range map[string]struct {
		in       kms.ListGrantsInput
		n, pages int
	}{
		"All":           {kms.ListGrantsInput{}, 61, 2},
		"Limited":       {kms.ListGrantsInput{Limit: aws.Int32(100)}, 61, 1},
		"ByGrantee":     {kms.ListGrantsInput{GranteePrincipal: &benARN, Limit: aws.Int32(15)}, 20, 2},
		"ByID":          {kms.ListGrantsInput{GrantId: &ids[7]}, 1, 1},
		"ByService":     {kms.ListGrantsInput{GranteeServicePrincipal: aws.String("s3.amazonaws.com")}, 1, 1},
		"NothingToFind": {kms.ListGrantsInput{GranteePrincipal: aws.String(userARN(account, "cat"))}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			found, pages := list(&c.in)
			if len(found) != c.n || pages != c.pages {
				t.Errorf("%d grants on %d pages, want %d on %d", len(found), pages, c.n, c.pages)
			}
			for _, g := range found {
				if *g.KeyId != key || !slices.Contains(ids, *g.GrantId) && *g.GrantId != *service.GrantId || g.CreationDate.IsZero() ||
					*g.IssuingAccount != "arn:aws:iam::"+account+":root" || len(g.Operations) != 1 {
					t.Errorf("listed %+v", g)
				}
			}
		})
	}
	t.Run("Service", func(t *testing.T) {
		found, _ := list(&kms.ListGrantsInput{GrantId: service.GrantId})
		g := found[0]
		if *g.GranteePrincipal != "s3.amazonaws.com" || *g.GranteeServicePrincipal != "s3.amazonaws.com" || *g.RetiringServicePrincipal != "s3.amazonaws.com" ||
			*g.Name != "svc" || g.Constraints.EncryptionContextEquals["a"] != "b" || *g.Constraints.SourceArn != "arn:aws:s3:us-east-1:111122223333:bucket" {
			t.Errorf("listed %+v", g)
		}
	})
	t.Run("InvalidMarker", func(t *testing.T) {
		refused(t, "InvalidMarkerException", "-")(w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key, Marker: aws.String("x")}))
		out, err := w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key, Limit: aws.Int32(1)})
		ok(t)(out, err)
		refused(t, "InvalidMarkerException", "-")(w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &key, Marker: out.NextMarker, GranteePrincipal: &annARN}))
		refused(t, "NotFoundException", "-")(w.ListGrants(ctx, &kms.ListGrantsInput{KeyId: aws.String(unknownKey)}))
	})
	t.Run("Retirable", func(t *testing.T) {
		n, pages := 0, 0
		p := kms.NewListRetirableGrantsPaginator(w.Client, &kms.ListRetirableGrantsInput{RetiringPrincipal: &annARN})
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			ok(t)(out, err)
			n, pages = n+len(out.Grants), pages+1
		}
		if n != 60 || pages != 2 {
			t.Errorf("%d grants on %d pages", n, pages)
		}
		out, err := w.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: &benARN})
		ok(t)(out, err)
		if len(out.Grants) != 0 {
			t.Errorf("ben can retire %d", len(out.Grants))
		}
		refused(t, "ValidationException", "-")(w.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{}))
		refused(t, "InvalidArnException", "-")(w.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(userARN(other, "eve"))}))
		refused(t, "InvalidMarkerException", "-")(w.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: &annARN, Marker: aws.String("x")}))
	})
}
