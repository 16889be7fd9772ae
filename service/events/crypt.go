package events

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Events that wait lie encrypted: under the cloud's own root key, or, on a bus with a key of KMS, under a data key that KMS makes. It is used for some minutes and then another one.

// parcelHead is what stands before the encrypted event in a parcel, in a line of its own.
type parcelHead struct {
	ID       string // of the event: what is encrypted is bound to it
	Bus      busKey
	Ingested time.Time
	Crossed  bool   `json:",omitempty"`
	Trace    string `json:",omitempty"`
	Key      []byte `json:",omitempty"` // the data key, as KMS encrypted it; none is the cloud's own key
}

// wrap makes the payload of the parcels of an event, once. It is nil if that fails, and the event is spoiled.
func (s *Service) wrap(c *call.Call, h *heard) (payload []byte, err error) {
	if h.payload == nil && !h.spoiled {
		if h.payload, err = s.seal(c, h); err != nil {
			h.spoiled = true
			return nil, s.spoil(c, h, err)
		}
	}
	return h.payload, nil
}

// seal encrypts an event.
func (s *Service) seal(c *call.Call, h *heard) ([]byte, error) {
	head := parcelHead{ID: h.Event.ID, Bus: h.Bus, Ingested: c.Time, Crossed: h.Crossed, Trace: h.Trace}
	var sealed []byte
	if h.bus.KMSKey == "" {
		var err error
		if sealed, err = s.box.Wrap(head.ID, h.JSON); err != nil {
			return nil, err
		}
	} else {
		key, err := s.dataKey(c, h.bus)
		if err != nil {
			return nil, err
		}
		head.Key = key.encrypted
		sealed = key.aead.Seal(nil, nil, h.JSON, []byte(head.ID))
	}
	line, err := json.Marshal(&head)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), sealed...), nil
}

// unwrap reads the payload of a parcel.
func (s *Service) unwrap(c *call.Call, payload []byte) (head *parcelHead, event []byte, err error) {
	line, sealed, _ := bytes.Cut(payload, []byte("\n"))
	head = new(parcelHead)
	if err := json.Unmarshal(line, head); err != nil {
		return nil, nil, fmt.Errorf("reading a parcel: %w", err)
	}
	if head.Key == nil {
		event, err = s.box.Unwrap(head.ID, sealed)
		return head, event, err
	}
	key, err := s.openKey(c, head)
	if err != nil {
		return head, nil, err
	}
	event, err = key.aead.Open(nil, nil, sealed, []byte(head.ID))
	return head, event, err
}

// keyAge is how long a data key is used.
const keyAge = 5 * time.Minute

// maxKeys bounds the data keys that are kept ready. Beyond, KMS is asked again.
const maxKeys = 1000

// dataKey is a data key of KMS.
type dataKey struct {
	encrypted []byte
	aead      cipher.AEAD
	expires   time.Time
}

// dataKeys are data keys that may still be used without asking KMS.
type dataKeys struct {
	mu   sync.Mutex // guards kept; nobody calls KMS under it
	kept map[string]*dataKey
}

func (k *dataKeys) get(name string, now time.Time) *dataKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.kept[name]; key != nil && now.Before(key.expires) {
		return key
	}
	delete(k.kept, name)
	return nil
}

func (k *dataKeys) put(name string, key *dataKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for old := range k.kept { // any one
		if len(k.kept) < maxKeys {
			break
		}
		delete(k.kept, old)
	}
	k.kept[name] = key
}

// busContext is the encryption context of the data keys of a bus: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
func busContext(busARN string) map[string]string {
	return map[string]string{"aws:events:event-bus:arn": busARN}
}

// forBus is the call as EventBridge makes it for a bus, where the bus is.
func (s *Service) forBus(c *call.Call, k busKey) (own *call.Call, busARN string) {
	busARN = k.arn(c.Scope.Partition)
	own = c.AsServiceFor(busARN)
	own.Scope.Region = k.Region
	return own, busARN
}

// dataKey gives a data key to encrypt what comes to a bus.
func (s *Service) dataKey(c *call.Call, b *busRecord) (*dataKey, error) {
	own, busARN := s.forBus(c, b.key())
	name := "encrypt " + busARN + " " + b.KMSKey
	if key := s.keys.get(name, c.Time); key != nil {
		return key, nil
	}
	out, err := s.cfg.KMS.GenerateDataKey(own, &kms.GenerateDataKeyRequest{KeyId: new(b.keyName(c)), KeySpec: kms.DataKeySpecAes256, EncryptionContext: busContext(busARN)})
	if err != nil {
		return nil, err
	}
	defer clear(out.Plaintext)
	key, err := newDataKey(out.Plaintext, out.CiphertextBlob, c.Time)
	if err == nil {
		s.keys.put(name, key)
	}
	return key, err
}

// openKey gives the data key of a parcel.
func (s *Service) openKey(c *call.Call, head *parcelHead) (*dataKey, error) {
	own, busARN := s.forBus(c, head.Bus)
	name := "decrypt " + busARN + " " + string(head.Key)
	if key := s.keys.get(name, c.Time); key != nil {
		return key, nil
	}
	out, err := s.cfg.KMS.Decrypt(own, &kms.DecryptRequest{CiphertextBlob: head.Key, EncryptionContext: busContext(busARN)})
	if err != nil {
		return nil, err
	}
	defer clear(out.Plaintext)
	key, err := newDataKey(out.Plaintext, head.Key, c.Time)
	if err == nil {
		s.keys.put(name, key)
	}
	return key, err
}

// newDataKey makes the AES-256-GCM of a data key, with random nonces: a key encrypts what comes in minutes, which is far from too much for them.
func newDataKey(plain, encrypted []byte, now time.Time) (*dataKey, error) {
	block, err := aes.NewCipher(plain)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &dataKey{encrypted, aead, now.Add(keyAge)}, nil
}

// keyName is the key of the bus as KMS is asked for it: what names no account is of the bus's.
func (r *busRecord) keyName(c *call.Call) string {
	switch {
	case arn.Is(r.KMSKey):
		return r.KMSKey
	case strings.HasPrefix(r.KMSKey, "alias/"):
	default:
		return call.Scope{Partition: c.Scope.Partition, Account: r.Account, Region: r.Region}.ARN("kms", "key/"+r.KMSKey)
	}
	return call.Scope{Partition: c.Scope.Partition, Account: r.Account, Region: r.Region}.ARN("kms", r.KMSKey)
}

// probeKey has the caller use the key that a bus is to have: who may not, gives it to no bus.
func (s *Service) probeKey(c *call.Call, r *busRecord) error {
	if r.KMSKey == "" {
		return nil
	}
	busARN := r.arn(c.Scope.Partition)
	out, err := s.cfg.KMS.GenerateDataKey(c, &kms.GenerateDataKeyRequest{KeyId: new(r.keyName(c)), KeySpec: kms.DataKeySpecAes256, EncryptionContext: busContext(busARN)})
	if err == nil {
		clear(out.Plaintext)
		return nil
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return invalid("Parameter KmsKeyIdentifier is not valid. Reason: " + wire.Message(m))
	}
	return err
}

// spoil ends an event that could not be encrypted: it goes to the dead-letter queue of its bus, if that has one.
func (s *Service) spoil(c *call.Call, h *heard, cause error) error {
	if errors.Is(cause, store.ErrConflict) {
		return cause
	}
	f := failureOf(cause)
	s.cfg.Report(fmt.Errorf("an event for event bus %s of account %s in %s: %s", h.Bus.Name, h.Bus.Account, h.Bus.Region, f.code))
	if h.bus.DeadLetter == "" {
		return nil
	}
	own, busARN := s.forBus(c, h.Bus)
	return s.bury(c, own, h.bus.DeadLetter, h.JSON, map[string]string{"EVENT_BUS_ARN": busARN, "ERROR_CODE": f.code, "ERROR_MESSAGE": f.message}, h.Bus, "")
}
