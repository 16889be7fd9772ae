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
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func pemOf(kind string, der []byte) *string {
	return new(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// issued is a certificate that another has signed, with its key; nobody but itself if parent is nil.
type issued struct {
	*x509.Certificate
	key       *ecdsa.PrivateKey
	body, pem *string
}

func issue(t *testing.T, w *world, name string, parent *issued) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t)(nil, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: w.Now().Add(-time.Hour), NotAfter: w.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	by := &issued{template, key, nil, nil}
	if parent != nil {
		by = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	ok(t)(nil, err)
	made, err := x509.ParseCertificate(der)
	ok(t)(nil, err)
	secret, err := x509.MarshalECPrivateKey(key)
	ok(t)(nil, err)
	return &issued{made, key, pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", secret)}
}

// sshKey is a public key as users upload it.
var sshKey = sync.OnceValue(func() *string {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	return pemOf("PUBLIC KEY", public)
})

// equip gives ann credentials, and the account a server certificate.
func (x *things) equip(t *testing.T) {
	t.Helper()
	x.public = sshKey()
	x.ssh = must(x.w.UploadSSHPublicKey(ctx, &iam.UploadSSHPublicKeyInput{UserName: new("ann"), SSHPublicKeyBody: x.public}))(t).SSHPublicKey.SSHPublicKeyId
	first := issue(t, x.w, "first", nil)
	x.signing = must(x.w.UploadSigningCertificate(ctx, &iam.UploadSigningCertificateInput{UserName: new("ann"), CertificateBody: first.body}))(t).Certificate.CertificateId
	x.service = must(x.w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{
		UserName: new("ann"), ServiceName: new("codecommit.amazonaws.com")}))(t).ServiceSpecificCredential.ServiceSpecificCredentialId
	ok(t)(x.w.UploadServerCertificate(ctx, &iam.UploadServerCertificateInput{ServerCertificateName: new("site"), CertificateBody: first.body, PrivateKey: first.pem}))
	x.cert = issue(t, x.w, "second", nil)
}

// walkCredentials: users' keys and certificates ask about the user, server certificates about themselves.
var walkCredentials = []walked{
	op("UploadSSHPublicKey", bea, (*iam.Client).UploadSSHPublicKey, func(x *things) *iam.UploadSSHPublicKeyInput {
		return &iam.UploadSSHPublicKeyInput{UserName: new("bea"), SSHPublicKeyBody: x.public}
	}),
	op("GetSSHPublicKey", ann, (*iam.Client).GetSSHPublicKey, func(x *things) *iam.GetSSHPublicKeyInput {
		return &iam.GetSSHPublicKeyInput{UserName: new("ann"), SSHPublicKeyId: x.ssh, Encoding: types.EncodingTypePem}
	}),
	op("ListSSHPublicKeys", ann, (*iam.Client).ListSSHPublicKeys, func(*things) *iam.ListSSHPublicKeysInput {
		return &iam.ListSSHPublicKeysInput{UserName: new("ann")}
	}),
	op("UpdateSSHPublicKey", ann, (*iam.Client).UpdateSSHPublicKey, func(x *things) *iam.UpdateSSHPublicKeyInput {
		return &iam.UpdateSSHPublicKeyInput{UserName: new("ann"), SSHPublicKeyId: x.ssh, Status: types.StatusTypeInactive}
	}),
	op("DeleteSSHPublicKey", ann, (*iam.Client).DeleteSSHPublicKey, func(x *things) *iam.DeleteSSHPublicKeyInput {
		return &iam.DeleteSSHPublicKeyInput{UserName: new("ann"), SSHPublicKeyId: x.ssh}
	}),

	op("UploadSigningCertificate", bea, (*iam.Client).UploadSigningCertificate, func(x *things) *iam.UploadSigningCertificateInput {
		return &iam.UploadSigningCertificateInput{UserName: new("bea"), CertificateBody: x.cert.body}
	}),
	op("ListSigningCertificates", ann, (*iam.Client).ListSigningCertificates, func(*things) *iam.ListSigningCertificatesInput {
		return &iam.ListSigningCertificatesInput{UserName: new("ann")}
	}),
	op("UpdateSigningCertificate", ann, (*iam.Client).UpdateSigningCertificate, func(x *things) *iam.UpdateSigningCertificateInput {
		return &iam.UpdateSigningCertificateInput{UserName: new("ann"), CertificateId: x.signing, Status: types.StatusTypeInactive}
	}),
	op("DeleteSigningCertificate", ann, (*iam.Client).DeleteSigningCertificate, func(x *things) *iam.DeleteSigningCertificateInput {
		return &iam.DeleteSigningCertificateInput{UserName: new("ann"), CertificateId: x.signing}
	}),

	op("CreateServiceSpecificCredential", bea, (*iam.Client).CreateServiceSpecificCredential, func(*things) *iam.CreateServiceSpecificCredentialInput {
		return &iam.CreateServiceSpecificCredentialInput{UserName: new("bea"), ServiceName: new("codecommit.amazonaws.com")}
	}),
	op("ListServiceSpecificCredentials", ann, (*iam.Client).ListServiceSpecificCredentials, func(*things) *iam.ListServiceSpecificCredentialsInput {
		return &iam.ListServiceSpecificCredentialsInput{UserName: new("ann")}
	}),
	op("UpdateServiceSpecificCredential", ann, (*iam.Client).UpdateServiceSpecificCredential, func(x *things) *iam.UpdateServiceSpecificCredentialInput {
		return &iam.UpdateServiceSpecificCredentialInput{UserName: new("ann"), ServiceSpecificCredentialId: x.service, Status: types.StatusTypeInactive}
	}),
	op("ResetServiceSpecificCredential", ann, (*iam.Client).ResetServiceSpecificCredential, func(x *things) *iam.ResetServiceSpecificCredentialInput {
		return &iam.ResetServiceSpecificCredentialInput{UserName: new("ann"), ServiceSpecificCredentialId: x.service}
	}),
	op("DeleteServiceSpecificCredential", ann, (*iam.Client).DeleteServiceSpecificCredential, func(x *things) *iam.DeleteServiceSpecificCredentialInput {
		return &iam.DeleteServiceSpecificCredentialInput{UserName: new("ann"), ServiceSpecificCredentialId: x.service}
	}),

	op("UploadServerCertificate", "server-certificate/new", (*iam.Client).UploadServerCertificate, func(x *things) *iam.UploadServerCertificateInput {
		return &iam.UploadServerCertificateInput{ServerCertificateName: new("new"), CertificateBody: x.cert.body, PrivateKey: x.cert.pem}
	}),
	op("UploadServerCertificate", "server-certificate/tagged", (*iam.Client).UploadServerCertificate, func(x *things) *iam.UploadServerCertificateInput {
		return &iam.UploadServerCertificateInput{ServerCertificateName: new("tagged"), CertificateBody: x.cert.body, PrivateKey: x.cert.pem, Tags: red}
	}).tagged("iam:TagServerCertificate"),
	op("GetServerCertificate", site, (*iam.Client).GetServerCertificate, func(*things) *iam.GetServerCertificateInput {
		return &iam.GetServerCertificateInput{ServerCertificateName: new("site")}
	}),
	op("ListServerCertificates", "*", (*iam.Client).ListServerCertificates, func(*things) *iam.ListServerCertificatesInput {
		return &iam.ListServerCertificatesInput{}
	}),
	op("TagServerCertificate", site, (*iam.Client).TagServerCertificate, func(*things) *iam.TagServerCertificateInput {
		return &iam.TagServerCertificateInput{ServerCertificateName: new("site"), Tags: red}
	}),
	op("ListServerCertificateTags", site, (*iam.Client).ListServerCertificateTags, func(*things) *iam.ListServerCertificateTagsInput {
		return &iam.ListServerCertificateTagsInput{ServerCertificateName: new("site")}
	}),
	op("UntagServerCertificate", site, (*iam.Client).UntagServerCertificate, func(*things) *iam.UntagServerCertificateInput {
		return &iam.UntagServerCertificateInput{ServerCertificateName: new("site"), TagKeys: keys}
	}),
	op("UpdateServerCertificate", site+" server-certificate/p/other", (*iam.Client).UpdateServerCertificate,
		func(*things) *iam.UpdateServerCertificateInput {
			return &iam.UpdateServerCertificateInput{ServerCertificateName: new("site"), NewServerCertificateName: new("other"), NewPath: new("/p/")}
		}),
	op("DeleteServerCertificate", site, (*iam.Client).DeleteServerCertificate, func(*things) *iam.DeleteServerCertificateInput {
		return &iam.DeleteServerCertificateInput{ServerCertificateName: new("site")}
	}),
}

func TestCertificateChains(t *testing.T) {
	t.Parallel()
	w := start(t)
	root := issue(t, w, "root", nil)
	middle := issue(t, w, "middle", root)
	leaf := issue(t, w, "leaf", middle)
	upload := func(chain string, key *string) (any, error) {
		return w.UploadServerCertificate(ctx, &iam.UploadServerCertificateInput{
			ServerCertificateName: new(rand.Text()), CertificateBody: leaf.body, CertificateChain: &chain, PrivateKey: key})
	}
	const broken = "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any " +
		"intermediaries in order. The index within the chain of the invalid certificate is: "
	ok(t)(upload(*middle.body, leaf.pem))
	ok(t)(upload(*middle.body+*root.body, leaf.pem))
	refused(t, "MalformedCertificate", broken+"-1")(upload(*root.body+*middle.body, leaf.pem))
	refused(t, "MalformedCertificate", broken+"0")(upload(*middle.body+*leaf.body, leaf.pem))
	refused(t, "MalformedCertificate", broken+"0")(upload(*middle.body+"junk", leaf.pem))
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	ok(t)(nil, err)
	ok(t)(upload(*middle.body, pemOf("PRIVATE KEY", pkcs8)))
	ok(t)(upload(*middle.body, new(*pemOf("EC PARAMETERS", []byte{6, 0})+*leaf.pem)))
	refused(t, "MalformedCertificate", "-")(upload(*middle.body, pemOf("ENCRYPTED PRIVATE KEY", pkcs8)))
	refused(t, "MalformedCertificate", "-")(upload(*middle.body, pemOf("PRIVATE KEY", []byte("junk"))))
	refused(t, "KeyPairMismatch", "-")(upload(*middle.body, root.pem))
	e := w.recorded(t, "UploadServerCertificate", "KeyPairMismatch")
	if strings.Contains(string(e.Raw), "PRIVATE KEY") {
		t.Error("a private key is in the audit record")
	}
}

// What belongs to a user follows a rename, keeps the user from being deleted, and is nothing to others.
func TestOwnedCredentials(t *testing.T) {
	t.Parallel()
	w := start(t)
	mine, hers := issue(t, w, "mine", nil), issue(t, w, "hers", nil)
	ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: new("ann")}))
	sign := func(user, body *string) (*iam.UploadSigningCertificateOutput, error) {
		return w.UploadSigningCertificate(ctx, &iam.UploadSigningCertificateInput{UserName: user, CertificateBody: body})
	}
	root := must(sign(nil, mine.body))(t).Certificate
	if root.UserName != nil {
		t.Errorf("the root user's certificate is said to be %s's", *root.UserName)
	}
	refused(t, "DuplicateCertificate", "-")(sign(new("ann"), mine.body))
	made := must(sign(new("ann"), hers.body))(t).Certificate
	refused(t, "NoSuchEntity", "-")(w.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{CertificateId: made.CertificateId}))
	ok(t)(w.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{CertificateId: root.CertificateId}))

	service := new("codecommit.amazonaws.com")
	create := func(user string) *types.ServiceSpecificCredential {
		t.Helper()
		return must(w.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: &user, ServiceName: service}))(t).ServiceSpecificCredential
	}
	first := create("ann")
	ok(t)(w.UpdateUser(ctx, &iam.UpdateUserInput{UserName: new("ann"), NewUserName: new("bea")}))
	ok(t)(w.CreateUser(ctx, &iam.CreateUserInput{UserName: new("ann")}))
	if second := create("ann"); *second.ServiceUserName == *first.ServiceUserName {
		t.Errorf("two users have the service user name %s", *first.ServiceUserName)
	}
	all := must(w.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: new("bea")}))(t).Certificates
	if len(all) != 1 || *all[0].UserName != "bea" {
		t.Errorf("after the rename bea has %d certificates", len(all))
	}
	const referenced = "Cannot delete entity, must remove referenced objects first."
	remove := func() (any, error) { return w.DeleteUser(ctx, &iam.DeleteUserInput{UserName: new("bea")}) }
	refused(t, "DeleteConflict", referenced)(remove())
	ok(t)(w.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{UserName: new("bea"), CertificateId: made.CertificateId}))
	refused(t, "DeleteConflict", referenced)(remove())
	ok(t)(w.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{
		UserName: new("bea"), ServiceSpecificCredentialId: first.ServiceSpecificCredentialId}))
	ok(t)(remove())
}

func TestOrganizationAuthority(t *testing.T) {
	t.Parallel()
	w := start(t)
	orgs := organizations.NewFromConfig(w.Config())
	ok(t)(orgs.CreateOrganization(ctx, nil))
	trusted := aws.String("iam.amazonaws.com")
	ok(t)(orgs.EnableAWSServiceAccess(ctx, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: trusted}))
	asked := must(orgs.CreateAccount(ctx, &organizations.CreateAccountInput{AccountName: new("m"), Email: new("m@example.org")}))(t).CreateAccountStatus
	member := *must(orgs.DescribeCreateAccountStatus(ctx, &organizations.DescribeCreateAccountStatusInput{CreateAccountRequestId: asked.Id}))(t).CreateAccountStatus.AccountId
	there := iam.NewFromConfig(w.Root(member))
	refused(t, "AccountNotManagementOrDelegatedAdministratorException", "-")(there.ListOrganizationsFeatures(ctx, nil))
	refused(t, "AccountNotManagementOrDelegatedAdministratorException", "-")(there.EnableOrganizationsRootSessions(ctx, nil))
	ok(t)(orgs.RegisterDelegatedAdministrator(ctx, &organizations.RegisterDelegatedAdministratorInput{AccountId: &member, ServicePrincipal: trusted}))
	ok(t)(there.ListOrganizationsFeatures(ctx, nil))
	refused(t, "CallerIsNotManagementAccountException", "-")(there.EnableOrganizationsRootSessions(ctx, nil))
	ok(t)(w.EnableOrganizationsRootSessions(ctx, nil))
	if out := must(there.DisableOrganizationsRootSessions(ctx, nil))(t); len(out.EnabledFeatures) != 0 {
		t.Errorf("enabled are %v", out.EnabledFeatures)
	}
}

// Tokens that are out when federation is disabled can still be checked: their issuer stays, and is the account's again later.
func TestIssuerStays(t *testing.T) {
	t.Parallel()
	w := start(t)
	issuer := *must(w.EnableOutboundWebIdentityFederation(ctx, nil))(t).IssuerIdentifier
	ok(t)(w.DisableOutboundWebIdentityFederation(ctx, nil))
	refused(t, "FeatureDisabled", "-")(w.GetOutboundWebIdentityFederationInfo(ctx, nil))
	caller := sts.NewFromConfig(w.Config())
	refused(t, "OutboundWebIdentityFederationDisabledException", "-")(caller.GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
		Audience: []string{"x"}, SigningAlgorithm: new("ES384")}))
	answer, err := http.Get(issuer + "/.well-known/openid-configuration")
	ok(t)(answer, err)
	ok(t)(nil, answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the issuer answers %s", answer.Status)
	}
	if again := *must(w.EnableOutboundWebIdentityFederation(ctx, nil))(t).IssuerIdentifier; again != issuer {
		t.Errorf("the issuer is %s, and was %s", again, issuer)
	}
}
