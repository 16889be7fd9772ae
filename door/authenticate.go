package door

import (
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// authenticate finds out who calls, and from where to where.
func (d *Door) authenticate(x *exchange) error {
	x.scope = call.Scope{Partition: d.cfg.Partition, Account: d.cfg.Account, Region: d.cfg.Region}
	if errors.Is(x.authErr, sigv4.ErrAnonymous) && x.endpoint != nil && x.endpoint.Op.NoAuth {
		x.caller = identity.Anonymous("")
		return nil
	}
	if x.authErr != nil {
		return x.authErr
	}
	a := x.auth
	// Any region of the partition is right that is served here, and says which is called.
	want := sigv4.Expect{Now: d.cfg.Signatures.Now(), Region: d.cfg.Region, Service: x.service.SigningName}
	if a.Region != d.cfg.Region && ValidRegion(d.cfg.Partition, a.Region) && d.serves(a.Region, x.service.Global) {
		want.Region = a.Region
		x.scope.Region = a.Region
	}
	if x.style == sigv4.XKS {
		want.Skew = 5 * time.Minute // as its specification has it
	}
	if x.region != "" {
		if !ValidRegion(d.cfg.Partition, x.region) || !d.serves(x.region, x.service.Global) {
			return generic(unknownOperation, x.style, "")
		}
		x.scope.Region = x.region
		want.Region = "" // that of the signature is where the caller is, maybe in another partition
		if x.style == sigv4.S3 {
			want.Region = x.region
		}
	}
	if err := a.Check(want); err != nil {
		return err
	}
	if a.Payload == sigv4.PayloadUnsigned || a.Payload == sigv4.PayloadUnsignedTrailer {
		// Services whose protocols are not REST hash what they get.
		if op := operation(x); !isREST(x.service) && (op == nil || !op.UnsignedPayload) {
			return sigv4.Refuse(sigv4.BadPayloadHash)
		}
	}
	cred, err := d.credential(x)
	switch {
	case errors.Is(err, identity.ErrUnknownKey) && d.cfg.Dev:
		return d.letIn(x)
	case err != nil:
		return err
	case x.stream != nil:
		body, err := d.verifier.VerifyStream(x.request, a, cred.Secret)
		if err != nil {
			return err
		}
		x.stream = body
	default:
		if err := d.verifier.Verify(x.request, a, cred.Secret, x.body); err != nil {
			return err
		}
	}
	if !cred.Expires.IsZero() && !d.cfg.Clock.Now().Before(cred.Expires) {
		return sigv4.Refuse(sigv4.ExpiredToken)
	}
	if x.peers {
		x.caller, x.scope.Account = cred.Principal, call.OwnAccount
		return nil
	}
	if err := d.active(x, cred.Principal.Account); err != nil {
		return err
	}
	x.caller, x.scope.Account = cred.Principal, cred.Principal.Account
	d.cfg.Directory.Used(cred, x.service.ActionPrefix, x.scope.Region, d.cfg.Clock.Now())
	return nil
}

// credential finds the secret and the owner of the access key that signed. Its error is identity.ErrUnknownKey only in dev mode.
func (d *Door) credential(x *exchange) (cred *identity.Credential, err error) {
	a, ctx := x.auth, x.request.Context()
	if x.peers {
		return d.peer(a), nil // find has seen that there is one
	}
	if a.SessionToken == "" {
		cred, err = d.cfg.Directory.Lookup(ctx, a.AccessKeyID)
		switch {
		case errors.Is(err, identity.ErrUnknownKey) && d.cfg.Dev && !identity.IsTemporary(a.AccessKeyID):
			return nil, err
		case errors.Is(err, identity.ErrUnknownKey), errors.Is(err, identity.ErrInactive):
			// Also in dev mode, of which temporary credentials would else be freed by leaving out their token.
			return nil, sigv4.Refuse(sigv4.UnknownAccessKey)
		}
		return cred, err
	}
	cred, err = d.cfg.Directory.Session(ctx, a.AccessKeyID, a.SessionToken)
	if errors.Is(err, identity.ErrUnknownKey) && d.cfg.Dev {
		if _, known := d.cfg.Directory.Lookup(ctx, a.AccessKeyID); errors.Is(known, identity.ErrUnknownKey) {
			return nil, err
		}
	}
	if errors.Is(err, identity.ErrUnknownKey) || errors.Is(err, identity.ErrForged) || errors.Is(err, identity.ErrGone) {
		return nil, sigv4.Refuse(sigv4.InvalidToken) // a long-term key has no token
	}
	return cred, err
}

// active refuses who belongs to an account that was closed.
func (d *Door) active(x *exchange, account string) error {
	if d.cfg.Organizations == nil {
		return nil
	}
	m, err := d.cfg.Organizations.Member(x.request.Context(), account)
	if err != nil {
		return err
	}
	if m != nil && m.Status != organization.Active {
		return sigv4.Refuse(sigv4.UnknownAccessKey)
	}
	return nil
}

// letIn has a caller go on in dev mode whose access key nobody knows.
func (d *Door) letIn(x *exchange) (err error) {
	if FromWebPage(x.request) {
		return generic(accessDenied, x.style, "A web page cannot call a cloud in dev mode with an access key that is not known here.")
	}
	if x.caller, err = d.stranger(x.auth.AccessKeyID); err != nil {
		return err
	}
	if err := d.active(x, x.caller.Account); err != nil {
		return err
	}
	x.scope.Account = x.caller.Account
	if x.stream != nil {
		x.stream, err = sigv4.Decode(x.request, x.auth)
	}
	return err
}

// stranger is who an unknown access key stands for in dev mode.
func (d *Door) stranger(accessKeyID string) (*identity.Principal, error) {
	if identity.IsAccount(accessKeyID) {
		return identity.Root(d.cfg.Partition, accessKeyID, accessKeyID), nil
	}
	return identity.Developer(d.cfg.Partition, d.cfg.Account, accessKeyID)
}
