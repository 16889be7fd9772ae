// Package tpm is the seal whose root key only this machine's TPM 2.0 gives out, optionally only while chosen PCRs, which record what was booted, have the values they had.
//
// The root key is sealed data under the TPM's storage root key. Its blob is stored beside the wrapped keyring, so the TPM keeps nothing, and a copy of the disk is of no
// use without the TPM. On the way between TPM and processor the root key is encrypted, against who listens on the bus.
package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/holdfast-cloud/holdfast/seal"
)

// DefaultPath is where Linux has the TPM, with a resource manager before it.
const DefaultPath = "/dev/tpmrm0"

// persistent is where the storage root key is if it was made by whoever provisioned the TPM (TCG TPM v2.0 Provisioning Guidance, table 2).
const persistent tpm2.TPMHandle = 0x81000001

// Seal is the [seal.Provider].
type Seal struct {
	path string
	pcrs []uint
}

// New returns the seal of the TPM at path: a device, a unix socket, or tcp://HOST:PORT of an emulator on this machine. What it seals is bound to the present values of
// the PCRs given, of the SHA-256 bank.
func New(path string, pcrs ...uint) (*Seal, error) {
	if path == "" {
		path = DefaultPath
	}
	if address, ok := strings.CutPrefix(path, "tcp://"); ok {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("seal: a TPM is in this machine, and %s is not", address)
		}
	}
	pcrs = slices.Clone(pcrs)
	slices.Sort(pcrs)
	pcrs = slices.Compact(pcrs)
	if n := len(pcrs); n > 0 && pcrs[n-1] > 23 {
		return nil, fmt.Errorf("seal: a TPM has the PCRs 0 to 23, and %d is none of them", pcrs[n-1])
	}
	return &Seal{path, pcrs}, nil
}

// Kind implements [seal.Provider].
func (*Seal) Kind() string { return "tpm" }

// Create implements [seal.Provider]. There is nothing to do: each Wrap makes a root key.
func (*Seal) Create(context.Context) error { return nil }

// Wrap implements [seal.Provider].
func (s *Seal) Wrap(ctx context.Context, keyring []byte) ([]byte, error) {
	t, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer t.close()
	parent, err := t.storageRoot(nil)
	if err != nil {
		return nil, err
	}
	defer t.flush(parent)
	b := &blob{parent: parent.name, pcrs: make([]pcr, len(s.pcrs))}
	for i, index := range s.pcrs {
		if b.pcrs[i], err = t.readPCR(index); err != nil {
			return nil, err
		}
	}
	secret := make([]byte, 32)
	defer clear(secret)
	rand.Read(secret)
	if err := t.seal(parent, b, secret); err != nil {
		return nil, err
	}
	root, err := seal.NewKey(secret)
	if err != nil {
		return nil, err
	}
	return root.WrapAfter(b.encode(), keyring), nil
}

// Unwrap implements [seal.Provider].
func (s *Seal) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	b, header, err := decodeBlob(wrapped)
	if err != nil {
		return nil, err
	}
	t, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer t.close()
	parent, err := t.storageRoot(b.parent)
	if err != nil {
		return nil, err
	}
	defer t.flush(parent)
	if err := t.checkPCRs(b.pcrs); err != nil {
		return nil, err
	}
	secret, err := t.unseal(parent, b)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	root, err := seal.NewKey(secret)
	if err != nil {
		return nil, seal.ErrDamaged
	}
	return root.UnwrapAfter(header, wrapped[len(header):])
}

// A conn is a connection to a TPM.
type conn struct {
	path string
	io   io.ReadWriteCloser
	stop func() bool
}

func (s *Seal) open(ctx context.Context) (*conn, error) {
	c := &conn{path: s.path}
	var err error
	if address, ok := strings.CutPrefix(s.path, "tcp://"); ok {
		c.io, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	} else if info, statErr := os.Stat(s.path); statErr == nil && info.Mode()&os.ModeSocket != 0 {
		c.io, err = new(net.Dialer).DialContext(ctx, "unix", s.path)
	} else {
		c.io, err = os.OpenFile(s.path, os.O_RDWR, 0)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: reaching the TPM: %w", seal.ErrNoRoot, err)
	}
	c.stop = context.AfterFunc(ctx, func() { c.io.Close() })
	return c, nil
}

func (c *conn) close() {
	c.stop()
	c.io.Close()
}

const (
	responseHeader = 10
	mostResponse   = 4096
)

var _ transport.TPM = (*conn)(nil)

// Send implements transport.TPM. A device gives a response in one read, a socket perhaps in several.
func (c *conn) Send(command []byte) ([]byte, error) {
	if _, err := c.io.Write(command); err != nil {
		return nil, fmt.Errorf("asking the TPM at %s: %w", c.path, err)
	}
	buf := make([]byte, mostResponse)
	n, err := io.ReadAtLeast(c.io, buf, responseHeader)
	if err != nil {
		return nil, fmt.Errorf("hearing the TPM at %s: %w", c.path, err)
	}
	size := int(buf[2])<<24 | int(buf[3])<<16 | int(buf[4])<<8 | int(buf[5])
	if size < n || size > mostResponse {
		return nil, fmt.Errorf("what is at %s does not speak as a TPM 2.0 does", c.path)
	}
	if _, err := io.ReadFull(c.io, buf[n:size]); err != nil {
		return nil, fmt.Errorf("hearing the TPM at %s: %w", c.path, err)
	}
	return buf[:size], nil
}

// A parent is the storage root key.
type parent struct {
	handle tpm2.TPMHandle
	name   []byte
	public tpm2.TPMTPublic
}

// storageRoot returns the storage root key with the name wanted, or the one to seal by if that is nil. It is derived anew from the TPM's own seed, or has been left in the
// TPM by whoever provisioned it, which is how it is where the owner has a password.
func (c *conn) storageRoot(want []byte) (*parent, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(c)
	if err == nil {
		p, err := newParent(made.ObjectHandle, made.OutPublic)
		if err == nil && (want == nil || bytes.Equal(p.name, want)) {
			return p, nil
		}
		c.flush(&parent{handle: made.ObjectHandle})
		if err != nil {
			return nil, err
		}
	}
	there, readErr := tpm2.ReadPublic{ObjectHandle: persistent}.Execute(c)
	if readErr == nil {
		p, err := newParent(persistent, there.OutPublic)
		if err == nil && (want == nil || bytes.Equal(p.name, want)) {
			return p, nil
		}
	}
	var refused tpm2.TPMRC
	switch {
	case err != nil && (want == nil || !errors.As(err, &refused)):
		return nil, fmt.Errorf("seal: making the TPM's storage root key: %w", err)
	case err != nil:
		return nil, fmt.Errorf("%w: the TPM at %s does not make the storage root key that sealed it: %w", seal.ErrNoRoot, c.path, err)
	}
	return nil, fmt.Errorf("%w: it was sealed by another TPM, or the one at %s was cleared since", seal.ErrWrongRoot, c.path)
}

// newParent takes the name from the public area itself, so that nothing between us and the TPM can pass another key off as this one.
func newParent(handle tpm2.TPMHandle, public tpm2.TPM2BPublic) (*parent, error) {
	contents, err := public.Contents()
	if err != nil {
		return nil, fmt.Errorf("reading the TPM's storage root key: %w", err)
	}
	name, err := tpm2.ObjectName(contents)
	if err != nil {
		return nil, fmt.Errorf("reading the TPM's storage root key: %w", err)
	}
	return &parent{handle, name.Buffer, *contents}, nil
}

// flush forgets a key that was loaded, which a TPM has few places for.
func (c *conn) flush(p *parent) {
	if p.handle != persistent {
		_, _ = tpm2.FlushContext{FlushHandle: p.handle}.Execute(c)
	}
}

func (p *parent) named() tpm2.TPM2BName { return tpm2.TPM2BName{Buffer: p.name} }

// protect encrypts what is secret on the way, under a secret that only a TPM with the storage root key can know.
func (p *parent) protect(in bool) []tpm2.AuthOption {
	direction := tpm2.EncryptOut
	if in {
		direction = tpm2.EncryptIn
	}
	return []tpm2.AuthOption{tpm2.Salted(p.handle, p.public), tpm2.AESEncryption(128, direction)}
}

// seal puts secret into b.
func (c *conn) seal(p *parent, b *blob, secret []byte) error {
	policy, err := b.policy()
	if err != nil {
		return err
	}
	made, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: p.handle, Name: p.named(), Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16, p.protect(true)...)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			// NoDA: what others get wrong must not lock this away. There is no password to guess.
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, UserWithAuth: len(b.pcrs) == 0},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(c)
	if err != nil {
		return fmt.Errorf("seal: sealing by the TPM: %w", err)
	}
	b.public, b.private = tpm2.Marshal(made.OutPublic), tpm2.Marshal(made.OutPrivate)
	return nil
}

// unseal returns what seal was given.
func (c *conn) unseal(p *parent, b *blob) ([]byte, error) {
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](b.public)
	if err != nil {
		return nil, seal.ErrDamaged
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](b.private)
	if err != nil {
		return nil, seal.ErrDamaged
	}
	loaded, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: p.handle, Name: p.named(), Auth: tpm2.PasswordAuth(nil)}, InPrivate: *private, InPublic: *public,
	}.Execute(c)
	if err != nil {
		return nil, fmt.Errorf("%w: the TPM does not load the sealed root key: %w", seal.ErrDamaged, err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(c) }()
	session := tpm2.HMAC(tpm2.TPMAlgSHA256, 16, p.protect(false)...)
	if len(b.pcrs) > 0 {
		session = tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transport.TPM, handle tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
			_, err := tpm2.PolicyPCR{PolicySession: handle, Pcrs: selection(b.pcrs)}.Execute(t)
			return err
		}, p.protect(false)...)
	}
	out, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: session}}.Execute(c)
	if err != nil {
		return nil, fmt.Errorf("%w: the TPM does not give it out: %w", seal.ErrNoRoot, err)
	}
	return out.OutData.Buffer, nil
}

// A pcr is a platform configuration register and its value.
type pcr struct {
	index uint
	value [sha256.Size]byte
}

func selection(pcrs []pcr) tpm2.TPMLPCRSelection {
	indexes := make([]uint, len(pcrs))
	for i := range pcrs {
		indexes[i] = pcrs[i].index
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(indexes...)}}}
}

func (c *conn) readPCR(index uint) (pcr, error) {
	p := pcr{index: index}
	out, err := tpm2.PCRRead{PCRSelectionIn: selection([]pcr{p})}.Execute(c)
	if err != nil {
		return p, fmt.Errorf("seal: reading PCR %d: %w", index, err)
	}
	if d := out.PCRValues.Digests; len(d) != 1 || len(d[0].Buffer) != len(p.value) {
		return p, fmt.Errorf("seal: the TPM has no PCR %d of SHA-256", index)
	}
	copy(p.value[:], out.PCRValues.Digests[0].Buffer)
	return p, nil
}

// checkPCRs names those that changed; the TPM itself would only refuse.
func (c *conn) checkPCRs(pcrs []pcr) error {
	var changed []string
	for _, was := range pcrs {
		is, err := c.readPCR(was.index)
		if err != nil {
			return err
		}
		if is != was {
			changed = append(changed, fmt.Sprint(was.index))
		}
	}
	if changed != nil {
		return fmt.Errorf("%w: the TPM does not give it out, because this machine was started in another way than when it was sealed: PCR %s changed",
			seal.ErrNoRoot, strings.Join(changed, ", "))
	}
	return nil
}

// policy is what the TPM demands before it unseals; nil for nothing but being the same TPM.
func (b *blob) policy() ([]byte, error) {
	if len(b.pcrs) == 0 {
		return nil, nil
	}
	values := sha256.New()
	for i := range b.pcrs {
		values.Write(b.pcrs[i].value[:])
	}
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if err := (tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: values.Sum(nil)}, Pcrs: selection(b.pcrs)}).Update(calculator); err != nil {
		return nil, fmt.Errorf("seal: computing the policy for the TPM: %w", err)
	}
	return calculator.Hash().Digest, nil
}
