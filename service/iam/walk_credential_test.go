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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/identity"
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

// Users' keys and certificates ask about the user, server certificates about themselves, and settings about nothing. Each operation is refused without its
// action, refused for other resources, and carried out with no more than it needs; all of that is recorded.
func TestWalkCredentials(t *testing.T) {
	t.Parallel()
	w := start(t)
	ok(t)(nil, w.PutUser(ctx, identity.User{Account: account, Name: "ann"}))
	ann, git := new("ann"), new("codecommit.amazonaws.com")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t)(nil, err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	ok(t)(nil, err)
	cert := issue(t, w, "a", nil)
	site := new("site")
	var ssh, signing, service *string // made on the way
	orgs := organizations.NewFromConfig(w.Config())
	ok(t)(orgs.CreateOrganization(ctx, nil))
	ok(t)(orgs.EnableAWSServiceAccess(ctx, &organizations.EnableAWSServiceAccessInput{ServicePrincipal: new("iam.amazonaws.com")}))
	const onUser, onSite = "user/ann", "server-certificate/site"
	for _, o := range []struct {
		name, on string
		run      func(c *iam.Client) (any, error)
	}{
		{"UploadSSHPublicKey", onUser, func(c *iam.Client) (any, error) {
			out, err := c.UploadSSHPublicKey(ctx, &iam.UploadSSHPublicKeyInput{UserName: ann, SSHPublicKeyBody: pemOf("PUBLIC KEY", public)})
			if err == nil {
				ssh = out.SSHPublicKey.SSHPublicKeyId
			}
			return out, err
		}},
		{"GetSSHPublicKey", onUser, func(c *iam.Client) (any, error) {
			return c.GetSSHPublicKey(ctx, &iam.GetSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: ssh, Encoding: types.EncodingTypePem})
		}},
		{"ListSSHPublicKeys", onUser, func(c *iam.Client) (any, error) {
			return c.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: ann})
		}},
		{"UpdateSSHPublicKey", onUser, func(c *iam.Client) (any, error) {
			return c.UpdateSSHPublicKey(ctx, &iam.UpdateSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: ssh, Status: types.StatusTypeActive})
		}},
		{"DeleteSSHPublicKey", onUser, func(c *iam.Client) (any, error) {
			return c.DeleteSSHPublicKey(ctx, &iam.DeleteSSHPublicKeyInput{UserName: ann, SSHPublicKeyId: ssh})
		}},
		{"UploadSigningCertificate", onUser, func(c *iam.Client) (any, error) {
			out, err := c.UploadSigningCertificate(ctx, &iam.UploadSigningCertificateInput{UserName: ann, CertificateBody: cert.body})
			if err == nil {
				signing = out.Certificate.CertificateId
			}
			return out, err
		}},
		{"ListSigningCertificates", onUser, func(c *iam.Client) (any, error) {
			return c.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: ann})
		}},
		{"UpdateSigningCertificate", onUser, func(c *iam.Client) (any, error) {
			return c.UpdateSigningCertificate(ctx, &iam.UpdateSigningCertificateInput{UserName: ann, CertificateId: signing, Status: types.StatusTypeInactive})
		}},
		{"DeleteSigningCertificate", onUser, func(c *iam.Client) (any, error) {
			return c.DeleteSigningCertificate(ctx, &iam.DeleteSigningCertificateInput{UserName: ann, CertificateId: signing})
		}},
		{"CreateServiceSpecificCredential", onUser, func(c *iam.Client) (any, error) {
			out, err := c.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{UserName: ann, ServiceName: git})
			if err == nil {
				service = out.ServiceSpecificCredential.ServiceSpecificCredentialId
			}
			return out, err
		}},
		{"ListServiceSpecificCredentials", onUser, func(c *iam.Client) (any, error) {
			return c.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{UserName: ann})
		}},
		{"UpdateServiceSpecificCredential", onUser, func(c *iam.Client) (any, error) {
			return c.UpdateServiceSpecificCredential(ctx, &iam.UpdateServiceSpecificCredentialInput{
				UserName: ann, ServiceSpecificCredentialId: service, Status: types.StatusTypeActive})
		}},
		{"ResetServiceSpecificCredential", onUser, func(c *iam.Client) (any, error) {
			out, err := c.ResetServiceSpecificCredential(ctx, &iam.ResetServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: service})
			if err == nil {
				if e := w.recorded(t, "ResetServiceSpecificCredential", ""); strings.Contains(string(e.Raw), *out.ServiceSpecificCredential.ServicePassword) {
					t.Error("the password is in the audit record")
				}
			}
			return out, err
		}},
		{"DeleteServiceSpecificCredential", onUser, func(c *iam.Client) (any, error) {
			return c.DeleteServiceSpecificCredential(ctx, &iam.DeleteServiceSpecificCredentialInput{UserName: ann, ServiceSpecificCredentialId: service})
		}},
		{"UploadServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.UploadServerCertificate(ctx, &iam.UploadServerCertificateInput{ServerCertificateName: site, CertificateBody: cert.body, PrivateKey: cert.pem})
		}},
		{"GetServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.GetServerCertificate(ctx, &iam.GetServerCertificateInput{ServerCertificateName: site})
		}},
		{"ListServerCertificates", "*", func(c *iam.Client) (any, error) { return c.ListServerCertificates(ctx, nil) }},
		{"TagServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.TagServerCertificate(ctx, &iam.TagServerCertificateInput{ServerCertificateName: site, Tags: red})
		}},
		{"ListServerCertificateTags", onSite, func(c *iam.Client) (any, error) {
			return c.ListServerCertificateTags(ctx, &iam.ListServerCertificateTagsInput{ServerCertificateName: site})
		}},
		{"UntagServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.UntagServerCertificate(ctx, &iam.UntagServerCertificateInput{ServerCertificateName: site, TagKeys: keys})
		}},
		{"UpdateServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.UpdateServerCertificate(ctx, &iam.UpdateServerCertificateInput{ServerCertificateName: site, NewPath: new("/")})
		}},
		{"DeleteServerCertificate", onSite, func(c *iam.Client) (any, error) {
			return c.DeleteServerCertificate(ctx, &iam.DeleteServerCertificateInput{ServerCertificateName: site})
		}},
		{"SetSecurityTokenServicePreferences", "*", func(c *iam.Client) (any, error) {
			return c.SetSecurityTokenServicePreferences(ctx, &iam.SetSecurityTokenServicePreferencesInput{GlobalEndpointTokenVersion: "v2Token"})
		}},
		{"EnableOutboundWebIdentityFederation", "*", func(c *iam.Client) (any, error) { return c.EnableOutboundWebIdentityFederation(ctx, nil) }},
		{"GetOutboundWebIdentityFederationInfo", "*", func(c *iam.Client) (any, error) { return c.GetOutboundWebIdentityFederationInfo(ctx, nil) }},
		{"DisableOutboundWebIdentityFederation", "*", func(c *iam.Client) (any, error) { return c.DisableOutboundWebIdentityFederation(ctx, nil) }},
		{"ListOrganizationsFeatures", "*", func(c *iam.Client) (any, error) { return c.ListOrganizationsFeatures(ctx, nil) }},
		{"EnableOrganizationsRootSessions", "*", func(c *iam.Client) (any, error) { return c.EnableOrganizationsRootSessions(ctx, nil) }},
		{"DisableOrganizationsRootSessions", "*", func(c *iam.Client) (any, error) { return c.DisableOrganizationsRootSessions(ctx, nil) }},
		{"EnableOrganizationsRootCredentialsManagement", "*", func(c *iam.Client) (any, error) {
			return c.EnableOrganizationsRootCredentialsManagement(ctx, nil)
		}},
		{"DisableOrganizationsRootCredentialsManagement", "*", func(c *iam.Client) (any, error) {
			return c.DisableOrganizationsRootCredentialsManagement(ctx, nil)
		}},
	} {
		t.Run(o.name, func(t *testing.T) {
			on := o.on
			if on != "*" {
				on = "arn:aws:iam::" + account + ":" + on
				denied(t)(o.run(w.user("bob", `"Action":"iam:`+o.name+`","NotResource":"`+on+`"`)))
			}
			denied(t)(o.run(w.user("eve", `"NotAction":"iam:`+o.name+`","Resource":"*"`)))
			w.recorded(t, o.name, "AccessDenied")
			ok(t)(o.run(w.user("carl", `"Action":"iam:`+o.name+`","Resource":"`+on+`"`)))
			e := w.recorded(t, o.name, "")
			if o.on != "*" && (len(e.Resources) == 0 || e.Resources[0].ARN != on) {
				t.Errorf("the record has the resources %v, want %s", e.Resources, on)
			}
			if strings.Contains(string(e.Raw), "PRIVATE KEY") {
				t.Error("a private key is in the audit record")
			}
		})
	}
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
