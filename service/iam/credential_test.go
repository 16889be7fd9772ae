package iam_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"golang.org/x/crypto/ssh"
)

// certified makes a certificate with its key, as PEM.
func certified(t *testing.T, name string, expires time.Time) (body, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t)(nil, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: expires.Add(-time.Hour), NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	ok(t)(nil, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	ok(t)(nil, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func TestServerCertificates(t *testing.T) {
	t.Parallel()
	w := start(t)
	body, key := certified(t, "a.example", w.Now().Add(time.Hour))
	_, otherKey := certified(t, "other", w.Now().Add(time.Hour))
	chain := body // it has signed itself
	name := aws.String("site")
	const none = "The Server Certificate with name x cannot be found."
	upload := func(name string, change func(*iam.UploadServerCertificateInput)) (*iam.UploadServerCertificateOutput, error) {
		in := &iam.UploadServerCertificateInput{ServerCertificateName: &name, CertificateBody: &body, PrivateKey: &key, Path: aws.String("/p/")}
		if change != nil {
			change(in)
		}
		return w.UploadServerCertificate(ctx, in)
	}
	t.Run("Upload", func(t *testing.T) {
		m := must(upload("site", func(in *iam.UploadServerCertificateInput) { in.CertificateChain, in.Tags = &chain, red }))(t).ServerCertificateMetadata
		if *m.Arn != iamARN("server-certificate/p", "site") || (*m.ServerCertificateId)[:4] != "ASCA" || m.Expiration.Sub(w.Now()) > time.Hour {
			t.Errorf("uploaded %s", text(t, m))
		}
		got := must(w.GetServerCertificate(ctx, &iam.GetServerCertificateInput{ServerCertificateName: name}))(t).ServerCertificate
		if *got.CertificateBody != body || *got.CertificateChain != chain || len(got.Tags) != 1 {
			t.Errorf("got %s", text(t, got))
		}
		if e := w.recorded(t, "UploadServerCertificate", ""); strings.Contains(string(e.Raw), "PRIVATE KEY") {
			t.Error("the private key is in the audit record")
		}
	})
	t.Run("EntityAlreadyExists", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "The Server Certificate with name SITE already exists.")(upload("SITE", nil))
	})
	t.Run("MalformedCertificate", func(t *testing.T) {
		junk := aws.String("junk")
		refused(t, "MalformedCertificate", "-")(upload("b", func(in *iam.UploadServerCertificateInput) { in.CertificateBody = junk }))
		refused(t, "MalformedCertificate", "-")(upload("b", func(in *iam.UploadServerCertificateInput) { in.PrivateKey = junk }))
		refused(t, "MalformedCertificate", "-")(upload("b", func(in *iam.UploadServerCertificateInput) { in.CertificateChain = junk }))
	})
	t.Run("KeyPairMismatch", func(t *testing.T) {
		refused(t, "KeyPairMismatch", "-")(upload("b", func(in *iam.UploadServerCertificateInput) { in.PrivateKey = &otherKey }))
	})
	t.Run("List", func(t *testing.T) {
		ok(t)(upload("two", func(in *iam.UploadServerCertificateInput) { in.Path = nil }))
		one := must(w.ListServerCertificates(ctx, &iam.ListServerCertificatesInput{MaxItems: aws.Int32(1)}))(t)
		under := must(w.ListServerCertificates(ctx, &iam.ListServerCertificatesInput{PathPrefix: aws.String("/p")}))(t)
		if !one.IsTruncated || len(under.ServerCertificateMetadataList) != 1 {
			t.Errorf("listed %s and %s", text(t, one), text(t, under))
		}
	})
	t.Run("Tags", func(t *testing.T) {
		ok(t)(w.TagServerCertificate(ctx, &iam.TagServerCertificateInput{ServerCertificateName: name, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("")}}}))
		ok(t)(w.UntagServerCertificate(ctx, &iam.UntagServerCertificateInput{ServerCertificateName: name, TagKeys: keys}))
		if tags := must(w.ListServerCertificateTags(ctx, &iam.ListServerCertificateTagsInput{ServerCertificateName: name}))(t).Tags; len(tags) != 1 || *tags[0].Key != "b" {
			t.Errorf("the tags are %s", text(t, tags))
		}
		refused(t, "NoSuchEntity", none)(w.TagServerCertificate(ctx, &iam.TagServerCertificateInput{ServerCertificateName: aws.String("x"), Tags: red}))
	})
	t.Run("Update", func(t *testing.T) {
		refused(t, "EntityAlreadyExists", "-")(w.UpdateServerCertificate(ctx, &iam.UpdateServerCertificateInput{ServerCertificateName: name, NewServerCertificateName: aws.String("TWO")}))
		ok(t)(w.UpdateServerCertificate(ctx, &iam.UpdateServerCertificateInput{ServerCertificateName: name, NewServerCertificateName: aws.String("new"), NewPath: aws.String("/")}))
		refused(t, "NoSuchEntity", none)(w.UpdateServerCertificate(ctx, &iam.UpdateServerCertificateInput{ServerCertificateName: aws.String("x"), NewPath: aws.String("/")}))
		got := must(w.GetServerCertificate(ctx, &iam.GetServerCertificateInput{ServerCertificateName: aws.String("new")}))(t).ServerCertificate.ServerCertificateMetadata
		if *got.Arn != iamARN("server-certificate", "new") {
			t.Errorf("after the rename: %s", text(t, got))
		}
	})
	t.Run("Delete", func(t *testing.T) {
		denied(t)(w.user("nobody").DeleteServerCertificate(ctx, &iam.DeleteServerCertificateInput{ServerCertificateName: aws.String("new")}))
		ok(t)(w.DeleteServerCertificate(ctx, &iam.DeleteServerCertificateInput{ServerCertificateName: aws.String("new")}))
		refused(t, "NoSuchEntity", none)(w.DeleteServerCertificate(ctx, &iam.DeleteServerCertificateInput{ServerCertificateName: aws.String("x")}))
		refused(t, "NoSuchEntity", none)(w.GetServerCertificate(ctx, &iam.GetServerCertificateInput{ServerCertificateName: aws.String("x")}))
	})
}

func TestSigningCertificates(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	upload := func(body string) (*iam.UploadSigningCertificateOutput, error) {
		return w.UploadSigningCertificate(ctx, &iam.UploadSigningCertificateInput{UserName: ann, CertificateBody: &body})
	}
	a, _ := certified(t, "a", w.Now().Add(time.Hour))
	b, _ := certified(t, "b", w.Now().Add(time.Hour))
	c, _ := certified(t, "c", w.Now().Add(time.Hour))
	old, _ := certified(t, "old", w.Now().Add(-time.Hour))
	made := must(upload(a))(t).Certificate
	if *made.CertificateBody != a || made.Status != types.StatusTypeActive || len(*made.CertificateId) < 24 {
		t.Errorf("uploaded %s", text(t, made))
	}
	refused(t, "DuplicateCertificate", "-")(upload(a))
	refused(t, "InvalidCertificate", "-")(upload(old))
	refused(t, "MalformedCertificate", "Unable to parse certificate. Please ensure the certificate is in PEM format.")(upload("junk"))
	ok(t)(upload(b))
	refused(t, "LimitExceeded", "Cannot exceed quota for SigningCertificatesPerUser: 2")(upload(c))
	const none = "The Certificate with id NONEXISTENTCERTID12345678901 cannot be found."
	update := func(id string, s types.StatusType) (any, error) {
		return w.UpdateSigningCertificate(ctx, &iam.UpdateSigningCertificateInput{UserName: ann, CertificateId: &id, Status: s})
	}
	ok(t)(update(*made.CertificateId, types.StatusTypeInactive))
	refused(t, "NoSuchEntity", none)(update("NONEXISTENTCERTID12345678901", types.StatusTypeActive))
	all := must(w.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: ann}))(t).Certificates
	if len(all) != 2 || (all[0].Status == types.StatusTypeActive) == (all[1].Status == types.StatusTypeActive) {
		t.Errorf("listed %s", text(t, all))
	}
	denied(t)(w.user("nobody").ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: ann}))
	ok(t)(w.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{UserName: ann, CertificateId: made.CertificateId}))
	refused(t, "NoSuchEntity", "-")(w.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{UserName: ann, CertificateId: made.CertificateId}))
	refused(t, "NoSuchEntity", noUser("x"))(w.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: aws.String("x")}))
	w.recorded(t, "DeleteSigningCertificate", "")
}

func TestSSHPublicKeys(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann := aws.String("ann")
	key := func(bits int) string {
		t.Helper()
		private, err := rsa.GenerateKey(rand.Reader, bits)
		ok(t)(nil, err)
		public, err := ssh.NewPublicKey(private.Public())
		ok(t)(nil, err)
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	}
	upload := func(body string) (*iam.UploadSSHPublicKeyOutput, error) {
		return w.UploadSSHPublicKey(ctx, &iam.UploadSSHPublicKeyInput{UserName: ann, SSHPublicKeyBody: &body})
	}
	body := key(2048)
	made := must(upload(body))(t).SSHPublicKey
	if *made.SSHPublicKeyBody != body || len(*made.Fingerprint) != 47 || (*made.SSHPublicKeyId)[:4] != "APKA" {
		t.Errorf("uploaded %s", text(t, made))
	}
	get := func(id string, e types.EncodingType) (*iam.GetSSHPublicKeyOutput, error) {
		return w.GetSSHPublicKey(ctx, &iam.GetSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: &id, Encoding: e})
	}
	if got := *must(get(*made.SSHPublicKeyId, types.EncodingTypeSsh))(t).SSHPublicKey.SSHPublicKeyBody; got != body {
		t.Errorf("the key is %s", got)
	}
	asPEM := *must(get(*made.SSHPublicKeyId, types.EncodingTypePem))(t).SSHPublicKey.SSHPublicKeyBody
	refused(t, "DuplicateSSHPublicKey", "-")(upload(asPEM)) // the same key, written otherwise
	refused(t, "UnrecognizedPublicKeyEncoding", "-")(upload("junk"))
	refused(t, "InvalidPublicKey", "-")(upload(key(1024)))
	const none = "The Public Key with id APKAXXXXXXXXXXXXXXXXX cannot be found."
	refused(t, "NoSuchEntity", none)(get("APKAXXXXXXXXXXXXXXXXX", types.EncodingTypeSsh))
	ok(t)(w.UpdateSSHPublicKey(ctx, &iam.UpdateSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: made.SSHPublicKeyId, Status: types.StatusTypeInactive}))
	refused(t, "NoSuchEntity", none)(w.UpdateSSHPublicKey(ctx, &iam.UpdateSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: aws.String("APKAXXXXXXXXXXXXXXXXX"), Status: types.StatusTypeActive}))
	if all := must(w.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: ann}))(t).SSHPublicKeys; len(all) != 1 || all[0].Status != types.StatusTypeInactive {
		t.Errorf("listed %s", text(t, all))
	}
	denied(t)(w.user("nobody").ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: ann}))
	ok(t)(w.DeleteSSHPublicKey(ctx, &iam.DeleteSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: made.SSHPublicKeyId}))
	refused(t, "NoSuchEntity", none)(w.DeleteSSHPublicKey(ctx, &iam.DeleteSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: aws.String("APKAXXXXXXXXXXXXXXXXX")}))
	w.recorded(t, "DeleteSSHPublicKey", "")
}

func TestServiceSpecificCredentials(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.newUser(t, "ann")
	ann, git := aws.String("ann"), "codecommit.amazonaws.com"
	create := func(service string, days *int32) (*iam.CreateServiceSpecificCredentialOutput, error) {
		return w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: ann, ServiceName: &service, CredentialAgeDays: days})
	}
	made := must(create(git, nil))(t).ServiceSpecificCredential
	if *made.ServiceUserName != "ann-at-"+account || len(*made.ServicePassword) < 32 || made.Status != types.StatusTypeActive {
		t.Errorf("created %s", text(t, made))
	}
	if e := w.recorded(t, "CreateServiceSpecificCredential", ""); strings.Contains(string(e.Raw), *made.ServicePassword) {
		t.Error("the password is in the audit record")
	}
	if second := must(create(git, nil))(t).ServiceSpecificCredential; *second.ServiceUserName != "ann+1-at-"+account {
		t.Errorf("created %s", text(t, second))
	}
	refused(t, "LimitExceeded", "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2")(create(git, nil))
	refused(t, "NotSupportedService", "No such service s3.amazonaws.com is supported for Service Specific Credentials.")(create("s3.amazonaws.com", nil))
	refused(t, "InvalidInput", "-")(create("cassandra.amazonaws.com", aws.Int32(1)))
	api := must(create("bedrock.amazonaws.com", aws.Int32(1)))(t).ServiceSpecificCredential
	if api.ServiceCredentialAlias == nil || api.ServiceCredentialSecret == nil || api.ExpirationDate == nil || api.ServicePassword != nil {
		t.Errorf("created %s", text(t, api))
	}
	w.Advance(25 * time.Hour)
	all := must(w.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{UserName: ann, ServiceName: aws.String("bedrock.amazonaws.com")}))(t).ServiceSpecificCredentials
	if len(all) != 1 || all[0].Status != types.StatusTypeExpired {
		t.Errorf("listed %s", text(t, all))
	}
	if all := must(w.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{AllUsers: aws.Bool(true)}))(t).ServiceSpecificCredentials; len(all) != 3 || *all[0].UserName != "ann" {
		t.Errorf("listed %s", text(t, all))
	}
	reset := must(w.ResetServiceSpecificCredential(ctx, &iam.ResetServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId}))(t).ServiceSpecificCredential
	if *reset.ServicePassword == *made.ServicePassword || *reset.ServiceUserName != *made.ServiceUserName {
		t.Errorf("reset to %s", text(t, reset))
	}
	ok(t)(w.UpdateServiceSpecificCredential(ctx, &iam.UpdateServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId, Status: types.StatusTypeInactive}))
	limited := w.user("limited", `"Action":"iam:*","Resource":"*","Condition":{"StringEquals":{"iam:ServiceSpecificCredentialServiceName":"cassandra.amazonaws.com"}}`)
	denied(t)(limited.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId}))
	denied(t)(limited.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: ann, ServiceName: &git}))
	ok(t)(w.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId}))
	refused(t, "NoSuchEntity", "-")(w.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: made.ServiceSpecificCredentialId}))
	w.recorded(t, "DeleteServiceSpecificCredential", "")
}
