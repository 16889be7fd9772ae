package iam

import (
	"bytes"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"iter"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
)

func sshKeysOf(c *call.Call, o owner) iter.Seq2[*sshKey, error] {
	return sshTable.In(c.Scope.Account, "").Scan(c.Tx(), ofOwner(o))
}

// minRSA is how many bits a key must have.
const minRSA = 2048

// parseSSH reads a public key, as ssh-rsa or as PEM: RSA it has to be.
func parseSSH(body string) (ssh.PublicKey, *rsa.PublicKey, error) {
	unrecognized := &iam.UnrecognizedPublicKeyEncodingException{Message: "The public key is not encoded as ssh-rsa or PEM."}
	var key *rsa.PublicKey
	if block, _ := pem.Decode([]byte(body)); block != nil {
		var parsed any
		var err error
		if block.Type == "RSA PUBLIC KEY" {
			parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
		} else {
			parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
		}
		if err != nil {
			return nil, nil, unrecognized
		}
		key, _ = parsed.(*rsa.PublicKey)
	} else {
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body))
		if err != nil {
			return nil, nil, unrecognized
		}
		if crypto, ok := parsed.(ssh.CryptoPublicKey); ok {
			key, _ = crypto.CryptoPublicKey().(*rsa.PublicKey)
		}
	}
	if key == nil || key.N.BitLen() < minRSA {
		return nil, nil, &iam.InvalidPublicKeyException{Message: "The public key must be an RSA key of at least 2048 bits."}
	}
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return nil, nil, &iam.InvalidPublicKeyException{Message: "The public key is malformed or otherwise invalid."}
	}
	return public, key, nil
}

// UploadSSHPublicKey gives a user an SSH key.
func (s *Service) UploadSSHPublicKey(c *call.Call, in *iam.UploadSSHPublicKeyRequest) (*iam.UploadSSHPublicKeyResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	public, _, err := parseSSH(*in.SSHPublicKeyBody)
	if err != nil {
		return nil, err
	}
	k := &sshKey{ID: identity.NewID("APKA"), User: u.ID, Body: *in.SSHPublicKeyBody, Fingerprint: fingerprint(public), Uploaded: c.Time}
	n := 0
	for other, err := range sshKeysOf(c, owner{u}) {
		if err != nil {
			return nil, err
		}
		if other.Fingerprint == k.Fingerprint {
			return nil, &iam.DuplicateSSHPublicKeyException{Message: "The SSH public key is already associated with the user."}
		}
		n++
	}
	if n >= sshKeysPerUserQuota {
		return nil, exceeded("SSHPublicKeysPerUser", sshKeysPerUserQuota)
	}
	return &iam.UploadSSHPublicKeyResponse{SSHPublicKey: sshShape(u, k, k.Body)}, sshTable.In(c.Scope.Account, "").Insert(c.Tx(), k)
}

func sshShape(u *identity.User, k *sshKey, body string) *iam.SSHPublicKey {
	return &iam.SSHPublicKey{
		UserName: &u.Name, SSHPublicKeyId: &k.ID, Fingerprint: &k.Fingerprint, SSHPublicKeyBody: &body, Status: status(k.Inactive), UploadDate: &k.Uploaded,
	}
}

// sshKey finds a user's SSH key, and asks for permission.
func (s *Service) sshKey(c *call.Call, user *string, id string) (*identity.User, *sshKey, error) {
	u, err := s.user(c, user, nil)
	if err != nil {
		return nil, nil, err
	}
	k, err := sshTable.In(c.Scope.Account, "").Get(c.Tx(), id)
	if missing(err) || err == nil && k.User != u.ID {
		return nil, nil, &iam.NoSuchEntityException{Message: "The Public Key with id " + id + " cannot be found."}
	}
	return u, k, err
}

// GetSSHPublicKey tells an SSH key in the encoding asked for.
func (s *Service) GetSSHPublicKey(c *call.Call, in *iam.GetSSHPublicKeyRequest) (*iam.GetSSHPublicKeyResponse, error) {
	u, k, err := s.sshKey(c, in.UserName, *in.SSHPublicKeyId)
	if err != nil {
		return nil, err
	}
	isPEM := strings.HasPrefix(k.Body, "-----")
	if isPEM == (in.Encoding == iam.EncodingTypePem) {
		return &iam.GetSSHPublicKeyResponse{SSHPublicKey: sshShape(u, k, k.Body)}, nil
	}
	public, key, err := parseSSH(k.Body)
	if err != nil {
		return nil, err
	}
	body := string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(public)))
	if in.Encoding == iam.EncodingTypePem {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, err
		}
		body = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return &iam.GetSSHPublicKeyResponse{SSHPublicKey: sshShape(u, k, body)}, nil
}

// ListSSHPublicKeys lists a user's SSH keys.
func (s *Service) ListSSHPublicKeys(c *call.Call, in *iam.ListSSHPublicKeysRequest) (*iam.ListSSHPublicKeysResponse, error) {
	u, err := s.user(c, in.UserName, nil)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := page(c, sshTable, ofOwner(owner{u}), in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &iam.ListSSHPublicKeysResponse{SSHPublicKeys: make([]iam.SSHPublicKeyMetadata, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, k := range found {
		out.SSHPublicKeys = append(out.SSHPublicKeys, iam.SSHPublicKeyMetadata{
			UserName: &u.Name, SSHPublicKeyId: &k.ID, Status: status(k.Inactive), UploadDate: &k.Uploaded,
		})
	}
	return out, nil
}

// UpdateSSHPublicKey switches an SSH key on or off.
func (s *Service) UpdateSSHPublicKey(c *call.Call, in *iam.UpdateSSHPublicKeyRequest) (*iam.UpdateSSHPublicKeyResponse, error) {
	off, err := inactive(in.Status)
	if err != nil {
		return nil, err
	}
	_, k, err := s.sshKey(c, in.UserName, *in.SSHPublicKeyId)
	if err != nil {
		return nil, err
	}
	k.Inactive = off
	return &iam.UpdateSSHPublicKeyResponse{}, sshTable.In(c.Scope.Account, "").Put(c.Tx(), k)
}

// DeleteSSHPublicKey deletes an SSH key.
func (s *Service) DeleteSSHPublicKey(c *call.Call, in *iam.DeleteSSHPublicKeyRequest) (*iam.DeleteSSHPublicKeyResponse, error) {
	_, k, err := s.sshKey(c, in.UserName, *in.SSHPublicKeyId)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteSSHPublicKeyResponse{}, sshTable.In(c.Scope.Account, "").Delete(c.Tx(), k.ID)
}

// fingerprint is MD5, as AWS shows it: a name for the key, on which no security rests, so FIPS mode allows it.
func fingerprint(public ssh.PublicKey) (name string) {
	fips140.WithoutEnforcement(func() { name = ssh.FingerprintLegacyMD5(public) })
	return name
}
